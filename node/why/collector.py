"""Gathers a node's facts when somebody asks why; remembers only what could not be known afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chain import protocol
from chain.ledger import Ledger
from consensus.situation import Situation
from node.intake.mempool import Mempool
from node.members.protocol import coming_change
from node.peers.network import PeerNetwork
from node.replica.agreement import Agreement
from node.replica.driver import Driver
from node.why.facts import Disk, Facts, Peer, Standing, Timer
from node.why.findings import OPERATORS, diagnose
from node.why.standing import StandingBook

INTERVAL_S: Final = 5.0
"""Between two rounds of asking the others; who is linked anew is asked at once."""
CODES_MAX: Final = 64
"""Different codes of refused requests that are counted apart."""

SPEAKS: Final = (protocol.OLDEST, protocol.NEWEST)

Free = Callable[[Path], tuple[int, int]]


def free_bytes(path: Path) -> tuple[int, int]:
    """(free for us, total) of the file system `path` lies on."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


class Collector:
    """`situation` is the replica's; `vault` the vault's status; `wall_ms` and `monotonic_ms` the node's clocks."""

    def __init__(
        self,
        department: str,
        ledger: Ledger,
        agreement: Agreement,
        driver: Driver,
        mempool: Mempool,
        network: PeerNetwork,
        situation: Callable[[], Situation],
        vault: Callable[[], Mapping[str, Any]],
        folders: Mapping[str, Path],
        clocks: tuple[Callable[[], int], Callable[[], int]],
        patience_ms: int,
        free: Free = free_bytes,
    ) -> None:
        self._department, self._ledger, self._agreement = department, ledger, agreement
        self._driver, self._mempool, self._network = driver, mempool, network
        self._situation, self._vault, self._folders, self.free = situation, vault, folders, free
        self._wall_ms, self._monotonic_ms = clocks
        self._patience_ms = patience_ms
        self._waiting: tuple[int, int] | None = None
        self.refused: Counter[str] = Counter()
        self.book = StandingBook(network.request, lambda: network.connected, self._own_standing, self._wall_ms)

    async def run(self) -> None:
        """For as long as the node runs."""
        while True:
            self.watch()
            await self.book.ask_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self.book.linked_anew.wait()

    def count_refusal(self, code: str) -> None:
        if code in self.refused or len(self.refused) < CODES_MAX:
            self.refused[code] += 1

    def watch(self) -> None:
        """Since when has work waited at this height? To within an interval."""
        height = self._ledger.height
        if not self._mempool.has_batches:
            self._waiting = None
        elif self._waiting is None or self._waiting[0] != height:
            self._waiting = (height, self._wall_ms())

    def facts(self) -> Facts:
        self.watch()
        situation, ledger, observer = self._situation(), self._ledger, self._agreement.observer
        vault, catch_up = self._vault(), self._agreement.catch_up
        is_observer = self._agreement.is_observer
        return Facts(
            now_ms=self._wall_ms(),
            department=self._department,
            members=situation.members,
            quorum=situation.quorum,
            height=ledger.height,
            block_time_ms=ledger.head.header.time_ms,
            view=situation.view,
            primary=situation.primary,
            is_view_active=situation.is_active,
            has_proposal=situation.proposal is not None,
            prepared_by=situation.prepared_by,
            committed_by=situation.committed_by,
            asked_for=situation.asked_for,
            is_observer=is_observer,
            votes_from_height=observer.votes_from_height if observer is not None and is_observer else 0,
            is_catching_up=catch_up is not None and catch_up.is_running,
            waiting_since_ms=None if self._waiting is None else self._waiting[1],
            mempool_transactions=self._mempool.transactions,
            overtaken_blocks=self._mempool.overtaken,
            timers=self._timers(),
            peers=self._peers(situation.members),
            disks=self._disks(),
            vault_missing=int(vault.get("missing", 0)),
            vault_unconfirmed=int(vault.get("erasures_unconfirmed", 0)),
            refused=dict(self.refused),
            accusations={f"{name} {offence}": times for (name, offence), times in self._agreement.accusations.items()},
            protocol=ledger.protocol(ledger.height + 1),
            change=coming_change(ledger),
            spoken={**self.book.spoken, self._department: SPEAKS},
            clock_skew_ms_max=ledger.genesis.clock_skew_ms_max,
            patience_ms=self._patience_ms,
        )

    def why(self, *, is_operator: bool) -> dict[str, Any]:
        """JSON values. Whoever is not an operator of this node is not told what could be used against it."""
        facts = self.facts()
        findings = [finding for finding in diagnose(facts) if is_operator or finding.code not in OPERATORS]
        return {
            "headline": findings[0].text,
            "findings": [finding.to_value() for finding in findings],
            "facts": _public(facts) | (_private(facts) if is_operator else {}),
        }

    def _timers(self) -> tuple[Timer, ...]:
        ahead_ms = self._wall_ms() - self._monotonic_ms()
        return tuple(Timer(name, due_ms + ahead_ms) for name, due_ms in self._driver.timers())

    def _peers(self, members: Sequence[str]) -> tuple[Peer, ...]:
        ahead_ms = self._wall_ms() - self._monotonic_ms()
        found = []
        for health in self._network.health():
            if health.department not in members:
                continue
            heard_ms = self._driver.heard_ms.get(health.department)
            missing_ms = None if health.missing_since_s is None else round(health.missing_since_s * 1000)
            said = self.book.said.get(health.department) if missing_ms is None else None
            heard_ms = None if heard_ms is None else heard_ms + ahead_ms
            found.append(Peer(health.department, missing_ms, heard_ms, health.last_error, said))
        return tuple(found)

    def _disks(self) -> tuple[Disk, ...]:
        return tuple(Disk(what, *self.free(path)) for what, path in self._folders.items())

    def _own_standing(self) -> Standing:
        situation, states = self._situation(), [disk.state for disk in self._disks()]
        disk = next((state for state in ("full", "low") if state in states), "ok")
        place = (self._ledger.height, situation.view, situation.is_active, self._agreement.is_observer)
        return Standing(*place, disk, 0, self._wall_ms(), SPEAKS)

    def spoken_now(self) -> dict[str, tuple[int, int]]:
        """What each department's software speaks of the protocol (oldest, newest), as far as is known for now."""
        return {**self.book.spoken_now(), self._department: SPEAKS}


