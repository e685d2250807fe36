"""From rows to customers: the carrier is asked for each, rows go in together, the journal knows how far it got.

Every row's customer id is drawn once and written down before anything is sent. A row whose outcome was lost counts as
done if the customer is proven to be recorded, and is simply sent again under the same id else: if the first try goes in
after all, the contract refuses the second with record.exists. So a file can be imported again and again without a
duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from chain.errors import KehuError, define
from cli.client import OUTCOME_UNKNOWN, Draft, NodeClient, Outcome
from cli.intake.journal import Journal, row_digest
from cli.intake.rows import Fault, Row
from cli.output import Advance
from cli.phones import RECORD_DUPLICATE, find_duplicates, recorded_at, register_call
from cli.verify import Committed, refusal_of
from contracts.errors import RECORD_EXISTS

ROWS_PER_REQUEST: Final = 40
REQUESTS_AT_ONCE: Final = 2
CARRIER_QUESTIONS_AT_ONCE: Final = 8

ROW_SAME_PHONE = define(
    "import.duplicate_phone",
    "an earlier row of the file has the same number",
    "leave one of the two out, or import with --allow-duplicate",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that is a customer now; `status` as the departments agreed (None: from an earlier run)."""

    row: int
    customer: str
    status: str | None
    transaction: bytes | None

    def to_json(self) -> dict[str, Any]:
        return {"row": self.row, "customer": self.customer, "status": self.status, "transaction": self.transaction}


@dataclass(slots=True)
class Result:
    """`already`: rows that an earlier run had brought in. `planned`: rows that a dry run would bring in. `not_reached`:
    how many an interruption kept from being taken up."""

    taken: list[Taken] = field(default_factory=list)
    already: list[Taken] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unknown: list[dict[str, Any]] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)
    not_reached: int = 0
    is_interrupted: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class _Job:
    row: Row
    digest: str
    customer: str


