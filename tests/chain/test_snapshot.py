"""A snapshot's pieces lead to the certified root, and nothing else is taken for one."""

from __future__ import annotations

import random

import pytest

from chain import codec, trie
from chain.errors import KehuError
from chain.snapshot import PIECE_ENTRIES_MAX, Offer, Part, give_piece, take_piece
from chain.state import State, key_digest, state_key
from chain.transaction import Call
from tools.sample_chain import SampleChain


def values_of(state: State, prefix: bytes) -> list[tuple[bytes, bytes]]:
    def is_under(key: bytes) -> bool:
        return all(trie.nibble(key_digest(key), depth) == number for depth, number in enumerate(prefix))

    return [(key, value) for key, value in state.items() if is_under(key)]


def walk(state: State, root: bytes) -> tuple[dict[bytes, bytes], int]:
    pending: list[Part] = [(b"", root)]
    taken: dict[bytes, bytes] = {}
    deepest = 0
    while pending:
        part = pending.pop()
        deepest = max(deepest, len(pending))
        answer = give_piece(state.trie, part[0], lambda prefix: values_of(state, prefix))
        parts, pairs = take_piece(part, answer)
        assert len(pairs) <= PIECE_ENTRIES_MAX
        pending += parts
        taken.update(pairs)
    return taken, deepest


@pytest.mark.parametrize("count", [0, 1, 16, 17, 2_000, 6_000])
def test_the_pieces_of_a_state_give_the_state_and_few_are_pending(count: int) -> None:
    state = State({f"notes/n{number}".encode(): b"\x81\xa1n\x01" for number in range(count)})
    taken, deepest = walk(state, state.root)
    assert taken == dict(state.items())
    assert deepest <= 48


def test_a_piece_that_is_not_of_the_certified_state_is_refused() -> None:
    state = State({f"notes/n{number}".encode(): b"\x81\xa1n\x01" for number in range(3_000)})
    root: Part = (b"", state.root)
    parts, _ = take_piece(root, give_piece(state.trie, b"", lambda prefix: values_of(state, prefix)))
    part = parts[5]
    good = give_piece(state.trie, part[0], lambda prefix: values_of(state, prefix))
    pairs = codec.decode(good, 1 << 24)[1]
    other = give_piece(state.trie, parts[6][0], lambda prefix: values_of(state, prefix))
    digests = state.trie.child_digests() if isinstance(state.trie, trie.Branch) else []
    wrong = [
        other,
        codec.encode(["values", pairs[1:]]),
        codec.encode(["values", [*pairs, pairs[0]]]),
        codec.encode(["values", [[pairs[0][0], b"\x80"], *pairs[1:]]]),
        codec.encode(["values", []]),
        codec.encode(["parts", digests]),
        codec.encode(["parts", digests[:3]]),
        codec.encode(["parts", []]),
        codec.encode(["more", []]),
        good[:-1],
        b"",
    ]
    for answer in wrong:
        with pytest.raises(KehuError):
            take_piece(part, answer)
    assert take_piece(part, good)[1]


def test_a_pinned_state_stays_as_it_was_while_the_state_goes_on() -> None:
    draw = random.Random(7)
    state = State({f"notes/n{number}".encode(): b"\x81\xa1n\x01" for number in range(300)})
    before, root = dict(state.items()), state.root
    pin = state.pin()
    for step in range(20):
        writes = {
            f"notes/n{draw.randrange(600)}".encode(): draw.choice([None, b"\x81\xa1n" + bytes([step])])
            for _ in range(30)
        }
        state.apply(writes, state.preview(writes))
    assert {key: value for key in pin.all_keys() if (value := pin.get(key)) is not None} == before
    assert trie.digest_of(pin.trie) == root
    assert state.root != root
    state.unpin(pin)
    gone, left = set(pin.gone), next(key for key, _ in state.items() if key in before)
    state.apply({left: None}, state.preview({left: None}))
    assert pin.gone == gone


def test_a_pin_keeps_account_of_its_own_keys_and_of_none_that_come_and_go_meanwhile() -> None:
    state = State({b"notes/old": b"\x81\xa1n\x01", b"notes/other": b"\x81\xa1n\x02"})
    pin = state.pin()
    for number in range(1_000):
        key = f"notes/passing{number}".encode()
        for value in (b"\x81\xa1n\x03", None):
            state.apply({key: value}, state.preview({key: value}))
    assert pin.gone == set()
    for value in (None, b"\x81\xa1n\x04", None):
        state.apply({b"notes/old": value}, state.preview({b"notes/old": value}))
    assert pin.gone == {b"notes/old"}
    assert {key: pin.get(key) for key in {*pin.all_keys(), *pin.gone}} == {
        b"notes/old": b"\x81\xa1n\x01",
        b"notes/other": b"\x81\xa1n\x02",
    }


def offered(chain: SampleChain) -> Offer:
    head = chain.ledger.head
    assert head.certificate is not None
    return Offer.from_bytes(Offer(head.header.to_bytes(), head.certificate, chain.blocks.links()).to_bytes())


def test_an_offer_is_believed_through_changes_of_the_validators_and_not_without_them() -> None:
    chain = SampleChain()
    schedule = chain.ledger.state.get(state_key("validators", "schedule")) or b""
    chain.append(chain.batch(chain.put("a")))
    chain.append(chain.batch(chain.transact(Call("notes.admit", {"height": 4}))))
    chain.append(chain.batch(chain.put("b")))
    between = chain.ledger.state.get(state_key("validators", "schedule")) or b""
    chain.append(chain.batch(chain.put("c")))
    offer = offered(chain)
    assert len(offer.links) == 1
    assert offer.verify(schedule, 0, chain.genesis.chain_id).height == 4
    assert offer.verify(between, 3, chain.genesis.chain_id).height == 4
    bare = Offer(offer.header_bytes, offer.certificate, ())
    with pytest.raises(KehuError, match=r"proof\.invalid"):
        bare.verify(schedule, 0, chain.genesis.chain_id)
    with pytest.raises(KehuError):
        offer.verify(schedule, 0, bytes(32))
