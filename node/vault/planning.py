"""Who would hold the values of transactions that are not yet committed.

The question is put to the state as it would be: a transaction is run on a view that is thrown away, so a new customer
is already assigned to whoever registers it. What only changes fields need not be run: the state as it is says who holds
them. Runs on the event loop, which is where the state changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from chain.batch import Batch
from chain.errors import CATALOGUE, KehuError
from chain.execution import CONTRACT_FAULT, execute
from chain.ledger import Ledger
from chain.receipt import Receipt
from chain.state import View
from chain.transaction import Transaction
from contracts.erasing.endings import ERASED
from contracts.records import RECORD_TABLES
from node.shared_rows import SharedRows
from node.vault.commitments import attested, commitments, record_and_fields, wanted_of
from node.vault.entitlement import Entitlements, Holders
from node.vault.seal import RecordId, Wanted
from node.vault.values import FieldId

TURN: Final = 256
"""How many transactions or records are looked at before others get a turn of the event loop, each in a few
microseconds."""
_TRIED: Final = 16
"""One that has to be tried takes as long as so many others."""
_IN_PLACE: Final = frozenset({"customers.update", "people.update"})
"""Calls that change fields of a record that is there, and nothing about who is entitled to them."""
_NO_DIGEST: Final = (None,)


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Who would hold a transaction's values. `required`: without these the chain would have a digest and nobody
    the value; `holders`: the entitled departments for each value that may come along; `records`: whose values these
    are."""

    transaction: Transaction
    required: tuple[Wanted, ...]
    holders: Mapping[Wanted, tuple[str, ...]]
    records: tuple[RecordId, ...]


_Untried: TypeAlias = Callable[[Transaction], Plan | None]
"""A plan that follows without trying the transaction, if there is one."""


class Planning:
    """For the transactions of one request, each over the state that those before it would leave."""

    def __init__(
        self,
        department: str,
        ledger: Ledger,
        entitlements: Entitlements,
        now_ms: Callable[[], int],
        admitted_by: str,
    ) -> None:
        self._department, self._ledger, self._entitlements = department, ledger, entitlements
        self._clock_ms, self._admitted_by = now_ms, admitted_by
        self._view, self._committed = View(ledger.state.get), SharedRows(ledger.state.get)
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._now_ms, self._height = self._clock_ms(), self._ledger.height

    async def all(self, transactions: Sequence[Transaction], untried_plan: _Untried) -> list[Plan | KehuError]:
        """One plan per transaction, in order; where there is no `untried_plan`, it is tried."""
        plans: list[Plan | KehuError] = []
        untried: dict[RecordId, list[Transaction]] = {}
        taken = 0
        for transaction in transactions:
            plan = untried_plan(transaction)
            if plan is not None:
                plans.append(plan)
                for record in plan.records:
                    untried.setdefault(record, []).append(transaction)
                taken += 1
            else:
                for record in _records_of([*commitments(transaction), *attested(transaction)]):
                    for earlier in untried.pop(record, ()):
                        self._try(earlier)
                plans.append(self.tried(transaction))
                taken += _TRIED
            if taken >= TURN:
                taken = 0
                await asyncio.sleep(0)
                self._begin_turn()
        return plans

    def in_place(self, transaction: Transaction) -> Plan | None:
        """Without trying the transaction: executed or refused, its values have the same holders. None unless the state
        as it is says who holds them: its calls must only change fields of records that are there."""
        if not all([call.name in _IN_PLACE for call in transaction.calls]):  # noqa: C419 (faster so)
            return None
        records: dict[RecordId, None] = {}
        required: dict[Wanted, None] = {}
        holders: dict[Wanted, tuple[str, ...]] = {}
        for call in transaction.calls:
            record, fields = record_and_fields(call)
            if record is None:
                continue
            row = self._view.look(*record)
            if row is None or ERASED in row:
                return None
            records[record] = None
            committed = self._committed.get(*record) if self._view.writes else row
            digests = {} if committed is None else committed["fields"]
            known = self._holders_of(record)
            for wanted in wanted_of(*record, fields, known):
                field = wanted[0].field
                holders[wanted] = known.get(field, ())
                if digests.get(field, _NO_DIGEST)[0] != wanted[1]:
                    required[wanted] = None
        return Plan(transaction, tuple(required), holders, tuple(records))

    def to_hold(self, transaction: Transaction) -> Plan | None:
        """`in_place`, and for new records whose values this department may hold, whoever registers them."""
        plan = self.in_place(transaction)
        may_come = [] if plan else [*commitments(transaction), *attested(transaction)]
        if plan or not may_come:
            return plan
        records = _records_of(may_come)
        if any(self._view.has(*record) for record in records):
            return None
        own, known = self._department, {record: self._holders_of(record) for record in records}
        if any(own not in known[_record_of(name)].get(name.field, ()) for name, _ in may_come):
            return None
        return Plan(transaction, (), dict.fromkeys(may_come, (own,)), tuple(records))

    def tried(self, transaction: Transaction) -> Plan | KehuError:
        receipt, named = self._try(transaction), commitments(transaction)
        may_come = [*named, *attested(transaction)]
        records = _records_of(may_come)
        if receipt.is_ok:
            required = [one for one in may_come if self._is_new(one)]
        elif all(self._is_there(record) for record in _records_of(named)):
            required = named
        else:
            return KehuError(CATALOGUE.get(receipt.code, CONTRACT_FAULT), **receipt.details)
        known = {record: self._holders_of(record) for record in records}
        holders = {(name, digest): known[_record_of(name)].get(name.field, ()) for name, digest in may_come}
        return Plan(transaction, tuple(dict.fromkeys(required)), holders, tuple(records))

    def _holders_of(self, record: RecordId) -> Holders:
        return self._entitlements.holders_of(self._view, record, self._now_ms, self._height)

    def _is_there(self, record: RecordId) -> bool:
        row = self._view.look(*record)
        return row is not None and ERASED not in row

    def _is_new(self, wanted: Wanted) -> bool:
        """Whether the transactions that were tried made it the field's digest."""
        name, digest = wanted
        return digest_in(self._view, name) == digest != digest_in(self._committed, name)

    def _try(self, transaction: Transaction) -> Receipt:
        """The receipt it would get in the next block; the view then has its writes, if it succeeds."""
        facts = self._ledger.facts(self._clock_ms())
        batch = Batch(b"", b"", self._admitted_by, b"", (transaction,))
        return execute(self._view, self._ledger.contracts, facts, [batch], ()).receipts[0]


def digest_in(view: View, name: FieldId) -> bytes | None:
    """The field's digest, as `view` shows it."""
    row = view.look(name.table, name.record) if name.table in RECORD_TABLES else None
    entry = None if row is None else row["fields"].get(name.field)
    return None if entry is None else entry[0]


def _records_of(wanted: Iterable[Wanted]) -> list[RecordId]:
    return list(dict.fromkeys([_record_of(name) for name, _ in wanted]))


def _record_of(name: FieldId) -> RecordId:
    return RecordId(name.table, name.record)
