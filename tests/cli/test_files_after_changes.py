"""What was proven after departments changed checks with the genesis alone, because the file shows who decided."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain.errors import KehuError
from chain.evidence import Evidence
from chain.following import KnownSets
from cli.evidence import is_evidence_file, verify_evidence_file
from cli.main import tree
from cli.proof_file import ProofFile, verify_proof_file
from tools.membership_vectors import ACCEPTED_AT, equivocation, proof_file, receipt_proof
from tools.sample_chain import make_changes

CHAIN, _ = make_changes()
GENESIS = CHAIN.genesis
KNOWN = KnownSets(GENESIS, [receipt_proof(CHAIN, height) for height in ACCEPTED_AT])
PROOF = proof_file(CHAIN, KNOWN)


def test_a_proof_of_a_height_that_later_departments_decided_checks_by_the_changes_it_brings_along() -> None:
    again = ProofFile.from_bytes(PROOF.to_bytes())
    assert (again, len(again.changes)) == (PROOF, 2)
    (entry,) = verify_proof_file(GENESIS, PROOF.to_bytes()).entries
    assert (entry.header.height, entry.key, entry.value is not None) == (6, "n6", True)


def test_a_proof_of_a_height_that_the_genesis_departments_decided_has_the_first_form() -> None:
    entry = replace(PROOF.entries[0], table="notes")
    plain = ProofFile(GENESIS.chain_id, (), (entry,))
    assert plain.to_bytes().startswith(b"KEHU-PROOF-1\n")
    assert PROOF.to_bytes().startswith(b"KEHU-PROOF-2\n")


@pytest.mark.parametrize("changes", [(), PROOF.changes[:1], PROOF.changes[::-1], PROOF.changes[1:]])
def test_a_proof_without_one_of_its_changes_is_refused(changes: tuple[bytes, ...]) -> None:
    with pytest.raises(KehuError, match=r"proof\.|certificate\."):
        verify_proof_file(GENESIS, replace(PROOF, changes=changes).to_bytes())


def test_evidence_against_a_department_that_came_later_checks_by_the_changes_it_brings_along() -> None:
    piece = equivocation(CHAIN)
    file = piece.to_file(KNOWN.changes_to(piece.height))
    assert is_evidence_file(file)
    assert Evidence.read_file(file) == (piece, PROOF.changes)
    assert verify_evidence_file(GENESIS, file)["department"] == "process"
    with pytest.raises(KehuError, match=r"evidence\.other_epoch"):
        verify_evidence_file(GENESIS, piece.to_file())
    with pytest.raises(KehuError, match=r"evidence\.other_epoch"):
        verify_evidence_file(GENESIS, piece.to_file(PROOF.changes[:1]))


def test_the_command_verifies_both_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "genesis.json").write_text(json.dumps(GENESIS.value), encoding="utf-8")
    (tmp_path / "proof.kehu").write_bytes(PROOF.to_bytes())
    (tmp_path / "lie.evidence").write_bytes(equivocation(CHAIN).to_file(PROOF.changes))
    for name in ("proof.kehu", "lie.evidence"):
        ran = CliRunner().invoke(tree(), ["verify", str(tmp_path / name), "--genesis", str(tmp_path / "genesis.json")])
        assert ran.exit_code == 0, ran.output
        assert "Everything checks." in ran.output
