"""A node's state reads as one that is all in memory, however little is kept at hand and wherever the store stands."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, none, sampled_from

from chain import codec, trie
from chain import state as state_module
from chain.errors import KehuError
from chain.execution import BlockFacts, CallContext, execute
from chain.state import State, View
from chain.store import MemoryStore
from chain.stored_state import CURRENT, STORAGE_STATE, Row, RowCache, StateUnreadableError, StoredState
from chain.transaction import Call
from node.storage.scratch import ScratchRows
from tools.sample_chain import SampleChain

KEYS = [f"{table}/{key}".encode() for table in ("a", "ab", "b") for key in range(6)]
Writes = Mapping[bytes, bytes | None]
BLOCKS = lists(
    dictionaries(sampled_from(KEYS), integers(0, 3).map(lambda n: codec.encode({"n": n})) | none(), max_size=6),
    max_size=8,
)


def append(store: MemoryStore, state: StoredState, writes: Writes) -> trie.Node:
    """As `BlockStore.append` does; the trie for `apply`."""
    after = state.preview(writes)
    state.keep_replaced(writes)
    store.write(
        {CURRENT + key: value for key, value in writes.items() if value is not None},
        [CURRENT + key for key, value in writes.items() if value is None],
    )
    return after


def grown(count: int, scratch: ScratchRows | None = None) -> tuple[MemoryStore, StoredState]:
    store = MemoryStore()
    store.write({CURRENT + f"notes/n{number}".encode(): codec.encode({"n": 0}) for number in range(count)})
    return store, StoredState(store, scratch, bytes_max=2_000)


def twenty_blocks(store: MemoryStore, state: StoredState) -> None:
    draw = random.Random(7)
    for height in range(1, 21):
        writes: Writes = {
            f"notes/n{draw.randrange(600)}".encode(): draw.choice([None, codec.encode({"n": height})])
            for _ in range(30)
        }
        state.apply(writes, append(store, state, writes))


@given(BLOCKS, integers(0, 8), integers(0, 2_000))
def test_it_reads_as_a_state_in_memory_also_while_a_block_is_being_appended(
    blocks: list[Writes], small_max: int, bytes_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "_SMALL_KEYS_MAX", small_max)
        store = MemoryStore()
        stored, plain = StoredState(store, bytes_max=bytes_max), State()
        for writes in blocks:
            before = [plain.get(key) for key in KEYS]
            after = append(store, stored, writes)
            assert [stored.get(key) for key in KEYS] == before, "the store is ahead, the state is not"
            stored.apply(writes, after)
            plain.apply(writes, plain.preview(writes))
            assert stored.root == plain.root
            assert len(stored) == len(plain)
            assert [stored.get(key) for key in KEYS] == [plain.get(key) for key in KEYS]
        assert list(stored.items()) == list(plain.items())
        for table in ("a", "ab", "b", "c"):
            assert list(stored.scan(table)) == list(plain.scan(table))
            assert list(stored.keys(table, "2")) == list(plain.keys(table, "2"))
        assert list(StoredState(store).items()) == list(plain.items())


def test_values_of_a_large_table_that_a_block_is_about_to_change_are_still_the_old_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_module, "_SMALL_KEYS_MAX", 10)
    store, state = grown(100)
    before = list(state.items())
    append(store, state, {b"notes/n5": codec.encode({"n": 1}), b"notes/new": codec.encode({"n": 1})})
    assert list(state.items()) == before
    assert [key for key, _ in state.scan("notes")] == sorted(f"n{number}" for number in range(100))


@pytest.mark.parametrize("bytes_max", [0, 1 << 20])
@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_pin_reads_what_stood_there_whatever_was_written_or_taken_away_since(
    tmp_path: Path, bytes_max: int, is_forgotten: bool
) -> None:
    """`bytes_max` of 0: every write begins a new file. `is_forgotten`: nothing is at hand when the pin is made."""
    rows = ScratchRows(tmp_path, bytes_max)
    store, state = grown(300, rows)
    for _ in range(3 if is_forgotten else 0):
        rows.put([Row(bytes(32), b"a file that is full")])
    before, pin = dict(state.items()), state.pin()
    twenty_blocks(store, state)
    found = {key: pin.get(key) for key in {*pin.all_keys(), *pin.gone}}
    assert {key: value for key, value in found.items() if value is not None} == before
    assert not pin.is_lost
    assert trie.digest_of(pin.trie) != state.root
    state.unpin(pin)
    assert [pin.get(key) for key in before] != list(before.values()) or bytes_max, "nobody holds it any more"
    rows.close()


def test_a_pin_whose_values_are_kept_nowhere_says_so_and_gives_no_others() -> None:
    store, state = grown(300)
    before, pin = dict(state.items()), state.pin()
    twenty_blocks(store, state)
    found = {key: pin.get(key) for key in {*pin.all_keys(), *pin.gone}}
    assert pin.is_lost
    assert {key: value for key, value in found.items() if value is not None}.items() < before.items()


def test_a_value_that_is_not_the_certified_one_is_never_given_out() -> None:
    store, state = grown(20)
    pin = state.pin()
    store.write({CURRENT + b"notes/n3": codec.encode({"n": 9})})
    for read in (state.get, pin.get):
        with pytest.raises(StateUnreadableError) as caught:
            read(b"notes/n3")
        assert caught.value.failure.spec is STORAGE_STATE
    assert not pin.is_lost, "the state has that value: what the store says is wrong"


def test_a_listing_that_goes_on_while_blocks_come_gives_what_stands_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "_SMALL_KEYS_MAX", 10)
    store, state = grown(100)
    reading = StoredState(store).scan("notes")
    assert next(reading) == ("n0", {"n": 0})
    listing = state.scan("notes")
    next(listing)
    for height in (1, 2):
        writes: Writes = {b"notes/n50": codec.encode({"n": height}), b"notes/n60": None}
        state.apply(writes, append(store, state, writes))
    rest = dict(listing)
    assert rest["n50"] in ({"n": 0}, {"n": 2})
    assert len(rest) in (98, 99)


class FailingStore(MemoryStore):
    def get(self, key: bytes) -> bytes | None:
        if key == CURRENT + b"notes/a":
            raise KehuError(STORAGE_STATE)
        return super().get(key)


def test_a_store_that_fails_under_a_contract_is_no_refusal_by_the_contract() -> None:
    chain = SampleChain()
    chain.append(chain.batch(chain.put("a")))
    store = FailingStore()
    store.write(dict(chain.store.scan(b"")))
    state = StoredState(store)
    facts = BlockFacts(1, chain.genesis.chain_id, 2, 1, 100)

    class Reading:
        def write_genesis(self, view: View, genesis: object) -> None: ...

        def begin_block(self, facts: BlockFacts, view: View) -> None: ...

        def call(self, context: CallContext, view: View, call: Call) -> codec.Value:
            return view.get("notes", "a")

    with pytest.raises(StateUnreadableError):
        execute(View(state.get), Reading(), facts, [chain.batch(chain.put("b"))], ())


class InterruptedStore(MemoryStore):
    """Calls `meanwhile` once, after the next read and before whoever reads has the value."""

    meanwhile: Callable[[], None] | None = None

    def get(self, key: bytes) -> bytes | None:
        value = super().get(key)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return value


@pytest.mark.parametrize("written", [1, 60])
@pytest.mark.parametrize("after", [codec.encode({"n": 1}), None])
def test_a_thread_that_was_reading_while_a_block_came_does_not_hide_what_the_block_wrote(
    after: bytes | None, written: int
) -> None:
    """`written`: rows of the block; sixty are more than a generation of those used lately has room for."""
    store, key = InterruptedStore(), b"notes/n7"
    store.write(dict(grown(200)[0].scan(b"")))
    state = StoredState(store, bytes_max=20_000)
    others: Writes = {f"notes/n{number}".encode(): codec.encode({"n": 2}) for number in range(100, 99 + written)}
    writes: Writes = {key: after, **others}

    def come() -> None:
        state.apply(writes, append(store, state, writes))

    store.meanwhile = come
    assert state.get(key) in (codec.encode({"n": 0}), after), "it began to read before the block"
    assert state.get(key) == after
    assert {key: state.get(key) for key in writes} == writes


def test_what_is_asked_for_again_stays_at_hand_and_memory_is_bounded() -> None:
    cache = RowCache(100_000)
    cache.put(b"often", b"x")
    for number in range(10_000):
        cache.put(f"seldom {number}".encode(), bytes(100))
        assert cache.get(b"often") == b"x"
    held = sum(cache.get(f"seldom {number}".encode()) is not None for number in range(10_000))
    assert 100 < held < 400
    assert 50_000 <= cache.held_bytes <= 101_000
    assert cache.get(b"seldom 9999") == bytes(100)
    cache.put(b"often", b"y")
    assert cache.get(b"often") == b"y"
