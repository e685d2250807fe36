"""What a transaction commits to: the fields and digests that its calls and attestations name."""

from __future__ import annotations

from collections.abc import Container, Mapping

from chain import codec
from chain.attestation import CUSTOMER_TABLE, IDENTIFIER_FIELD
from chain.errors import KehuError
from chain.transaction import Call, Transaction
from contracts.people.attestations import attestations_of
from contracts.records import RECORD_ARGUMENTS
from node.vault.seal import RecordId, Wanted
from node.vault.values import FieldId


def commitments(transaction: Transaction) -> list[Wanted]:
    """The fields and digests that a transaction's calls name: those whose values come with it."""
    return [wanted for call in transaction.calls for wanted in _named(call)]


def attested(transaction: Transaction) -> list[Wanted]:
    """The identifiers that its attestations name. A value comes with one only if it is new to the chain."""
    return [wanted for call in transaction.calls if call.args.get("attestation") for wanted in _attested(call)]


def digests_of(transaction: Transaction) -> list[bytes]:
    """All digests for which a value may come with the transaction."""
    return [digest for _, digest in (*commitments(transaction), *attested(transaction))]


def _named(call: Call) -> list[Wanted]:
    record, fields = record_and_fields(call)
    return [] if record is None else wanted_of(*record, fields)


def record_and_fields(call: Call) -> tuple[RecordId | None, Mapping[str, codec.Value]]:
    table = call.name.partition(".")[0]
    record, fields = call.args.get(RECORD_ARGUMENTS.get(table, "")), call.args.get("fields")
    return (RecordId(table, record), fields) if type(record) is str and type(fields) is dict else (None, {})


def _attested(call: Call) -> list[Wanted]:
    try:
        attestations = attestations_of(call.args.get("attestation"))
    except KehuError:
        return []
    return [
        wanted
        for one in attestations
        for wanted in wanted_of(CUSTOMER_TABLE, one.customer, {IDENTIFIER_FIELD: one.identifier_digest})
    ]


def wanted_of(table: str, record: str, fields: Mapping[str, codec.Value], good: Container[str] = ()) -> list[Wanted]:
    """Without those of which a name or digest is malformed: the contract will refuse the call and say why.

    `good`: names of fields that are well-formed; then those of table and record are."""
    found: list[Wanted] = []
    for field, digest in fields.items():
        if not codec.is_digest(digest):
            continue
        try:
            name = FieldId._make((table, record, field)) if field in good else FieldId(table, record, field)
        except KehuError:
            continue
        found.append((name, digest))
    return found
