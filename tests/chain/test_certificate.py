"""A certificate counts only if a quorum of distinct members signed exactly this, with no garbage beside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain import codec
from chain.certificate import Certificate, Vote, sign_vote
from chain.crypto import digest, verify
from chain.errors import KehuError
from tools.sample_chain import DEPARTMENTS, key_of, make_genesis

GENESIS = make_genesis()
VALIDATORS, CHAIN = GENESIS.validators, GENESIS.chain_id
BLOCK, OTHER = digest("block", b"one"), digest("block", b"other")


def vote(department: str, **changes: Any) -> Vote:
    given = {"phase": "commit", "epoch": 0, "height": 5, "view": 2, "block_id": BLOCK, "chain_id": CHAIN, **changes}
    return sign_vote(key_of(department), department=department, **given)


def certificate(*departments: str, **changes: Any) -> Certificate:
    return Certificate.of(vote(name, **changes) for name in departments or DEPARTMENTS[:3])


def refusal(found: Certificate, chain_id: bytes = CHAIN) -> str:
    with pytest.raises(KehuError) as caught:
        found.verify(VALIDATORS, chain_id)
    return caught.value.code


def test_a_quorum_and_everybody_are_good_and_come_back_from_their_bytes() -> None:
    for names in (DEPARTMENTS[:3], DEPARTMENTS[1:], DEPARTMENTS):
        found = Certificate.from_bytes(certificate(*reversed(names)).to_bytes())
        found.verify(VALIDATORS, CHAIN)
        found.require("commit", 5, BLOCK)
        assert [name for name, _ in found.signatures] == sorted(names)


def test_fewer_than_a_quorum_is_refused() -> None:
    assert refusal(certificate(*DEPARTMENTS[:2])) == "certificate.no_quorum"
    assert refusal(replace(certificate(), signatures=())) == "certificate.no_quorum"


def test_a_signer_twice_or_out_of_order_is_refused() -> None:
    good = certificate().signatures
    for signatures in ((good[0], good[0], good[1]), (*good, good[2]), good[::-1]):
        assert refusal(replace(certificate(), signatures=signatures)) == "certificate.duplicate_signer"


def test_an_unknown_signer_is_refused_also_beyond_the_quorum() -> None:
    stranger = ("zoo", vote("zoo").signature)
    assert refusal(replace(certificate(), signatures=(*certificate().signatures, stranger))) == (
        "certificate.unknown_signer"
    )


def test_garbage_beyond_the_quorum_is_refused() -> None:
    garbage = (*certificate().signatures, ("sales", bytes(64)))
    assert refusal(replace(certificate(), signatures=garbage)) == "certificate.signature"


def test_a_signature_of_one_department_is_not_anothers() -> None:
    first, second, third = certificate().signatures
    swapped = ((first[0], second[1]), (second[0], first[1]), third)
    assert refusal(replace(certificate(), signatures=swapped)) == "certificate.signature"


@pytest.mark.parametrize(
    "changes", [{"phase": "prepare"}, {"height": 6}, {"view": 3}, {"block_id": OTHER}], ids=lambda c: next(iter(c))
)
def test_signatures_made_for_something_else_do_not_count(changes: dict[str, Any]) -> None:
    assert refusal(replace(certificate(), **changes)) == "certificate.signature"


def test_another_chain_or_epoch_is_refused() -> None:
    assert refusal(certificate(), chain_id=digest("genesis", b"other")) == "certificate.signature"
    assert refusal(certificate(epoch=1)) == "certificate.mismatch"


def verified_again(found: Certificate, known: Certificate) -> list[bytes]:
    """The signatures that were looked at, of one whose others stand in `known`."""
    looked_at: list[bytes] = []

    def check(*asked: Any) -> bool:
        looked_at.append(asked[-1])
        return verify(*asked)

    found.verify(VALIDATORS, CHAIN, check, known)
    return looked_at


def test_what_stands_in_a_verified_certificate_too_is_not_verified_again() -> None:
    known, other = certificate(*DEPARTMENTS[:3]), certificate(*DEPARTMENTS[1:])
    assert verified_again(known, known) == []
    assert verified_again(other, known) == [dict(other.signatures)[DEPARTMENTS[3]]]


@pytest.mark.parametrize(
    "changes", [{"phase": "prepare"}, {"height": 6}, {"view": 3}, {"block_id": OTHER}], ids=lambda c: next(iter(c))
)
def test_a_certificate_that_says_something_else_vouches_for_nothing(changes: dict[str, Any]) -> None:
    found = certificate()
    assert len(verified_again(found, certificate(**changes))) == 3
    with pytest.raises(KehuError) as caught:
        replace(found, **changes).verify(VALIDATORS, CHAIN, known=found)
    assert caught.value.code == "certificate.signature"


def test_a_known_certificate_vouches_only_for_the_very_signature_of_the_very_department() -> None:
    first, second, third = certificate().signatures
    for signatures in (((first[0], second[1]), second, third), (first, second, (third[0], bytes(64)))):
        with pytest.raises(KehuError) as caught:
            replace(certificate(), signatures=signatures).verify(VALIDATORS, CHAIN, known=certificate())
        assert caught.value.code == "certificate.signature"


@pytest.mark.parametrize(
    ("field", "required"), [("phase", ("prepare", 5, BLOCK)), ("height", ("commit", 6, BLOCK)),
                            ("block_id", ("commit", 5, OTHER))],
)  # fmt: skip
def test_a_certificate_for_something_else_names_both_values(field: str, required: Any) -> None:
    with pytest.raises(KehuError) as caught:
        certificate().require(*required)
    assert caught.value.code == "certificate.mismatch"
    assert caught.value.details["field"] == field
    assert caught.value.details["expected"] != caught.value.details["actual"]


def test_a_vote_is_valid_for_its_member_epoch_and_chain_only() -> None:
    good = vote("sales")
    assert Vote.from_value(codec.decode(codec.encode(good.to_value()), 1000)) == good
    assert good.is_valid(VALIDATORS, CHAIN)
    assert not good.is_valid(VALIDATORS, digest("genesis", b"other"))
    for changes in ({"department": "finance"}, {"department": "zoo"}, {"epoch": 1}, {"view": 3}, {"phase": "prepare"}):
        assert not replace(good, **changes).is_valid(VALIDATORS, CHAIN)


@pytest.mark.parametrize("position", range(7))
@pytest.mark.parametrize("value", [None, True, -1, "bogus", b"short", [], {}])
def test_a_malformed_vote_or_certificate_is_refused(position: int, value: Any) -> None:
    if position == 5 and value in ("bogus", []):
        return  # any text is a department's id until the set says otherwise; no signatures are no quorum
    for whole, read in (
        (vote("sales").to_value(), Vote.from_value),
        (certificate().to_value(), Certificate.from_value),
    ):
        if position < len(whole):
            with pytest.raises(KehuError) as caught:
                read([*whole[:position], value, *whole[position + 1 :]])
            assert caught.value.code == "codec.shape"
        with pytest.raises(KehuError):
            read([*whole, value])


def test_a_certificate_longer_than_its_limit_is_refused() -> None:
    long = replace(certificate(), signatures=tuple((f"d{number:05}", bytes(64)) for number in range(1000)))
    with pytest.raises(KehuError) as caught:
        Certificate.from_bytes(long.to_bytes())
    assert caught.value.code == "codec.too_large"