class Importer:
    """One import. `secret` keys the journal's row digests."""

    def __init__(
        self,
        client: NodeClient,
        journal: Journal,
        secret: bytes,
        new_id: Callable[[], str],
        *,
        is_temporary: bool,
        allows_duplicates: bool,
        advance: Advance,
    ) -> None:
        self.result = Result()
        self._client = client
        self._journal = journal
        self._secret = secret
        self._new_id = new_id
        self._is_temporary = is_temporary
        self._allows_duplicates = allows_duplicates
        self._advance = advance
        self._questions = asyncio.Semaphore(CARRIER_QUESTIONS_AT_ONCE)

    async def run(self, rows: list[Row]) -> Result:
        """Brings the rows in. Raises when the node is gone or refuses the person; what went in is in the journal."""
        jobs = self._plan(rows)
        requests = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def bring(chunk: list[_Job]) -> None:
            async with requests:
                await self._bring(chunk)
                self._advance(len(chunk))

        tasks = [asyncio.create_task(bring(chunk)) for chunk in _chunks(jobs)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.result.taken.sort(key=lambda taken: taken.row)
        self.result.faults.sort(key=lambda fault: fault.row)
        return self.result

    def interrupted(self, rows: list[Row]) -> Result:
        """What had become of each row when somebody stopped the run. Of what was sent, nobody has heard yet."""
        known = {taken.row for taken in (*self.result.taken, *self.result.already)}
        known.update([fault.row for fault in self.result.faults], self.result.planned)
        for row in rows:
            entry = self._journal.entries.get(row_digest(self._secret, row.fields))
            if row.number in known or entry is None or entry.transaction is None:
                continue
            sent = {"row": row.number, "customer": entry.customer, "transaction": entry.transaction}
            self.result.unknown.append(sent)
            known.add(row.number)
        self.result.not_reached = len(rows) - len(known)
        self.result.is_interrupted = True
        return self.result

    async def rehearse(self, rows: list[Row]) -> Result:
        """What `run` would do as far as it can be known beforehand: the carrier is not asked, nothing is recorded."""
        jobs = []
        for row, digest in self._pending(rows):
            entry = self._journal.entries.get(digest)
            jobs.append(_Job(row, digest, "" if entry is None else entry.customer))
        for chunk in _chunks(jobs):
            self.result.planned += [job.row.number for job in await self._without_duplicates(chunk)]
            self._advance(len(chunk))
        return self.result

    def _pending(self, rows: list[Row]) -> list[tuple[Row, str]]:
        """Rows with their digests; without those that are in already, and those whose number an earlier row has."""
        left: list[tuple[Row, str]] = []
        first: dict[str, int] = {}
        for row in rows:
            digest = row_digest(self._secret, row.fields)
            entry = self._journal.entries.get(digest)
            number = first.setdefault(row.fields["phone"], row.number)
            if entry is not None and entry.done is not None:
                self.result.already.append(Taken(row.number, entry.customer, None, entry.transaction))
                self._advance(1)
            elif number != row.number and not self._allows_duplicates:
                fault = Fault.of(row.number, "phone", KehuError(ROW_SAME_PHONE, first=number))
                self.result.faults.append(fault)
                self._advance(1)
            else:
                left.append((row, digest))
        return left

    async def _without_duplicates(self, chunk: list[_Job]) -> list[_Job]:
        """The rows without those whose number a visible customer has; a row's own customer, from a run whose end got
        lost, is no duplicate of it."""
        if self._allows_duplicates or not chunk:
            return chunk
        found = await find_duplicates(self._client, [job.row.fields["phone"] for job in chunk])
        left = []
        for job, customers in zip(chunk, found, strict=True):
            others = [customer for customer in customers if customer != job.customer]
            if others:
                error = KehuError(RECORD_DUPLICATE, customers=",".join(others))
                self.result.faults.append(Fault.of(job.row.number, "phone", error))
            else:
                left.append(job)
        return left

    def _plan(self, rows: list[Row]) -> list[_Job]:
        """What is left to do; every new row has its customer id in the journal before this returns."""
        pending = self._pending(rows)
        new = [digest for _, digest in pending if digest not in self._journal.entries]
        self._journal.record({"row": digest, "customer": self._new_id()} for digest in new)
        return [_Job(row, digest, self._journal.entries[digest].customer) for row, digest in pending]

    async def _bring(self, chunk: list[_Job]) -> None:
        chunk = await self._without_duplicates(chunk)
        drafted = await asyncio.gather(*map(self._draft, chunk))
        ready = [(job, draft) for job, draft in zip(chunk, drafted, strict=True) if draft is not None]
        if not ready:
            return
        self._journal.record(
            {"row": job.digest, "transaction": draft.transaction.id.hex(), "expires": draft.transaction.expires_height}
            for job, draft in ready
        )
        outcomes = await self._client.submit([draft for _, draft in ready])
        done = [
            {"row": job.digest, "done": height}
            for (job, draft), outcome in zip(ready, outcomes, strict=True)
            if (height := self._note(job, draft, outcome)) is not None
        ]
        self._journal.record(done)

    async def _draft(self, job: _Job) -> Draft | None:
        """Asks the carrier and signs; None if the row is at fault, or in already."""
        was_sent = self._journal.entries[job.digest].transaction is not None
        async with self._questions:
            try:
                if was_sent and await self._is_in(job):  # who sent it may not be allowed to ask about the number by now
                    return None
                call, values, _ = await register_call(
                    self._client, job.customer, job.row.fields, is_temporary=self._is_temporary
                )
                return await self._client.draft([call], values)
            except KehuError as error:
                if error.code == RECORD_EXISTS.code and await self._is_in(job):
                    return None
                if not _is_of_row(error):
                    raise
                self.result.faults.append(Fault.of(job.row.number, "phone", error))
                return None

    async def _is_in(self, job: _Job) -> bool:
        """Whether the row went in by an earlier run that did not hear of it; it is in already then."""
        height = await recorded_at(self._client, job.customer)
        if height is None:
            return False
        entry = self._journal.entries[job.digest]
        self.result.already.append(Taken(job.row.number, job.customer, None, entry.transaction))
        self._journal.record([{"row": job.digest, "done": height}])
        return True

    def _note(self, job: _Job, draft: Draft, outcome: Outcome) -> int | None:
        """Sorts an outcome in; the height if the row is done."""
        number, id_ = job.row.number, draft.transaction.id
        if isinstance(outcome, Committed):
            if outcome.receipt.is_ok:
                self.result.taken.append(Taken(number, job.customer, outcome.result()["status"], id_))
                return outcome.height
            if outcome.receipt.code == RECORD_EXISTS.code:
                self.result.already.append(Taken(number, job.customer, None, None))
                return outcome.height
            self.result.faults.append(Fault.of(number, None, refusal_of(outcome)))
        elif outcome.spec is OUTCOME_UNKNOWN:
            self.result.unknown.append({"row": number, "customer": job.customer, "transaction": id_})
        else:
            self.result.faults.append(Fault.of(number, None, outcome))
        return None


def _is_of_row(error: KehuError) -> bool:
    """Whether an error is about one row's number; anything else would be the same for every row."""
    return error.code.startswith("carrier.") or error.code in _NUMBER_FAULTS


_NUMBER_FAULTS: Final = frozenset({"phone.malformed", "phone.impossible", "phone.unassigned"})


def _chunks(jobs: list[_Job]) -> Iterator[list[_Job]]:
    for begin in range(0, len(jobs), ROWS_PER_REQUEST):
        yield jobs[begin : begin + ROWS_PER_REQUEST]
