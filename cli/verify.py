"""What a node says, held against what a quorum of departments signed. Pure functions; nothing here trusts a node.

The chain id and the first validator set come from the genesis file on this machine; later sets are proven
(chain.following).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chain.block import Header
from chain.errors import CATALOGUE, ErrorSpec, KehuError, define
from chain.execution import is_execution
from chain.following import KnownSets
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof
from chain.receipt import Receipt
from chain.records import field_digest
from chain.state import decode_value
from chain.validators import ValidatorSet
from cli.exits import RemoteRefusal

PROOF_OTHER = define(
    "proof.other_transaction",
    "the node's proof is a good one, but for another transaction than the one asked about",
    "don't rely on the answer; ask another department's node",
)
PROOF_NOT_RUN = define(
    "proof.not_run_there",
    "the node's proof is a good one, but of a place in the chain where the transaction was not run",
    "don't rely on the answer, it may have run in another place; ask another department's node",
)
VALUE_MISMATCH = define(
    "proof.value_mismatch",
    "a value from the node's vault is not the one that the chain commits to",
    "don't rely on it; ask another department's node and report this one",
)


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction's receipt, and the certified header it stands under."""

    transaction_id: bytes
    header: Header
    receipt: Receipt

    @property
    def height(self) -> int:
        return self.header.height

    def require_ok(self) -> Committed:
        """Itself, or the refusal that the departments agreed on."""
        if not self.receipt.is_ok:
            raise refusal_of(self)
        return self

    def result(self, index: int = 0) -> Any:
        return self.receipt.results[index]


def refusal_of(committed: Committed) -> RemoteRefusal:
    """The error of a failed receipt, with cause and cure from this release's catalogue."""
    receipt = committed.receipt
    details = {name: value for name, value in receipt.details.items() if name not in ("spec", "transaction", "height")}
    return RemoteRefusal(
        known_error(receipt.code), transaction=committed.transaction_id, height=committed.height, **details
    )


def known_error(code: str) -> ErrorSpec:
    """The catalogue's entry of a code that came from elsewhere."""
    if code not in CATALOGUE:
        import contracts.registry  # noqa: F401 - fills the catalogue
    unknown = ErrorSpec(
        code, "the contracts refused it", "compare the code with docs/errors.md of the network's release"
    )
    return CATALOGUE.get(code, unknown)


def check_receipt(genesis: Genesis, transaction_id: bytes, proof: bytes, known: KnownSets | None = None) -> Committed:
    """The receipt that `proof` shows. Errors: proof.*, certificate.*, codec.*."""
    shown = ReceiptProof.from_bytes(proof)
    header, receipt = shown.verify(_deciders(genesis, known, shown.header_bytes), genesis.chain_id)
    if receipt.transaction_id != transaction_id:
        raise KehuError(PROOF_OTHER, expected=transaction_id, actual=receipt.transaction_id)
    if not is_execution(receipt):
        raise KehuError(PROOF_NOT_RUN, transaction=transaction_id, height=header.height, code=receipt.code)
    return Committed(transaction_id, header, receipt)


def check_state(
    genesis: Genesis, table: str, key: str, value: bytes | None, proof: bytes, known: KnownSets | None = None
) -> tuple[dict[str, Any] | None, Header]:
    """What `table/key` is (None: absent) under which certified header. Errors: proof.*, certificate.*, codec.*."""
    shown = StateProof.from_bytes(proof)
    deciders = _deciders(genesis, known, shown.header_bytes)
    header = shown.verify(deciders, genesis.chain_id, table, key, value)
    return (None if value is None else decode_value(value)), header


def _deciders(genesis: Genesis, known: KnownSets | None, header_bytes: bytes) -> ValidatorSet:
    return (known or KnownSets(genesis)).at(Header.from_bytes(header_bytes).height)


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One field of a record as its reader gets it. `state`: "shown", "refused" (with `code`), "missing"
    (allowed, but the node's vault does not hold it) or "superseded" (of an earlier height, destroyed since)."""

    state: str
    value: Any = None
    version: int | None = None
    code: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state, "value": self.value, "version": self.version, "code": self.code}


def check_fields(genesis: Genesis, record: Mapping[str, Any], values: Iterable[Any]) -> dict[str, Disclosed]:
    """The fields of one record of an access result, each value held against its digest.

    `record`: {"table", "record", "fields": {name: {"allowed", "digest", "version", …}}}; `values`: VaultValues.
    Errors: proof.value_mismatch.
    """
    table, name = record["table"], record["record"]
    held = {item.field: item for item in values if (item.table, item.record) == (table, name)}
    found = {}
    for field, said in sorted(record["fields"].items()):
        if not said["allowed"]:
            found[field] = Disclosed("refused", code=said.get("code"))
            continue
        if not said.get("current", True):
            found[field] = Disclosed("superseded", version=said["version"])
            continue
        item = held.get(field)
        if item is None:
            found[field] = Disclosed("missing", version=said["version"])
            continue
        actual = field_digest(genesis.chain_id, table, name, field, item.salt, item.value)
        if actual != said["digest"]:
            raise KehuError(
                VALUE_MISMATCH, table=table, record=name, field=field, expected=said["digest"], actual=actual
            )
        found[field] = Disclosed("shown", item.value, said["version"])
    return found
