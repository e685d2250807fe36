"""What is read by its shape is what `decode` and `fields` read, and is refused with the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain import codec
from chain.certificate import Vote, sign_vote
from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.transaction import Call, Transaction, sign_transaction
from consensus.messages import VoteMessage, decode_message

KEY, CHAIN = SigningKey(bytes(32)), bytes(range(32))
VOTE = sign_vote(KEY, CHAIN, "commit", 3, 1 << 40, 0, bytes(32), "财务")
NESTED: Any = [None, True, -5, "王", b"\x00", {"a": [1, {"b": b""}]}]
TRANSACTION = sign_transaction(KEY, CHAIN, bytes(16), 9, [Call("a.b", {"x": 1, "fields": NESTED}), Call("c.d", {})])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=3) | st.binary(max_size=3)
)
FOREIGN = st.floats() | st.dictionaries(st.integers(0, 9), SCALARS, max_size=2) | st.datetimes()
ANYTHING = st.recursive(
    SCALARS | FOREIGN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


class Blind:
    """A shape that recognises nothing."""

    def read(self, _data: bytes, _bytes_max: int) -> None:
        return None


@contextmanager
def without_shapes() -> Iterator[None]:
    places = ("chain.transaction._BODY", "chain.transaction._ENVELOPE", "consensus.messages._VOTE")
    with patch(places[0], Blind()), patch(places[1], Blind()), patch(places[2], Blind()):
        yield


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        return read(data)
    except KehuError as error:
        return error.code, error.details


def read_vote(data: bytes) -> object:
    return decode_message(data, 1 << 16)


def read_body(body: bytes) -> object:
    return Transaction.from_bytes(codec.encode([body, bytes(64)]))


def require_same(read: Callable[[bytes], object], data: bytes) -> None:
    found = outcome(read, data)
    with without_shapes():
        assert found == outcome(read, data)


def foreign(value: object) -> bytes:
    """msgpack of what the format may not have, too."""
    return msgspec.msgpack.encode(value)


def body_with(place: int, item: object) -> bytes:
    parts = codec.decode(TRANSACTION.body, 1 << 16)
    parts[place] = item
    return foreign(parts)


def test_whole_transactions_and_votes_are_read_by_their_shape() -> None:
    with patch("chain.codec.decode", side_effect=AssertionError):
        assert Transaction.from_bytes(TRANSACTION.raw) == TRANSACTION
        assert decode_message(VoteMessage(VOTE).to_bytes(), 1 << 16) == VoteMessage(VOTE)


@pytest.mark.parametrize(
    "item", [1.5, msgspec.msgpack.Ext(1, b"x"), {1: 2}, {"deep": {1: 2}}, {"b": 1, "a": 2}, [1.5], {"a": [{"b": 0.5}]}]
)
def test_what_the_shape_leaves_open_is_looked_at_all_the_same(item: object) -> None:
    body = body_with(5, [["a.b", {"x": item}]]) if not isinstance(item, dict) else body_with(5, [["a.b", item]])
    require_same(read_body, body)
    with pytest.raises(KehuError):
        read_body(body)


@pytest.mark.parametrize(
    "calls", [[], [["a.b"]], [["a.b", {}, 1]], [["a.b", []]], [[b"a.b", {}]], [["a.b", None]], "calls", [{}], None]
)
def test_calls_of_another_form_are_refused(calls: object) -> None:
    body = body_with(5, calls)
    require_same(read_body, body)
    with pytest.raises(KehuError):
        read_body(body)


def test_a_call_too_deep_is_refused_and_one_at_the_limit_is_not() -> None:
    def nested(depth: int) -> Any:
        return [nested(depth - 1)] if depth else 1

    at_limit = codec.DEPTH_MAX - 4  # body, calls, call, arguments
    assert isinstance(read_body(body_with(5, [["a.b", {"x": nested(at_limit)}]])), Transaction)
    body = body_with(5, [["a.b", {"x": nested(at_limit + 1)}]])
    require_same(read_body, body)
    with pytest.raises(KehuError):
        read_body(body)


@given(st.integers(0, 5), ANYTHING)
@example(0, True)
@example(4, -1)
@example(3, bytes(17))
@example(1, "x" * 32)
def test_a_body_with_anything_in_any_place_is_read_alike(place: int, item: object) -> None:
    require_same(read_body, body_with(place, item))


@given(st.integers(0, 6), ANYTHING)
@example(0, "propose")
@example(1, True)
@example(4, bytes(31))
@example(5, b"finance")
def test_a_vote_with_anything_in_any_place_is_read_alike(place: int, item: object) -> None:
    fields = VOTE.to_value()
    fields[place] = item
    require_same(read_vote, foreign(["vote", fields]))


@given(st.data())
def test_changed_bytes_are_read_alike(data: st.DataObject) -> None:
    for read, whole in ((read_vote, VoteMessage(VOTE).to_bytes()), (Transaction.from_bytes, TRANSACTION.raw)):
        changed = bytearray(whole)
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
            changed[place] = data.draw(st.integers(0, 255))
        require_same(read, bytes(changed[: data.draw(st.integers(0, len(whole)))] or changed))


def test_long_forms_are_another_spelling_and_refused() -> None:
    fields = VOTE.to_value()
    whole = msgpack.packb(["vote", fields], use_bin_type=True)
    assert read_vote(whole) == VoteMessage(Vote(*fields))
    longer = b"\xdc\x00\x02" + whole[1:]  # the outer list as array16
    require_same(read_vote, longer)
    with pytest.raises(KehuError):
        read_vote(longer)
