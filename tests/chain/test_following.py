"""Whoever has the genesis follows the departments by receipts, and by nothing that is not one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain import codec
from chain.errors import KehuError
from chain.following import KnownSets
from chain.light import ReceiptProof
from chain.transaction import Call
from tools.membership_vectors import receipt_proof
from tools.sample_chain import SampleChain, make_changes

CHAIN, _ = make_changes()
FIRST, SECOND = (receipt_proof(CHAIN, height) for height in (1, 3))


def followed() -> KnownSets:
    return KnownSets(CHAIN.genesis, (FIRST, SECOND))


def accepting(result: Any) -> SampleChain:
    """A chain whose first block's transaction has this result."""
    chain = SampleChain()
    chain.ledger.contracts.call = lambda *_: result  # type: ignore[method-assign]
    chain.append(chain.batch(chain.transact(Call("notes.put", {"id": "a"}))))
    return chain


def test_each_height_is_decided_by_the_last_set_that_is_active_there() -> None:
    known = followed()
    assert [known.at(height).n for height in (0, 1, 2, 3, 4, 5, 900)] == [4, 4, 4, 5, 5, 6, 6]
    assert known.epoch == 2
    for height in range(1, CHAIN.ledger.height + 1):
        assert known.at(height) == CHAIN.ledger.validators(height)


def test_a_file_gets_no_more_changes_than_its_height_needs() -> None:
    known = followed()
    assert [known.changes_to(height) for height in (2, 3, 4, 5)] == [(), (FIRST,), (FIRST,), (FIRST, SECOND)]


def test_a_change_counts_from_its_height_and_not_from_its_acceptance() -> None:
    known = KnownSets(CHAIN.genesis, [FIRST])
    assert known.at(2) == CHAIN.genesis.validators
    assert known.at(3).departments == (*CHAIN.genesis.validators.departments, "technical")


def test_changes_are_followed_in_their_order_and_once() -> None:
    for proofs in ((SECOND,), (SECOND, FIRST), (FIRST, FIRST), (FIRST, SECOND, SECOND)):
        with pytest.raises(KehuError, match=r"proof\.(membership|invalid)"):
            KnownSets(CHAIN.genesis, proofs)


def test_the_receipt_of_something_else_accepts_nothing() -> None:
    with pytest.raises(KehuError, match=r"proof\.membership"):
        KnownSets(CHAIN.genesis, [receipt_proof(CHAIN, 2)])


def test_an_acceptance_under_a_certificate_of_too_few_is_refused() -> None:
    proof = ReceiptProof.from_bytes(FIRST)
    too_few = replace(proof.certificate, signatures=proof.certificate.signatures[:-1])
    with pytest.raises(KehuError, match=r"certificate\."):
        followed_by(replace(proof, certificate=too_few))


def test_an_acceptance_with_one_byte_changed_is_refused() -> None:
    proof = ReceiptProof.from_bytes(FIRST)
    for position in range(0, len(proof.receipt_bytes), 5):
        changed = bytearray(proof.receipt_bytes)
        changed[position] ^= 1
        with pytest.raises(KehuError, match=r"proof\.invalid"):
            followed_by(replace(proof, receipt_bytes=bytes(changed)))


def followed_by(proof: ReceiptProof) -> None:
    KnownSets(CHAIN.genesis).follow(proof)


@pytest.mark.parametrize("activation", [None, 1, 0, -3, "9", True])
def test_an_activation_height_has_to_be_a_later_one(activation: Any) -> None:
    accepted = CHAIN.ledger.validators(3).to_value()
    chain = accepting({"accepted_set": accepted, "activation_height": activation})
    with pytest.raises(KehuError, match=r"proof\.membership"):
        KnownSets(chain.genesis, [receipt_proof(chain, 1)])


def test_a_set_of_another_epoch_than_the_next_is_refused() -> None:
    accepted = CHAIN.ledger.validators(5).to_value()
    chain = accepting({"accepted_set": accepted, "activation_height": 9})
    with pytest.raises(KehuError, match=r"proof\.membership"):
        KnownSets(chain.genesis, [receipt_proof(chain, 1)])


def test_what_is_no_receipt_proof_is_refused_as_such() -> None:
    for raw in (b"", b"\x90", codec.encode([1, 2, 3]), FIRST[:-1]):
        with pytest.raises(KehuError, match=r"codec\."):
            KnownSets(CHAIN.genesis, [raw])