def _public(facts: Facts) -> dict[str, Any]:
    return {
        "department": facts.department,
        "now_ms": facts.now_ms,
        "height": facts.height,
        "block_time_ms": facts.block_time_ms,
        "view": facts.view,
        "primary": facts.primary,
        "view_is_active": facts.is_view_active,
        "members": list(facts.members),
        "quorum": facts.quorum,
        "has_proposal": facts.has_proposal,
        "prepared_by": list(facts.prepared_by),
        "committed_by": list(facts.committed_by),
        "asked_for": dict(facts.asked_for),
        "is_observer": facts.is_observer,
        "is_catching_up": facts.is_catching_up,
        "waiting_since_ms": facts.waiting_since_ms,
        "timers": {timer.name: timer.due_ms for timer in facts.timers},
        "protocol": facts.protocol,
        "protocol_next": None if facts.change is None else [facts.change.version, facts.change.height],
        "speaks": {department: list(versions) for department, versions in sorted(facts.spoken.items())},
        "missing": {
            peer.department: peer.missing_since_ms for peer in facts.peers if peer.missing_since_ms is not None
        },
        "heights": {peer.department: peer.standing.height for peer in facts.peers if peer.standing is not None},
    }


def _private(facts: Facts) -> dict[str, Any]:
    return {
        "heard_ms": {peer.department: peer.heard_ms for peer in facts.peers},
        "last_errors": {peer.department: peer.last_error for peer in facts.peers if peer.last_error},
        "clock_offsets_ms": {peer.department: peer.standing.offset_ms for peer in facts.peers if peer.standing},
        "disks": [
            {"what": disk.what, "free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes, "state": disk.state}
            for disk in facts.disks
        ],
        "mempool_transactions": facts.mempool_transactions,
        "vault_missing": facts.vault_missing,
        "refused": dict(sorted(facts.refused.items())),
        "accusations": dict(sorted(facts.accusations.items())),
    }
