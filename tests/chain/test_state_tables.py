"""A table's keys are found in the same order however many keys it, or the whole state, has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, none, sampled_from

from chain import codec
from chain import state as state_module
from chain.state import State

KEYS = [f"{table}/{key}".encode() for table in ("a", "ab", "b") for key in range(6)]
WRITES = dictionaries(sampled_from(KEYS), integers(0, 3).map(lambda n: codec.encode({"n": n})) | none(), max_size=6)


@given(lists(WRITES, max_size=8), integers(0, 8))
def test_scanning_gives_what_stands_there_whether_a_table_is_large_or_small(
    blocks: list[dict[bytes, bytes | None]], small_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "_SMALL_KEYS_MAX", small_max)
        state = State({KEYS[0]: codec.encode({"n": 9})})
        for writes in blocks:
            state.apply(writes, state.preview(writes))
        for table in ("a", "ab", "b", "c"):
            first = f"{table}/".encode()
            wanted = sorted((key[len(first) :].decode(), raw) for key, raw in state.items() if key.startswith(first))
            found = [(key, codec.encode(value)) for key, value in state.scan(table)]
            assert found == wanted
            assert list(state.scan(table, "1")) == [(key, value) for key, value in state.scan(table) if key[0] == "1"]
