"""One run: rounds of faults under load, each healed and waited for; then everything is held against what was told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from chain.export import ExportBlock, ExportReader
from cli.audit_sources import FileSource
from cli.auditing import run_audit
from tests.chaos.checks import Chain, check_told, compare_chains, read_chain
from tests.chaos.clients import READERS, Clients
from tests.chaos.nemesis import KINDS
from tests.chaos.nemesis.base import Nemesis
from tests.chaos.nemesis.stop import Stop
from tests.chaos.network import Network
from tests.chaos.plan import PRIMARY, Round, first_pass, name_victims, rounds
from tests.chaos.told import Outcome, Told
from tests.chaos.watch import Watch

FAIL_OVER_S: Final = 3.0
"""From the loss of a primary to the first acknowledgement of what was sent after it."""
COMMITS_AGAIN_S: Final = 10.0
"""From healing to the first acknowledgement of what was sent after it, however long the outage was."""
READY_AGAIN_S: Final = 60.0
"""From healing until every department is ready and level."""
STANDS_STILL_AFTER_S: Final = 1.5
SETTLE_S: Final = 60.0
VALUES_S: Final = 60.0
BETWEEN_S: Final = 0.5
WARM_UP_S: Final = 2.0
READS_MAX: Final = 40
FAIL_OVER_KINDS: Final = ("kill", "power_cut", "pause", "partition", "stop")
"""After these a primary is gone for good; with others it may go on with part of its work."""


@dataclass
class Figures:
    """`wrongs`: broken promises, each with the round it came from."""

    injected: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    fail_over_s: list[float] = field(default_factory=list)
    commit_s: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    height: int = 0
    audited: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Play:
    """`slack` is what the stated bounds are multiplied with before a figure fails the run."""

    def __init__(self, network: Network, seed: int, slack: float, kinds: tuple[str, ...]) -> None:
        self.network, self.seed, self.slack, self.kinds = network, seed, slack, kinds
        self.told, self.figures = Told(), Figures()
        self.clients = Clients(network, self.told, seed)
        self.watch = Watch(network)
        self._begun_s = time.monotonic()
        self._is_stuck = False

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun_s:7.1f} s  {text}", flush=True)

    async def run(self, seconds: float, writers: int) -> Figures:
        await self.network.start()
        self.say(f"{len(self.network.departments)} departments are up; f = {self.network.f}")
        watching = asyncio.create_task(self.watch.run())
        self.clients.start(writers)
        await asyncio.sleep(WARM_UP_S)
        deadline = self._begun_s + seconds
        for round_ in rounds(self.seed, self.network.departments, self.kinds):
            if round_.number > first_pass(self.kinds) and time.monotonic() > deadline:
                break
            await self._play(round_)
            if self._is_stuck:
                self.say("the network does not come back: no further rounds")
                break
            await asyncio.sleep(BETWEEN_S)
        await self._end()
        watching.cancel()
        self.figures.seconds = time.monotonic() - self._begun_s
        return self.figures

    # Rounds

    async def _play(self, round_: Round) -> None:
        primary = await self._primary()
        victims = name_victims(round_.victims, primary, self.network.departments)
        fault = KINDS[round_.kind](self.network, victims, Random(round_.seed))
        if isinstance(fault, Stop):
            fault.slack = self.slack
        await fault.begin()
        struck_s = time.monotonic()
        if round_.is_hard:
            await self._stand_still(fault, round_.hold_s)
        else:
            await fault.hold(round_.hold_s)
        await fault.heal()
        healed_s = time.monotonic()
        wrongs = [*fault.wrongs, *await self._recover(fault, healed_s), *self.watch.fallen()]
        if primary in victims and not round_.is_hard and round_.kind in FAIL_OVER_KINDS:
            wrongs += self._fail_over(fault, struck_s)
        self._note(round_, fault, victims, primary, wrongs)

    async def _stand_still(self, fault: Nemesis, seconds: float) -> None:
        """Without a quorum nothing may be decided."""
        await asyncio.sleep(STANDS_STILL_AFTER_S)
        before = await self._tip()
        await fault.hold(seconds)
        after = await self._tip()
        if before is not None and after is not None and after > before:
            fault.wrongs.append(f"the chain grew from {before} to {after} without a quorum")

    async def _recover(self, fault: Nemesis, healed_s: float) -> list[str]:
        wrongs, limit_s = [], COMMITS_AGAIN_S * self.slack
        took_s = await self._first_commit(healed_s, limit_s)
        if took_s is None:
            wrongs.append(f"no commit within {limit_s:.0f} s of healing")
        if took_s is not None:
            self.figures.commit_s.append(took_s)
            fault.notes.append(f"commits again after {took_s:.1f} s")
        try:
            limit_s = READY_AGAIN_S * self.slack
            await self.network.wait_ready(self.network.departments, limit_s)
            ready_s = time.monotonic() - healed_s
            self.figures.ready_s.append(ready_s)
            fault.notes.append(f"all ready after {ready_s:.1f} s")
        except TimeoutError as error:
            wrongs.append(str(error))
            self._is_stuck = True
        return wrongs

    async def _first_commit(self, since_s: float, limit_s: float) -> float | None:
        """Seconds until something was acknowledged that was sent after `since_s`; None: not within the limit."""
        while time.monotonic() - since_s < limit_s:
            if (took_s := self.told.first_after(since_s)) is not None:
                return took_s
            await asyncio.sleep(0.05)
        return None

    def _fail_over(self, fault: Nemesis, struck_s: float) -> list[str]:
        took_s = self.told.first_after(struck_s, fault.victims)
        if took_s is None:
            return ["nobody was answered after the primary was gone"]
        self.figures.fail_over_s.append(took_s)
        fault.notes.append(f"fail-over {took_s:.2f} s")
        limit_s = FAIL_OVER_S * self.slack
        return [f"fail-over took {took_s:.1f} s, more than {limit_s:.0f} s"] if took_s > limit_s else []

    def _note(self, round_: Round, fault: Nemesis, victims: tuple[str, ...], primary: str, wrongs: list[str]) -> None:
        kind = f"{round_.kind} (hard)" if round_.is_hard else round_.kind
        self.figures.rounds[kind] += 1
        self.figures.injected[kind] += fault.injected
        named = ", ".join(f"{name} ({PRIMARY})" if name == primary else name for name in victims) or "all links"
        self.say(f"{round_.number:>3} {kind} on {named}, {round_.hold_s} s: {'; '.join(fault.notes)}")
        for wrong in wrongs:
            self.wrong(f"{round_}: {wrong}")

    def wrong(self, text: str) -> None:
        self.figures.wrongs.append(text)
        self.say(f"WRONG: {text}")

    async def _primary(self) -> str:
        """Whom most of the nodes take for it."""
        statuses = await asyncio.gather(*map(self.network.look, self.network.departments))
        votes = Counter(said["node"]["primary"] for said in statuses if said and said["node"]["primary"])
        return str(votes.most_common(1)[0][0]) if votes else self.network.departments[0]

    async def _tip(self) -> int | None:
        statuses = await asyncio.gather(*map(self.network.look, self.network.departments))
        return max((int(said["height"]) for said in statuses if said), default=None)

    # The end

    async def _end(self) -> None:
        self.say("the last fault is healed; clients settle what they sent")
        await self.clients.finish(SETTLE_S)
        await self._level()
        await self._values()
        chains = await self._chains()
        for wrong in [*compare_chains(chains), *self.told.wrongs, *self.watch.fallen()]:
            self.wrong(wrong)
        for wrong in check_told(chains[self.network.departments[0]], self.told):
            self.wrong(wrong)
        unknown = self.told.counts()[Outcome.UNKNOWN]
        if unknown:
            self.wrong(f"{unknown} transactions have no known outcome {SETTLE_S:.0f} s after the last healing")

    async def _level(self) -> None:
        deadline = time.monotonic() + SETTLE_S
        while True:
            statuses = await asyncio.gather(*map(self.network.look, self.network.departments))
            heads = {(said["height"], said["block_id"], said["state_root"]) if said else None for said in statuses}
            if len(heads) == 1 and None not in heads:
                return
            if time.monotonic() > deadline:
                self.wrong(f"departments are not level: {heads}")
                return
            await asyncio.sleep(0.2)

    async def _values(self) -> None:
        """Personal values too: what was acknowledged can be read, in every department that may read it."""
        customers = sorted(self.clients.versions)
        chosen = Random(self.seed).sample(customers, min(READS_MAX, len(customers)))
        deadline = time.monotonic() + VALUES_S
        for department in READERS:
            for customer in chosen:
                while (said := await self.clients.read(department, customer)) != "shown":
                    if time.monotonic() > deadline:
                        self.wrong(f"{department} gets no value of {customer}, which was acknowledged: {said}")
                        return
                    await asyncio.sleep(0.5)
        await self._level()

    async def _chains(self) -> dict[str, Chain]:
        chains = {}
        for department in self.network.departments:
            path = self.network.folder / f"{department}.kehu"
            async with self.network.client(department) as client, client.export(1, None) as pieces:
                with path.open("wb") as file:
                    async for piece in pieces:
                        file.write(piece)
            chains[department] = await asyncio.to_thread(_read, path)
            report = await asyncio.to_thread(run_audit, FileSource(path), jobs=2)
            self.figures.audited.append(f"{department} {report.seconds:.1f} s")
            if not report.is_clean:
                self.wrong(f"audit of {department}: {report.finding}")
        self.figures.height = max(chain.height for chain in chains.values())
        return chains


def _read(path: Path) -> Chain:
    reader = ExportReader()
    with contextlib.closing(FileSource(path).chunks(1)) as chunks:
        items = (item for chunk in chunks for item in reader.feed(chunk))
        return read_chain(item for item in items if isinstance(item, ExportBlock))
