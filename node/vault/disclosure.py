"""Which values may leave the vault for a reader: those that a committed access call of the same key was allowed.

Every department has decided about the read, field by field, and the receipt names the digests. So nothing is decided
here; values go out only to the key that signed the call, only under the receipt's digests, and only for a short time
after the block, since grants may have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.errors import KehuError, define
from chain.receipt import Receipt
from chain.state import View
from chain.transaction import Transaction
from contracts.deciding.holders import holders
from contracts.erasing.retention import is_erased
from contracts.errors import RECORD_ERASED
from node.vault.release import VAULT_MISSING, VAULT_SUPERSEDED
from node.vault.seal import Wanted
from node.vault.store import Vault
from node.vault.values import FieldId, VaultValue

WINDOW_MS: Final = 10 * 60_000
"""How long after its block a read may still be answered."""
_FOUND: Final = "access.found"
"""A node's answer to somebody's search: the one call whose values go to another key than the one that signed it."""
_CALLS: Final = frozenset({"access.read", "access.list", "access.members", "access.contact", _FOUND})

ACCESS_NOT_YOURS = define(
    "access.not_yours",
    "the read was signed by another key than the request for its values",
    "sign the request with the key that signed the read, or read again with this one",
)
ACCESS_NOT_COMMITTED = define(
    "access.not_committed",
    "the read is not on the record yet, or it failed there; values are shown only after it is",
    "wait until the transaction is committed with code ok (`kehu tx show ID`)",
)
ACCESS_NOT_A_READ = define(
    "access.not_a_read",
    "the transaction has no call that may release values (access.read, access.list, access.members, access.contact, "
    "access.found)",
    "ask for the values of a read",
)
ACCESS_TOO_OLD = define(
    "access.too_old",
    "the read was committed so long ago that grants may have changed since",
    "read again; the values come with the new read",
)


def disclose(
    vault: Vault,
    view: View,
    transaction: Transaction,
    receipt: Receipt | None,
    block_time_ms: int,
    key: bytes,
    now_ms: int,
    window_ms: int = WINDOW_MS,
) -> list[VaultValue]:
    """The values that `key` may have for its committed read, in the order of the receipt.

    `receipt` is None while the transaction is not committed. A value that the vault does not have just now is left
    out, and the caller sees from the receipt that it is lacking; if there is none to show at all, that is an error.
    Errors: access.not_yours, access.not_committed, access.not_a_read, access.too_old, vault.missing (with the
    departments that may hold it), vault.superseded, record.erased. Reads the disk.
    """
    if key not in _readers(transaction, receipt):
        raise KehuError(ACCESS_NOT_YOURS, transaction=transaction.id, key=key)
    if receipt is None or not receipt.is_ok:
        code = None if receipt is None else receipt.code
        raise KehuError(ACCESS_NOT_COMMITTED, transaction=transaction.id, code=code)
    if not any(call.name in _CALLS for call in transaction.calls):
        raise KehuError(ACCESS_NOT_A_READ, transaction=transaction.id, calls=len(transaction.calls))
    if now_ms - block_time_ms > window_ms:
        raise KehuError(ACCESS_TOO_OLD, transaction=transaction.id, age_ms=now_ms - block_time_ms, limit_ms=window_ms)
    wanted = allowed_values(transaction, receipt, key)
    # The chain may be a moment ahead of the vault: what is erased there is not shown though it is still here.
    left = [(name, digest) for name, digest in wanted if not is_erased(view, name.table, name.record)]
    found = [vault.get(name.table, name.record, name.field, digest) for name, digest in left]
    shown = [value for value in found if value is not None]
    if wanted and not shown:
        raise _absence(view, wanted[0])
    return shown


def _readers(transaction: Transaction, receipt: Receipt | None) -> set[bytes]:
    """The keys that may ask for the values behind a transaction."""
    if receipt is None or not receipt.is_ok:
        return {transaction.key}
    reading = [one for one in zip(transaction.calls, receipt.results, strict=True) if one[0].name in _CALLS]
    return {_reader(transaction, call.name, result) for call, result in reading} or {transaction.key}


def _reader(transaction: Transaction, call: str, result: dict[str, Any]) -> bytes:
    return bytes.fromhex(result["key"]) if call == _FOUND else transaction.key


def allowed_values(transaction: Transaction, receipt: Receipt, key: bytes | None = None) -> list[Wanted]:
    """The fields and digests that a committed transaction's access calls were allowed, each once; of those whose
    values go to `key`, if it is given."""
    found: dict[Wanted, None] = {}
    for call, result in zip(transaction.calls, receipt.results, strict=True):
        if call.name in _CALLS and key in (None, _reader(transaction, call.name, result)):
            found.update(dict.fromkeys(_allowed_in(call.name, result)))
    return list(found)


def _allowed_in(call: str, result: dict[str, Any]) -> Iterator[Wanted]:
    """Results are the contracts' own (access and contact in contracts/reading/) and certified: their shape is known."""
    if call in ("access.list", "access.members", _FOUND):
        for record in result["records"]:
            yield from _allowed_fields(record["table"], record["record"], record["fields"])
    elif call == "access.contact":
        yield from _allowed_fields("customers", result["customer"], result["fields"])
    else:
        yield from _allowed_fields(result["table"], result["record"], result["fields"])


def _allowed_fields(table: str, record: str, answers: dict[str, dict[str, Any]]) -> Iterator[Wanted]:
    """A value that was superseded since the height asked about is in no vault any more, so it isn't looked for."""
    for field, answer in answers.items():
        if answer["allowed"] and answer.get("current", True):
            yield FieldId(table, record, field), answer["digest"]


def _absence(view: View, wanted: Wanted) -> KehuError:
    """Why nothing can be shown, by the first value that is lacking."""
    name, digest = wanted
    place = {"table": name.table, "record": name.record, "field": name.field}
    row = view.get(name.table, name.record)
    if row is not None and is_erased(view, name.table, name.record):
        return KehuError(RECORD_ERASED, table=name.table, record=name.record, height=row["erased"]["height"])
    if row is None or row["fields"].get(name.field, [None])[0] != digest:
        return KehuError(VAULT_SUPERSEDED, **place, digest=digest)
    entitled = holders(view, name.table, name.record, name.field)
    return KehuError(VAULT_MISSING, **place, digest=digest, holders=",".join(entitled))
