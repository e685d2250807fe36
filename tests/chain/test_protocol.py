"""The version of the rules: which one counts at a height, and what software that does not speak it does: nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from chain import protocol
from chain.audit import Auditor, check_signatures
from chain.block import Block, Header
from chain.errors import KehuError
from chain.export import ExportBlock, ExportReader
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.transaction import Call, Transaction
from tools.sample_chain import Notes, SampleChain, make_genesis, make_upgrade
from tools.verifier import chain_verifier as verifier
from tools.verifier.export import _verify_links, verify_export
from tools.verifier.following import Sets
from tools.verifier.primitives import VerificationError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that speaks version 1 only."""
    monkeypatch.setattr(protocol, "NEWEST", 1)


def frames(chain: SampleChain) -> list[ExportBlock]:
    reader = ExportReader()
    return [item for item in reader.feed(chain.export()) if isinstance(item, ExportBlock)]


def test_blocks_carry_the_version_of_their_height_and_contracts_hear_of_it() -> None:
    chain = make_upgrade()
    versions = [chain.blocks.block(height).header.version for height in range(chain.ledger.height + 1)]
    assert versions == [1, 1, 1, 1, 1, 2, 2]
    executed = chain.append(chain.batch(chain.put("x")))
    assert executed.block.header.version == 2
    assert chain.ledger.facts(0).protocol == 2


def test_a_network_that_begins_at_a_version_has_it_from_genesis_on() -> None:
    chain = SampleChain(Genesis.from_value({**make_genesis().value, "protocol": 2}))
    chain.append(chain.batch(chain.put("a")))
    assert [chain.blocks.block(height).header.version for height in (0, 1)] == [2, 2]
    assert chain.ledger.protocol_schedule() == {"versions": [[0, 2]]}
    assert SampleChain().ledger.protocol_schedule() is None


@pytest.mark.parametrize("version", [1, 3, 0])
def test_a_header_with_another_version_than_counts_is_refused(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "NEWEST", 3)
    chain = make_upgrade()
    good = chain.ledger.build("finance", chain.genesis.time_ms + 99_000, [chain.batch(chain.put("x"))]).block
    wrong = Block.of(replace(good.header, version=version), good.parent_certificate, good.batches)
    with pytest.raises(KehuError) as caught:
        chain.ledger.check(wrong, lambda _batch, _set: None)
    assert (caught.value.code, caught.value.details["field"]) == ("block.mismatch", "version")
    assert (caught.value.details["expected"], caught.value.details["actual"]) == (2, version)


@pytest.mark.usefixtures("older")
def test_older_software_builds_and_checks_nothing_from_the_height_on() -> None:
    chain = SampleChain()
    chain.append(chain.batch(_upgrade(chain, 3)))
    chain.append(chain.batch(chain.put("a")))
    assert chain.ledger.height == 2
    for attempt in (chain.ledger.require_supported, lambda: chain.append(chain.batch(chain.put("b")))):
        with pytest.raises(KehuError) as caught:
            attempt()
        assert caught.value.code == "protocol.too_new"
        assert caught.value.details == {"height": 3, "needs": 2, "speaks": 1}
    assert chain.ledger.height == 2


def _upgrade(chain: SampleChain, height: int) -> Transaction:
    return chain.transact(Call("notes.upgrade", {"height": height, "version": 2}))


def test_what_older_software_has_stored_is_good_for_newer_software(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(protocol, "NEWEST", 1)
        chain = SampleChain()
        chain.append(chain.batch(_upgrade(chain, 3)))
        chain.append(chain.batch(chain.put("a")))
    chain.ledger, chain.blocks = Ledger.open(chain.genesis, Notes(), chain.store)
    assert chain.append(chain.batch(chain.put("b"))).block.header.version == 2


def test_an_audit_replays_both_versions_and_an_older_one_refuses_at_the_height(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_upgrade()
    auditor = Auditor.at_genesis(chain.genesis.raw, Notes())
    for frame in frames(chain):
        step = auditor.step(frame)
        assert step.finding is None
        assert check_signatures(step.signatures) is None
    assert auditor.height == 6
    monkeypatch.setattr(protocol, "NEWEST", 1)
    auditor = Auditor.at_genesis(chain.genesis.raw, Notes())
    for frame in frames(chain)[:4]:
        assert auditor.step(frame).finding is None
    with pytest.raises(KehuError) as caught:
        auditor.step(frames(chain)[4])
    assert caught.value.code == "protocol.too_new"
    assert caught.value.details == {"height": 5, "needs": 2, "speaks": 1}


@pytest.mark.usefixtures("older")
def test_older_software_refuses_a_genesis_and_a_header_of_a_later_version() -> None:
    later = Genesis.from_value({**make_genesis().value, "protocol": 2})
    with pytest.raises(KehuError) as caught:
        SampleChain(later)
    assert (caught.value.code, caught.value.details["height"]) == ("protocol.too_new", 0)
    with pytest.raises(KehuError, match=r"protocol\.too_new"):
        Header.from_bytes(bytes.fromhex(_vectors()["heights"][5]["header"]))


def _vectors() -> Any:
    return json.loads((VECTORS / "protocol.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("value", [0, -1, "2", True, 1 << 64])
def test_a_genesis_names_a_positive_version_or_none(value: object) -> None:
    with pytest.raises(KehuError, match=r"genesis.invalid|codec"):
        Genesis.from_value({**make_genesis().value, "protocol": value})


def test_the_independent_verifier_follows_both_versions() -> None:
    made = _vectors()
    export = bytes.fromhex(made["export"])
    found = verify_export(BytesIO(export))
    assert (found.height, found.block_id.hex()) == (6, made["heights"][6]["id"])
    assert [row["version"] for row in made["heights"]] == [1, 1, 1, 1, 1, 2, 2]


def test_the_independent_verifier_refuses_versions_that_fall_or_are_unknown() -> None:
    headers = [verifier.Header.of(bytes.fromhex(row["header"])) for row in _vectors()["heights"]]
    fallen = replace(headers[6], version=1)
    with pytest.raises(VerificationError, match="version falls"):
        _verify_links(fallen, headers[5], fallen.chain_id, b"", Sets(fallen.chain_id))
    with pytest.raises(VerificationError, match="does not know"):
        verifier.Header.of(headers[6].raw[:1] + bytes([protocol.NEWEST + 1]) + headers[6].raw[2:])
