"""Giving values to departments that became entitled later: the holder's side.

    vault.fetch     [[table, record, field, digest], ...]  ->  [["ok", value] or [code, nil], ...] in the same order
    vault.held      [[table, record, field, digest], ...]  ->  [true or false, ...]

A holder checks by its own state that the asker is entitled and that the digest is the field's current one. The release
goes on the record first (`vault.record_release`, one transaction per request) and the values leave after it is
committed, as with every other reading. "vault.later" stands for what did not fit into this answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chain import codec
from chain.errors import KehuError, define
from chain.transaction import CALLS_MAX, Call
from contracts.errors import VAULT_NOT_ENTITLED
from node.storage.durable import StorageFailure
from node.vault.duty import Duties
from node.vault.seal import RecordId, Wanted
from node.vault.shares import OK, VAULT_TOO_MANY_VALUES
from node.vault.store import Vault
from node.vault.values import FieldId, VaultValue

FETCH: Final = "vault.fetch"
HELD: Final = "vault.held"
WANTED_MAX: Final = 500
WANTED_BYTES_MAX: Final = 1 << 20
ANSWER_BYTES_MAX: Final = 12 << 20
_ANSWERED_BYTES: Final = 1 << 20
"""Values of one answer; the rest is for a later one."""

VAULT_MISSING = define(
    "vault.missing",
    "this node does not hold the value, though its department may",
    "ask again in a moment: it is being fetched; or ask the node of a department named as holder",
)
VAULT_SUPERSEDED = define(
    "vault.superseded",
    "the field has a newer version, and vaults keep only the newest",
    "read the record again",
)
VAULT_LATER = define("vault.later", "the value did not fit into this answer", "ask for it in another request")

Submit = Callable[[Sequence[Call]], Awaitable[object]]
"""Signs calls with this node's key, submits them as one transaction and returns once it is committed with "ok";
raises KehuError otherwise."""


def encode_wanted(wanted: Sequence[Wanted]) -> bytes:
    return codec.encode_flat([[name.table, name.record, name.field, digest] for name, digest in wanted])


def decode_wanted(payload: bytes) -> list[Wanted]:
    """Errors: codec.*, vault.value_invalid, vault.too_many_values."""
    (items,) = codec.fields([codec.decode(payload, WANTED_BYTES_MAX)], "wanted values", codec.is_list)
    if len(items) > WANTED_MAX:
        raise KehuError(VAULT_TOO_MANY_VALUES, values=len(items), limit=WANTED_MAX)
    wanted = []
    for item in items:
        *names, digest = codec.fields(item, "wanted value", *[codec.is_text] * 3, codec.is_digest)
        wanted.append((FieldId(*names), digest))
    return wanted


def decode_answers(raw: bytes, count: int) -> list[tuple[str, VaultValue | None]]:
    """(code, value) for each of the `count` wanted values. Errors: codec.*, vault.value_invalid."""
    (items,) = codec.fields([codec.decode(raw, ANSWER_BYTES_MAX)], "fetch answers", codec.is_list)
    codec.fields(items, "fetch answers", *[codec.is_list] * count)
    pairs = [codec.fields(item, "fetch answer", codec.is_text, codec.optional(codec.is_list)) for item in items]
    return [(code, None if value is None else VaultValue.from_value(value)) for code, value in pairs]


class ReleaseServer:
    def __init__(self, duties: Duties, vault: Vault, submit_own: Submit) -> None:
        self._duties, self._vault, self._submit_own = duties, vault, submit_own

    async def serve_fetch(self, department: str, payload: bytes) -> bytes:
        """Errors: those of `decode_wanted` and of recording the release; then nothing leaves."""
        wanted = decode_wanted(payload)
        found: dict[Wanted, VaultValue] = {}
        codes = {one: self._refusal(department, one) for one in wanted}
        allowed = [one for one in codes if codes[one] is None]
        for one, answer in (await asyncio.to_thread(self._read, allowed)).items():
            if isinstance(answer, str):
                codes[one] = answer
            else:
                found[one] = answer
        if found:
            await self._submit_own(self._release_calls(department, list(found)))
        # The state may have moved while the release was being committed.
        codes |= {one: self._refusal(department, one) for one in found}
        return codec.encode(
            [[OK, found[one].to_value()] if codes[one] is None else [codes[one], None] for one in wanted]
        )

    async def serve_held(self, _department: str, payload: bytes) -> bytes:
        """Which of the values are here, and open: the asker destroys its own by this. Says nothing about them, and
        digests are public."""
        wanted = decode_wanted(payload)
        return codec.encode(await asyncio.to_thread(lambda: [self._opens(one) for one in wanted]))

    def _opens(self, wanted: Wanted) -> bool:
        name, digest = wanted
        try:
            return self._vault.get(*name, digest) is not None
        except StorageFailure:
            raise
        except KehuError:  # set aside by this, to be fetched from another holder
            return False

    def _refusal(self, department: str, wanted: Wanted) -> str | None:
        if not self._duties.is_current(wanted):
            return VAULT_SUPERSEDED.code
        holders = self._duties.holders(wanted[0])
        is_allowed = department in holders and self._duties.department in holders
        return None if is_allowed else VAULT_NOT_ENTITLED.code

    def _read(self, wanted: Sequence[Wanted]) -> dict[Wanted, VaultValue | str]:
        """Values, or the code that says why not; at most as many records as one transaction can record."""
        answers: dict[Wanted, VaultValue | str] = {}
        records: set[RecordId] = set()
        size = 0
        for one in wanted:
            name, digest = one
            record = RecordId(name.table, name.record)
            is_full = size >= _ANSWERED_BYTES or (record not in records and len(records) >= CALLS_MAX)
            value = None if is_full else self._vault.get(name.table, name.record, name.field, digest)
            if value is None:
                answers[one] = VAULT_LATER.code if is_full else VAULT_MISSING.code
                continue
            answers[one] = value
            records.add(record)
            size += len(value.value.encode())
        return answers

    def _release_calls(self, department: str, released: Sequence[Wanted]) -> list[Call]:
        """One call per record, with the version that the record has now."""
        fields: dict[RecordId, list[str]] = {}
        for name, _ in released:
            fields.setdefault(RecordId(name.table, name.record), []).append(name.field)
        return [
            Call(
                "vault.record_release",
                {
                    "table": record.table,
                    "record": record.record,
                    "fields": sorted(names),
                    "version": self._duties.version_of(record),
                    "to": department,
                },
            )
            for record, names in fields.items()
        ]
