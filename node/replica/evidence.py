"""Evidence that this node found: durable in its folder first, then on the chain by a transaction of the node's.

The folder `evidence/` holds one file per piece, in the format that `kehu verify` reads; it stays there afterwards.
Several nodes find the same equivocation: each looks before it reports, in the order of the members, a little apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from chain.errors import KehuError
from chain.evidence import REPORT_CALL, Evidence
from chain.ledger import Ledger
from chain.state import state_key
from chain.transaction import Call
from consensus.effects import Accuse
from node.storage.durable import storage_failures, write_file

FILES_MAX: Final = 1_000
"""Pieces against one department kept in the folder, as many as on the chain; what is found beyond is logged only."""
QUEUE_MAX: Final = 256
RANK_S: Final = 2.0
"""How much later than the member before it a node reports."""
RETRY_S: Final = 10.0
SUFFIX: Final = ".evidence"

log = logging.getLogger("kehu.evidence")

Commit = Callable[[Sequence[Call]], Awaitable[object]]


class EvidenceBook:
    """`commit` sends calls as the node and returns once they are committed; it raises `KehuError` if they are not."""

    def __init__(self, folder: Path, department: str, ledger: Ledger, commit: Commit) -> None:
        self._folder = folder
        self._department = department
        self._ledger = ledger
        self._commit = commit
        self._queue: asyncio.Queue[Evidence] = asyncio.Queue(QUEUE_MAX)
        self._files: Counter[str] = Counter()
        """In the folder, by the department that they are against."""
        self.waiting: dict[str, Evidence] = {}
        """Found here and not on the chain yet, by name."""

    def note(self, accusation: Accuse) -> None:
        """Takes what an accusation proves; never waits."""
        if accusation.evidence is not None and not self._queue.full():
            self._queue.put_nowait(accusation.evidence)

    async def run(self) -> None:
        """Errors: storage.io, which ends the node."""
        for evidence in await asyncio.to_thread(self._read):
            self.waiting[evidence.name] = evidence
        while True:
            if self.waiting:
                await self._report()
            try:
                async with asyncio.timeout(RETRY_S if self.waiting else None):
                    await self._keep(await self._queue.get())
            except TimeoutError:
                continue

    def _read(self) -> list[Evidence]:
        """What lies in the folder; a file that can't be read is left for people to look at."""
        with storage_failures(self._folder, "read evidence"):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            paths = sorted(self._folder.glob(f"*{SUFFIX}"))
            found = []
            for path in paths:
                try:
                    found.append(Evidence.from_file(path.read_bytes()))
                except KehuError as error:
                    log.warning("%s: %s", path.name, error)
        self._files = Counter(evidence.department for evidence in found)
        return found

    async def _keep(self, evidence: Evidence) -> None:
        path = self._folder / f"{evidence.name}{SUFFIX}"
        if evidence.name in self.waiting or self._files[evidence.department] >= FILES_MAX or path.exists():
            return
        with storage_failures(path, "write evidence"):
            await asyncio.to_thread(write_file, path, evidence.to_file(), replace=True)
        self._files[evidence.department] += 1
        self.waiting[evidence.name] = evidence
        log.warning("evidence against %s is kept in %s", evidence.department, path.name)

    async def _report(self) -> None:
        members = self._ledger.validators(self._ledger.height + 1).departments
        rank = members.index(self._department) if self._department in members else len(members)
        await asyncio.sleep(rank * RANK_S)
        for name, evidence in sorted(self.waiting.items()):
            if not self._is_recorded(name):
                await self._send(evidence)
            if self._is_recorded(name):
                self.waiting.pop(name, None)

    async def _send(self, evidence: Evidence) -> None:
        try:
            await self._commit([Call(REPORT_CALL, {"evidence": evidence.to_bytes()})])
        except KehuError as error:
            if error.code in ("evidence.invalid", "evidence.height", "evidence.limit"):
                del self.waiting[evidence.name]
            log.warning("evidence %s is not on the chain yet: %s", evidence.name, error)

    def _is_recorded(self, name: str) -> bool:
        return self._ledger.state.get(state_key("evidence", name)) is not None
