"""Keeping the vault as the chain says: destroy what is superseded, fetch what is lacking, hand back what is too much.

For each record a block touched, and for all records at the start or when a rule for a whole table changes:

- a live value that is not its field's current one is destroyed;
- a value that this department is entitled to and doesn't hold is fetched from an entitled holder, in the background:
  after a moment's grace, because its author's node may be about to send it, and until some holder gives it;
- a value that this department is no longer entitled to is destroyed once as many entitled departments as the policy
  asks say that they hold it, so that a withdrawn grant never destroys the last copy.

Received values are checked against the chain's digests before they are kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol
from zlib import crc32

from chain import codec
from chain.errors import KehuError
from contracts.records import RECORD_TABLES
from node.giving_way import GivingWay
from node.storage.durable import StorageFailure
from node.together import run_together
from node.vault.backlog import Backlog
from node.vault.duty import Duties, Duty
from node.vault.erasure import ErasureTiming
from node.vault.release import (
    FETCH,
    HELD,
    VAULT_LATER,
    WANTED_BYTES_MAX,
    WANTED_MAX,
    decode_answers,
    encode_wanted,
)
from node.vault.replication import ReplicationTiming
from node.vault.retention import RetentionTiming
from node.vault.rows import Digests
from node.vault.seal import RecordId, Wanted
from node.vault.shares import OK, Peers
from node.vault.store import Vault
from node.vault.values import VaultValue

PAGE: Final = 20
"""Records of a walk that are compared at once."""
BACKLOG_MAX: Final = 5_000
"""A walk over all records pauses while so many values are still to be fetched. What nobody who was asked has does not
count: it may be lost for good, and is no reason to leave everything else undone."""
FETCHES_MAX: Final = 4
HOLDERS_TURN: Final = 64
"""Values whose holders are looked up before others get a turn of the event loop."""
OBTAIN_PAUSE_S: float = 0.05
"""Between two tries for a value that somebody waits for."""
PATIENCE_S: Final = 1.0
"""While somebody waits for a value, others are asked if a holder has not answered by then."""

log = logging.getLogger("kehu.vault")


@dataclass(frozen=True, slots=True)
class VaultTiming:
    replication: ReplicationTiming = field(default_factory=ReplicationTiming)
    grace_s: float = 2.0
    request_s: float = 30.0
    retry_first_s: float = 0.5
    retry_max_s: float = 60.0
    pace_s: float = 0.01
    """The least pause after each page of a walk."""
    tidy_s: float = 600.0
    erasure: ErasureTiming = field(default_factory=ErasureTiming)
    retention: RetentionTiming = field(default_factory=RetentionTiming)


class Level(Protocol):
    """What the vault needs of `node.replica.level.Level`: whether the state is as new as the vault. Before, what the
    chain says may be older than what is here, and destroying by it would destroy the newest."""

    @property
    def is_reached(self) -> bool: ...

    async def reached(self) -> None: ...


class AlwaysLevel:
    """Of a state that is never behind."""

    is_reached = True

    async def reached(self) -> None:
        return


class Refill:
    """`lock` is held by whoever makes values live or compares the vault with the state, so that what is compared
    is never older than what is destroyed by it."""

    def __init__(
        self, duties: Duties, vault: Vault, peers: Peers, lock: asyncio.Lock, timing: VaultTiming, level: Level
    ) -> None:
        self._level = level
        self._duties, self._vault, self._peers = duties, vault, peers
        self._lock, self._timing = lock, timing
        self._loop = asyncio.get_running_loop()
        clock: Callable[[], float] = self._loop.time
        self.giving_way = GivingWay(clock)
        self.missing = Backlog(clock, timing.retry_first_s, timing.retry_max_s)
        self.surplus = Backlog(clock, timing.retry_first_s, timing.retry_max_s)
        self._tables: dict[str, None] = {}
        self._unsound: dict[RecordId, None] = {}
        self._walking: str | None = None
        self._wake_walk, self._wake_work, self._has_tried = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._slots = asyncio.Semaphore(FETCHES_MAX)
        self._asking: dict[str, asyncio.Task[None]] = {}
        """Departments that have not answered yet, each asked once at a time."""
        self._readers = 0

    @property
    def is_walking(self) -> bool:
        return self._walking is not None or bool(self._tables)

    def walk(self, tables: Iterable[str] = RECORD_TABLES) -> None:
        """Asks for a look at every record of these tables."""
        self._tables.update(dict.fromkeys(tables))
        self._wake_walk.set()

    def look_again(self, records: Iterable[RecordId]) -> None:
        """These have lost values that did not open. From any thread."""
        self._loop.call_soon_threadsafe(self._note_unsound, list(records))

    def _note_unsound(self, records: Sequence[RecordId]) -> None:
        self._unsound.update(dict.fromkeys(records))
        self._wake_walk.set()

    def hurry(self) -> None:
        """A department has come back: what waits for a holder is asked for again now."""
        self.missing.hurry()
        self.surplus.hurry()
        self._wake_work.set()

    async def obtain(self, wanted: Sequence[Wanted], timeout_s: float) -> None:
        """Fetches what a reader waits for. Returns when it is here, not to be had any more, or the time is up."""
        wanted = [one for one in wanted if self._duties.is_entitled(self._duties.department, one)]
        self._readers += 1
        try:
            async with asyncio.timeout(timeout_s):
                while lacking := await asyncio.to_thread(self._vault.missing, wanted):
                    self._has_tried.clear()
                    self.missing.urge(lacking)
                    self._wake_work.set()
                    await self._has_tried.wait()
                    await asyncio.sleep(OBTAIN_PAUSE_S)
        except TimeoutError:
            return
        finally:
            self._readers -= 1

    async def compare(self, records: Sequence[RecordId], grace_s: float) -> None:
        """Puts the vault in step with the state for these records. The caller holds the lock."""
        duties = await self._duties.of_all(records)
        live = await asyncio.to_thread(self._vault.keep_only, {one: duty.current for one, duty in duties.items()})
        self.note(duties, live, grace_s)

    def note(self, duties: Mapping[RecordId, Duty], live: Mapping[RecordId, Digests], grace_s: float) -> None:
        """Puts on the lists what is lacking and what is too much, by what is to be held of records and what is live."""
        missing: list[Wanted] = []
        surplus: list[Wanted] = []
        for record, duty in duties.items():
            held, entitled = live[record], duty.entitled
            if held.keys() != entitled.keys():
                missing += [(record.field(name), digest) for name, digest in entitled.items() if name not in held]
                surplus += [(record.field(name), digest) for name, digest in held.items() if name not in entitled]
        self.missing.add(missing, grace_s)
        self.surplus.add(surplus, grace_s)
        if missing or surplus:
            self._wake_work.set()

    async def run(self) -> None:
        """Walks, fetches, hands back and tidies up until it is cancelled. A failing disk ends it."""
        await run_together(self._keep_walking, self._keep_working, self._keep_tidy)

    async def _keep_walking(self) -> None:
        await self._level.reached()
        while True:
            await self._wake_walk.wait()
            self._wake_walk.clear()
            while self._unsound:
                page = list(self._unsound)[:PAGE]
                for record in page:
                    del self._unsound[record]
                await self._look_at(page)
            while self._tables:
                self._walking = next(iter(self._tables))
                del self._tables[self._walking]  # asked for again meanwhile, it is walked again
                await self._walk(self._walking)
            self._walking = None

    async def _walk(self, table: str) -> None:
        page: list[RecordId] = []
        for record in self._duties.records(table):
            page.append(record)
            if len(page) >= PAGE:
                await self._look_at(page)
                page = []
        await self._look_at(page)

    async def _look_at(self, page: Sequence[RecordId]) -> None:
        begun_s = self._loop.time()
        async with self._lock:
            await self.compare(page, 0.0)
        await asyncio.sleep(max(self._timing.pace_s, self.giving_way.rest_s(begun_s)))
        while self.missing.hopeful > BACKLOG_MAX:
            self._has_tried.clear()
            await self._has_tried.wait()

    async def _keep_working(self) -> None:
        try:
            while True:
                self._wake_work.clear()
                await self._fetch_due()
                await self._hand_back_due()
                waits = [wait_s for wait_s in (self.missing.wait_s(), self.surplus.wait_s()) if wait_s is not None]
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(waits) if waits else None):
                        await self._wake_work.wait()
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _keep_tidy(self) -> None:
        # Departments that were started together write their tables anew one after the other, not all at once.
        wait_s = self._timing.tidy_s * (0.5 + crc32(self._duties.department.encode()) % 256 / 512)
        while True:
            await asyncio.sleep(wait_s)
            await asyncio.to_thread(self._vault.tidy)
            wait_s = self._timing.tidy_s

    # Fetching what is lacking

    async def _fetch_due(self) -> None:
        self._take_answers()
        due = dict(self.missing.due(WANTED_MAX))
        absent = set(await asyncio.to_thread(self._vault.missing, due))
        by_department: dict[str, list[Wanted]] = {}
        for wanted, attempts in due.items():
            holders = self._duties.holders(wanted[0]) if self._duties.is_current(wanted) else ()
            if wanted not in absent or self._duties.department not in holders:
                self.missing.done([wanted])
                continue
            others = [name for name in holders if name != self._duties.department]
            free = [name for name in others if name not in self._asking]
            if free:
                by_department.setdefault(free[attempts % len(free)], []).append(wanted)
            else:
                self.missing.put_off([wanted], in_vain=not others)
        await self._fetch_all(by_department)
        self._has_tried.set()

    async def _fetch_all(self, by_department: Mapping[str, Sequence[Wanted]]) -> None:
        """Returns when all have answered, or before if somebody waits: what comes later is kept when it comes."""
        begun = {name: asyncio.create_task(self._fetch(name, wanted)) for name, wanted in by_department.items()}
        self._asking |= begun
        for task in begun.values():
            task.add_done_callback(lambda _: self._wake_work.set())
        pending = set(begun.values())
        while pending:
            _, pending = await asyncio.wait(pending, timeout=PATIENCE_S)
            if self._readers:
                break
        self._take_answers()
        for name in begun.keys() & self._asking.keys():
            self.missing.put_off(by_department[name])

    def _take_answers(self) -> None:
        """Whoever has answered may be asked again. Errors: storage.io."""
        for name, task in list(self._asking.items()):
            if task.done():
                del self._asking[name]
                task.result()

    async def _fetch(self, department: str, wanted: Sequence[Wanted]) -> None:
        try:
            async with self._slots:
                raw = await self._peers.request(department, FETCH, encode_wanted(wanted), self._timing.request_s)
            answers = decode_answers(raw, len(wanted))
        except KehuError as error:
            self._put_off(department, wanted, error)
            return
        good = [(one, value) for one, (_, value) in zip(wanted, answers, strict=True) if self._is_answer(one, value)]
        await self._keep([(value, one[1]) for one, value in good if value is not None])
        kept = {one for one, _ in good}
        self.missing.done(kept)
        later = [one for one, (code, _) in zip(wanted, answers, strict=True) if code == VAULT_LATER.code]
        self.missing.put_off([one for one in wanted if one not in kept and one not in later], in_vain=True)
        refused = sorted({code for code, _ in answers if code not in (OK, VAULT_LATER.code)})
        log.info("%s gave %d of %d values%s", department, len(kept), len(wanted), f": {refused}" if refused else "")

    def _is_answer(self, wanted: Wanted, value: VaultValue | None) -> bool:
        return value is not None and (value.id, value.digest(self._duties.chain_id)) == wanted

    async def _keep(self, values: Sequence[tuple[VaultValue, bytes]]) -> None:
        """Makes fetched values live, unless the chain has gone on meanwhile."""
        async with self._lock:
            own = self._duties.department
            wanted = [(value, digest) for value, digest in values if self._duties.is_entitled(own, (value.id, digest))]
            await asyncio.to_thread(self._vault.put_live, wanted)

    def _put_off(self, department: str, wanted: Sequence[Wanted], error: KehuError) -> None:
        if isinstance(error, StorageFailure):
            raise error
        log.info("%s gave none of %d values: %s", department, len(wanted), error)
        self.missing.put_off(wanted)

    # Handing back what is too much

    async def _hand_back_due(self) -> None:
        own, holders = self._duties.department, dict[Wanted, tuple[str, ...]]()
        for number, (one, _) in enumerate(self.surplus.due(WANTED_MAX), 1):
            names = self._duties.holders(one[0])
            if own in names or not self._duties.is_current(one):
                self.surplus.done([one])
            else:
                holders[one] = names
            if number % HOLDERS_TURN == 0:
                await asyncio.sleep(0)
        if not holders:
            return
        confirmed = dict.fromkeys(holders, 0)
        for department in sorted({name for names in holders.values() for name in names}):
            mine = [one for one in holders if department in holders[one]]
            for one in await self._held_by(department, mine):
                confirmed[one] += 1
        minimum = self._duties.holders_min()
        safe = [one for one in holders if holders[one] and confirmed[one] >= min(minimum, len(holders[one]))]
        async with self._lock:
            safe = [one for one in safe if not self._duties.is_entitled(own, one)]
            await asyncio.to_thread(self._vault.drop, safe)
        self.surplus.done(safe)
        self.surplus.put_off([one for one in holders if one in self.surplus])

    async def _held_by(self, department: str, wanted: Sequence[Wanted]) -> list[Wanted]:
        try:
            raw = await self._peers.request(department, HELD, encode_wanted(wanted), self._timing.request_s)
            (flags,) = codec.fields([codec.decode(raw, WANTED_BYTES_MAX)], "held answers", codec.is_list)
        except KehuError as error:
            log.info("%s did not say what it holds: %s", department, error)
            return []
        return [one for one, flag in zip(wanted, flags, strict=False) if flag is True]
