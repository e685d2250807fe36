"""Every value in a proof file is one that its reader was shown in that read, however often the record was read."""

from __future__ import annotations

import pytest

from chain import light
from chain.errors import KehuError
from chain.following import KnownSets
from chain.transaction import Call
from cli.proof_file import Proven, Read, pack, verify_proof_file
from node.vault.values import VaultValue
from tests.contracts.office import Office, salt_of
from tools.verifier.following import verify_proof_file as verify_independently
from tools.verifier.primitives import VerificationError

NAME = VaultValue("customers", "c1", "name", salt_of("c1 name 张三"), "张三")
POSITION = VaultValue("customers", "c1", "position", salt_of("c1 position 经理"), "经理")
UNREAD = VaultValue("customers", "c1", "address", bytes(32), "北京")
FALSE = VaultValue("customers", "c1", "name", salt_of("c1 name 张三"), "李四")


@pytest.fixture
def stocked() -> Office:
    office = Office()
    office.register("c1", position="经理")
    return office


def file_of(office: Office, fields: list[list[str]], *values: VaultValue) -> bytes:
    """What li read of c1 in one transaction, `fields` by one call each."""
    about = {"table": "customers", "record": "c1", "purpose": "follow-up"}
    receipt = office.send("li", *(Call("access.read", {**about, "fields": names}) for names in fields))
    assert receipt.is_ok
    head = office.ledger.head
    assert head.certificate is not None
    proof = light.prove_receipt(head.header, head.certificate, [receipt.to_bytes()], 0)
    return pack(KnownSets(office.genesis), office.chain_id, (Read(proof.to_bytes(), values),), ()).to_bytes()


def shown(proven: Proven) -> set[tuple[str, str]]:
    return {item for record in proven.records for item in record.fields.items()}


def test_a_record_that_was_read_twice_in_one_transaction_is_proven(stocked: Office) -> None:
    file = file_of(stocked, [["name"], ["name", "position"]], NAME, POSITION)
    assert shown(verify_proof_file(stocked.genesis, file)) == {("name", "张三"), ("position", "经理")}
    verify_independently(file, stocked.genesis.raw)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ([["name"], ["name"]], (NAME, UNREAD)),
        ([["name"], ["name"]], (NAME, POSITION)),
        ([["name"], ["name"]], (FALSE, NAME)),
        ([["name"]], (NAME, UNREAD)),
        ([["name"]], (NAME, NAME)),
    ],
)
def test_no_value_stands_in_a_file_that_was_not_shown(
    stocked: Office, fields: list[list[str]], values: tuple[VaultValue, ...]
) -> None:
    file = file_of(stocked, fields, *values)
    with pytest.raises(KehuError, match=r"proof\.value_"):
        verify_proof_file(stocked.genesis, file)
    with pytest.raises(VerificationError):
        verify_independently(file, stocked.genesis.raw)


def test_a_file_that_shows_nothing_is_no_proof(stocked: Office) -> None:
    """Neither an empty one nor one of a transaction that read nothing, though its receipt is a good one."""
    receipt = stocked.send("li", Call("access.login", {}))
    head = stocked.ledger.head
    assert head.certificate is not None
    proof = light.prove_receipt(head.header, head.certificate, [receipt.to_bytes()], 0).to_bytes()
    for reads in ((), (Read(proof, ()),)):
        file = pack(KnownSets(stocked.genesis), stocked.chain_id, reads, ()).to_bytes()
        with pytest.raises(KehuError, match=r"proof\.nothing_shown"):
            verify_proof_file(stocked.genesis, file)
        with pytest.raises(VerificationError, match="shows nothing"):
            verify_independently(file, stocked.genesis.raw)


def test_a_read_of_which_no_value_is_shown_proves_the_facts_of_its_record(stocked: Office) -> None:
    file = file_of(stocked, [["name"]])
    (record,) = verify_proof_file(stocked.genesis, file).records
    assert (record.record, record.fields) == ("c1", {})
    verify_independently(file, stocked.genesis.raw)
