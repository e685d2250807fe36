"""Evidence proves what it says to whoever has the validators, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.errors import KehuError
from chain.evidence import Evidence
from chain.validators import ValidatorSet

CASE = json.loads((Path(__file__).parents[1] / "vectors" / "evidence.json").read_text(encoding="utf-8"))
CHAIN_ID = bytes.fromhex(CASE["chain_id"])
VALIDATORS = ValidatorSet.from_value(codec.decode(bytes.fromhex(CASE["validators"]), 10_000))
PIECES = [Evidence.from_bytes(bytes.fromhex(piece["bytes"])) for piece in CASE["evidence"]]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.kind)
def test_good_evidence_verifies_and_survives_its_file(piece: Evidence) -> None:
    again = Evidence.from_file(piece.to_file())
    again.verify(VALIDATORS, CHAIN_ID)
    assert again == piece == Evidence.from_bytes(piece.to_bytes())


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.kind)
def test_nothing_in_evidence_can_be_changed(piece: Evidence) -> None:
    other = next(item for item in PIECES if item.kind not in (piece.kind, "view-change"))
    for wrong, part in (
        (replace(piece, other=piece.one), "statements"),
        (replace(piece, one=piece.other, other=piece.one), "statements"),
        (replace(piece, height=2), "signature of the first"),
        (replace(piece, view=3), "signature of the first"),
        (replace(piece, epoch=1), "epoch"),
        (replace(piece, department="finance"), "signature of the first"),
        (replace(piece, department="nobody"), "department"),
        (replace(piece, kind=other.kind), "signature of the first"),
        (replace(piece, other=replace(piece.other, signature=bytes(64))), "signature of the second"),
    ):
        with pytest.raises(KehuError, match=r"evidence\.invalid") as refusal:
            wrong.verify(VALIDATORS, CHAIN_ID)
        assert refusal.value.details["part"] == part
    with pytest.raises(KehuError, match=r"evidence\.invalid"):
        piece.verify(VALIDATORS, bytes(32))


def test_a_damaged_file_is_refused_as_such() -> None:
    file = PIECES[0].to_file()
    for position in range(0, len(file), 7):
        changed = bytearray(file)
        changed[position] ^= 1
        with pytest.raises(KehuError, match=r"evidence\.file_malformed"):
            Evidence.from_file(bytes(changed))
