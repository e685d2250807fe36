"""What which vault has to hold, by the committed state and the contracts: no vault, no sockets here.

A department is entitled to a value if `contracts.holders.holders` names it. For a transaction that is not yet
committed the question is put to the state as it would be: the transaction is run on a view that is thrown away, so a
new customer is already assigned to whoever registers it. Runs on the event loop, which is where the state changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from chain import codec
from chain.attestation import CUSTOMER_TABLE, IDENTIFIER_FIELD
from chain.batch import Batch
from chain.blocks import ExecutedBlock
from chain.errors import CATALOGUE, KehuError
from chain.execution import CONTRACT_FAULT, execute
from chain.ledger import Ledger
from chain.receipt import Receipt
from chain.state import View
from chain.transaction import Call, Transaction
from contracts.attestations import attestations_of
from contracts.base import count_of
from contracts.endings import ERASED
from contracts.holders import holders
from contracts.policy import load_policy
from contracts.records import RECORD_ARGUMENTS, RECORD_TABLES, SEQUENCES
from node.shared_rows import SharedRows
from node.vault.entitlement import Entitlements
from node.vault.seal import RecordId, Wanted
from node.vault.values import FieldId

TURN: Final = 256
"""How many transactions or records are looked at before others get a turn of the event loop, each in a few
microseconds."""
_TRIED: Final = 16
"""One that has to be tried takes as long as so many others."""
_IN_PLACE: Final = frozenset({"customers.update", "people.update"})
"""Calls that change fields of a record that is there, and nothing about who is entitled to them."""


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
    record, fields = _record_and_fields(call)
    return [] if record is None else _wanted(*record, fields)


def _record_and_fields(call: Call) -> tuple[RecordId | None, Mapping[str, codec.Value]]:
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
        for wanted in _wanted(CUSTOMER_TABLE, one.customer, {IDENTIFIER_FIELD: one.identifier_digest})
    ]


def _wanted(table: str, record: str, fields: Mapping[str, codec.Value], good: Container[str] = ()) -> list[Wanted]:
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


class Plan(msgspec.Struct, frozen=True):
    """Who would hold a transaction's values. `required`: without these the chain would have a digest and nobody
    the value; `holders`: the entitled departments for each value that may come along; `records`: whose values these
    are."""

    transaction: Transaction
    required: tuple[Wanted, ...]
    holders: Mapping[Wanted, tuple[str, ...]]
    records: tuple[RecordId, ...]


class Duty(msgspec.Struct, frozen=True):
    """A record's current digests, and those of the fields that this department is entitled to."""

    current: Mapping[str, bytes]
    entitled: Mapping[str, bytes]


_NOTHING: Final = Duty({}, {})
_NO_DIGEST: Final = (None,)


