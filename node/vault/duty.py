"""What which vault has to hold, by the committed state and the contracts: no vault, no sockets here.

A department is entitled to a value if `contracts.deciding.holders.holders` names it. Of transactions that are not yet
committed node/vault/planning.py says who would be. Runs on the event loop, which is where the state changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Transaction
from contracts.base import count_of
from contracts.deciding.holders import holders
from contracts.deciding.policy import load_policy
from contracts.records import SEQUENCES
from node.shared_rows import SharedRows
from node.vault.entitlement import Entitlements
from node.vault.planning import TURN, Plan, Planning, digest_in
from node.vault.seal import RecordId, Wanted
from node.vault.values import FieldId

KEYS_AT_ONCE: Final = 64
"""Keys of a table that are read at once, where it can't be counted through."""


class Duty(msgspec.Struct, frozen=True, gc=False):
    """A record's current digests, and those of the fields that this department is entitled to."""

    current: Mapping[str, bytes]
    entitled: Mapping[str, bytes]


_NOTHING: Final = Duty({}, {})


class Duties:
    def __init__(self, department: str, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self.department = department
        self._ledger = ledger
        self._now_ms = now_ms
        self._entitlements = Entitlements()

    @property
    def chain_id(self) -> bytes:
        return self._ledger.genesis.chain_id

    @property
    def height(self) -> int:
        return self._ledger.height

    def follow(self, executed: ExecutedBlock) -> None:
        """A block that was appended, each in turn, the sooner the better; a second time does nothing."""
        self._entitlements.follow(executed.block.header.height, executed.writes)

    def now_ms(self) -> int:
        """This node's clock, but never behind the chain: a grant that a block finds expired is expired here."""
        return max(self._now_ms(), self._ledger.head.header.time_ms)

    def keys(self, table: str) -> list[str]:
        """Every key of one of the state's tables."""
        return list(self._ledger.state.keys(table))

    def rows(self, table: str) -> Iterator[Mapping[str, Any]]:
        return (row for _, row in self._ledger.state.scan(table))

    def view(self) -> View:
        """The committed state; writes to it go nowhere."""
        return View(self._ledger.state.get)

    def rows_now(self) -> SharedRows:
        """The committed state, for questions only."""
        return SharedRows(self._ledger.state.get)

    def holders_min(self) -> int:
        return int(load_policy(self.view())["vault_holders_min"])

    def holders(self, name: FieldId) -> tuple[str, ...]:
        """The departments entitled to a field's value now."""
        return holders(self.view(), name.table, name.record, name.field, self.now_ms())

    def digest_of(self, name: FieldId) -> bytes | None:
        """The field's current digest."""
        return digest_in(self.view(), name)

    def is_current(self, wanted: Wanted) -> bool:
        return self.digest_of(wanted[0]) == wanted[1]

    def is_entitled(self, department: str, wanted: Wanted) -> bool:
        """Whether the department may hold this very version."""
        return self.is_current(wanted) and department in self.holders(wanted[0])

    def version_of(self, record: RecordId) -> int:
        row = self.view().get(record.table, record.record)
        return 0 if row is None else int(row["version"])

    def of(self, record: RecordId) -> Duty:
        """What this department has to hold of a record; nothing of one that is not there."""
        return self._of_page([record])[record]

    async def of_all(self, records: Sequence[RecordId]) -> dict[RecordId, Duty]:
        """`of` for many. None is older than the call, but the chain may go on between one and the next."""
        found: dict[RecordId, Duty] = {}
        for begin in range(0, len(records), TURN):
            found |= self._of_page(records[begin : begin + TURN])
            await asyncio.sleep(0)
        return found

    def _of_page(self, records: Sequence[RecordId]) -> dict[RecordId, Duty]:
        view, height, now_ms, own = self.rows_now(), self._ledger.height, self.now_ms(), self.department
        found: dict[RecordId, Duty] = {}
        for record in records:
            row = view.get(*record)
            fields = None if row is None else row["fields"]
            if not fields:
                found[record] = _NOTHING
                continue
            current = {field: entry[0] for field, entry in fields.items()}
            held = self._entitlements.held_by(own, view, record, now_ms, height)
            is_whole = current.keys() <= held
            entitled = current if is_whole else {field: current[field] for field in current if field in held}
            found[record] = Duty(current, entitled)
        return found

    def records(self, table: str) -> Iterator[RecordId]:
        """Every record of a table; may be consumed bit by bit while the chain goes on."""
        sequence = SEQUENCES.get(table)
        if sequence is None:
            after = ""
            while page := list(islice(self._ledger.state.keys(table, after), KEYS_AT_ONCE)):
                yield from (RecordId(table, name) for name in page)
                after = page[-1]
            return
        number = 1
        while number <= count_of(self.view(), table):
            row = self.view().get(sequence, str(number))
            if row is not None:
                yield RecordId(table, row["record"])
            number += 1

    async def plan(self, transactions: Sequence[Transaction], admitted_by: str) -> list[Plan | KehuError]:
        """One plan per transaction, in order, each over the state that those before it would leave.

        An error where the transaction would be refused and its record is not there, or erased: nobody could be
        entitled.
        A transaction that would be refused on a record that is there (a conflict, say) has a plan: it may go
        on the record with its refusal.
        """
        planning = self._planning(admitted_by)
        return await planning.all(transactions, planning.in_place)

    async def plan_to_hold(self, transactions: Sequence[Transaction], admitted_by: str) -> list[Plan | KehuError]:
        """As `plan`, for a department that is asked to hold values: others that may hold them need not be found, and of
        a record that is not there yet, not whom it would be assigned to, if it may hold the values in any case."""
        planning = self._planning(admitted_by)
        return await planning.all(transactions, planning.to_hold)

    def _planning(self, admitted_by: str) -> Planning:
        return Planning(self.department, self._ledger, self._entitlements, self.now_ms, admitted_by)
