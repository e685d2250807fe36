"""Evidence on the record: checked by everybody who executes it, once per name, from nodes only."""

from __future__ import annotations

import pytest

import contracts.departments.evidence
from chain import codec
from chain.errors import KehuError
from chain.evidence import Evidence, Kind, Statement
from tests.contracts.office import Office, key_of


def piece(office: Office, view: int = 0, kind: Kind = "commit", signer: str = "node finance", height: int = 1) -> bytes:
    contents = [bytes(32), bytes([1]) * 32]
    key, chain_id = key_of(signer), office.chain_id
    statements = [
        Statement(content, key.sign(kind, chain_id, codec.encode_flat([0, height, view, content])))
        for content in contents
    ]
    return Evidence.of(chain_id, kind, 0, height, view, "finance", *statements).to_bytes()


def test_evidence_is_recorded_once_per_department_height_view_and_kind(office: Office) -> None:
    result = office.ok("node sales", "evidence.report", evidence=piece(office))
    assert result["evidence"] == "finance.1.0.commit"
    row = office.view().get("evidence", "finance.1.0.commit")
    assert row is not None
    assert (row["department"], row["by"], row["evidence"]) == ("finance", "sales", piece(office))
    assert office.code("node process", "evidence.report", evidence=piece(office)) == "evidence.known"
    assert office.ok("node process", "evidence.report", evidence=piece(office, 1))["number"] == 2
    assert office.ok("node sales", "evidence.report", evidence=piece(office, 0, "prepare"))["number"] == 3


def test_only_a_node_reports_and_only_what_proves_something(office: Office) -> None:
    assert office.code("boss", "evidence.report", evidence=piece(office)) == "keys.wrong_kind"
    forged = piece(office, signer="node sales")
    assert office.code("node sales", "evidence.report", evidence=forged) == "evidence.invalid"
    assert office.code("node sales", "evidence.report", evidence=b"\x90") == "codec.shape"
    assert office.view().get("evidence", "finance.1.0.commit") is None


def test_evidence_against_one_department_is_limited(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts.departments.evidence, "EVIDENCE_MAX", 1)
    office.ok("node sales", "evidence.report", evidence=piece(office))
    assert office.code("node sales", "evidence.report", evidence=piece(office, 1)) == "evidence.limit"


def test_a_height_that_no_known_set_decided_is_refused(office: Office) -> None:
    schedule = {"sets": [[5, office.genesis.validators.to_value()]]}
    view = office.view()
    view.put("validators", "schedule", schedule)
    with pytest.raises(KehuError) as refusal:
        contracts.departments.evidence._validators_at(view, 4)
    assert refusal.value.code == "evidence.height"