_Untried: TypeAlias = Callable[[View, Transaction], Plan | None]
"""A plan that follows without trying the transaction, if there is one."""


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
        """A block that was appended, each in turn; the chain may be further by now."""
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
        return _digest_in(self.view(), name)

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
            yield from (RecordId(table, name) for name in list(self._ledger.state.keys(table)))
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
        return await self._plan_all(transactions, admitted_by, self._plan_in_place)

    async def plan_to_hold(self, transactions: Sequence[Transaction], admitted_by: str) -> list[Plan | KehuError]:
        """As `plan`, for a department that is asked to hold values: others that may hold them need not be found, and of
        a record that is not there yet, not whom it would be assigned to, if it may hold the values in any case."""
        return await self._plan_all(transactions, admitted_by, self._plan_to_hold)

    async def _plan_all(
        self, transactions: Sequence[Transaction], admitted_by: str, untried_plan: _Untried
    ) -> list[Plan | KehuError]:
        view, taken = self.view(), 0
        plans: list[Plan | KehuError] = []
        untried: dict[RecordId, list[Transaction]] = {}
        for transaction in transactions:
            plan = untried_plan(view, transaction)
            if plan is not None:
                plans.append(plan)
                for record in plan.records:
                    untried.setdefault(record, []).append(transaction)
                taken += 1
            else:
                for record in _records_of([*commitments(transaction), *attested(transaction)]):
                    for earlier in untried.pop(record, ()):
                        self._try(view, earlier, admitted_by)
                plans.append(self._plan(view, transaction, admitted_by))
                taken += _TRIED
            if taken >= TURN:
                taken = 0
                await asyncio.sleep(0)
        return plans

    def _plan_in_place(self, view: View, transaction: Transaction) -> Plan | None:
        """Without trying the transaction: executed or refused, its values have the same holders. None unless the state
        as it is says who holds them: its calls must only change fields of records that are there."""
        if not all([call.name in _IN_PLACE for call in transaction.calls]):  # noqa: C419 (faster so)
            return None
        now_ms, height, committed = self.now_ms(), self._ledger.height, self.rows_now()
        records: dict[RecordId, None] = {}
        required: list[Wanted] = []
        holders: dict[Wanted, tuple[str, ...]] = {}
        for call in transaction.calls:
            record, fields = _record_and_fields(call)
            if record is None:
                continue
            if not _is_there(view, record):
                return None
            records[record] = None
            known = self._entitlements.holders_of(view, record, now_ms, height)
            digests = _digests_in(committed, record)
            for wanted in _wanted(*record, fields, known):
                field, digest = wanted[0][2], wanted[1]
                holders[wanted] = known.get(field, ())
                if digests.get(field, _NO_DIGEST)[0] != digest:
                    required.append(wanted)
        return Plan(transaction, tuple(dict.fromkeys(required)), holders, tuple(records))

    def _plan_to_hold(self, view: View, transaction: Transaction) -> Plan | None:
        """`_plan_in_place`, and for new records whose values this department may hold, whoever registers them."""
        plan = self._plan_in_place(view, transaction)
        may_come = [] if plan else [*commitments(transaction), *attested(transaction)]
        if plan or not may_come:
            return plan
        records, now_ms, height, own = _records_of(may_come), self.now_ms(), self._ledger.height, (self.department,)
        if any(view.has(*record) for record in records):
            return None
        held = {one: self._entitlements.held_by(*own, view, one, now_ms, height) for one in records}
        if any(name.field not in held[RecordId(name.table, name.record)] for name, _ in may_come):
            return None
        return Plan(transaction, (), dict.fromkeys(may_come, own), tuple(records))

    def _plan(self, view: View, transaction: Transaction, admitted_by: str) -> Plan | KehuError:
        receipt, named = self._try(view, transaction, admitted_by), commitments(transaction)
        may_come = [*named, *attested(transaction)]
        records = _records_of(may_come)
        if receipt.is_ok:
            required = [one for one in may_come if _digest_in(view, one[0]) == one[1] and not self.is_current(one)]
        elif all(_is_there(view, record) for record in _records_of(named)):
            required = named
        else:
            return KehuError(CATALOGUE.get(receipt.code, CONTRACT_FAULT), **receipt.details)
        now_ms, height = self.now_ms(), self._ledger.height
        found = {one: self._entitlements.holders_of(view, one, now_ms, height) for one in records}
        holders = {
            (name, digest): found[RecordId(name.table, name.record)].get(name.field, ()) for name, digest in may_come
        }
        return Plan(transaction, tuple(dict.fromkeys(required)), holders, tuple(records))

    def _try(self, view: View, transaction: Transaction, admitted_by: str) -> Receipt:
        """The receipt it would get in the next block; `view` then has its writes, if it succeeds."""
        facts = self._ledger.facts(self.now_ms())
        batch = Batch(b"", b"", admitted_by, b"", (transaction,))
        return execute(view, self._ledger.contracts, facts, [batch], ()).receipts[0]


def _records_of(wanted: Sequence[Wanted]) -> Sequence[RecordId]:
    return list(dict.fromkeys([RecordId(name.table, name.record) for name, _ in wanted]))


def _is_there(view: View, record: RecordId) -> bool:
    row = view.look(*record)
    return row is not None and ERASED not in row


def _digests_in(view: View, record: RecordId) -> Mapping[str, Sequence[Any]]:
    """Field -> [digest, version]."""
    row = view.look(*record) if record.table in RECORD_TABLES else None
    return {} if row is None else row["fields"]


def _digest_in(view: View, name: FieldId) -> bytes | None:
    entry = _digests_in(view, RecordId(name.table, name.record)).get(name.field)
    return None if entry is None else entry[0]
