"""B09: a node in a restart loop, while people get in each other's way, costs the others little (FISCO #4417)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain.transaction import Call
from tests.node_simulation.loop import SimLoop
from tests.node_simulation.plan import Plan
from tests.node_simulation.runs import dispose, quiet
from tests.node_simulation.world import World

SECONDS = 30.0
RESTART_EVERY_S, AWAY_S = 3.0, 0.5
THINK_S = 0.1
WRITERS = ("li", "wang", "li", "wang")
CUSTOMER = "c0"


class Rivals:
    """They change the same customer again and again, each from the version that was there last."""

    def __init__(self, world: World) -> None:
        self.world, self.people = world, world.people
        self.codes: list[str] = []

    def begin(self) -> None:
        self.people.running += 1
        self.world.spawn(self._all())

    async def _all(self) -> None:
        values = self.people._values(CUSTOMER, "name", "phone")
        args = {"customer": CUSTOMER, "fields": self.people._digests(values), "attestation": None, "temporary": True}
        await self.people._settle("li", Call("customers.register", args), values=values, is_sure=True)
        await asyncio.gather(*(self._write(person) for person in WRITERS))
        self.people.running -= 1

    async def _write(self, person: str) -> None:
        while self.world.loop.time() < SECONDS:
            node = self.world.machines[self.people.staff[person]].node
            row = None if node is None else node.view().get("customers", CUSTOMER)
            assert row is not None
            values = self.people._values(CUSTOMER, "name")
            args = {"customer": CUSTOMER, "version": row["version"], "fields": self.people._digests(values)}
            done = await self.people._settle(person, Call("customers.update", args), values=values)
            assert done is not None
            self.codes.append(done[1].receipt.code)
            await asyncio.sleep(THINK_S)


def decided(folder: Path, victim: str | None) -> list[str]:
    """What became of the transactions of so many seconds. `victim`: the department whose node is restarted."""
    with quiet():
        codes, loop = _run(folder, victim)
        dispose(loop)
    return codes


def _run(folder: Path, victim: str | None) -> tuple[list[str], SimLoop]:
    world = World(9, folder, Plan(4, chaos_s=SECONDS, operations=0))
    rivals = Rivals(world)
    world.people.begin = rivals.begin  # type: ignore[method-assign]

    def restart() -> None:
        if victim is not None and world.loop.time() < SECONDS:
            world.machines[victim].end(is_silent=False)
            world.later(AWAY_S, world.machines[victim].start)
            world.later(RESTART_EVERY_S, restart)

    world.later(RESTART_EVERY_S, restart)
    world.run()
    return rivals.codes, world.loop


@pytest.mark.slow
def test_a_node_in_a_restart_loop_under_conflicts_costs_less_than_a_fifth_of_the_rate_b09(tmp_path: Path) -> None:
    rates = {}
    for victim in (None, "after_sales"):
        (folder := tmp_path / str(victim)).mkdir()
        codes = decided(folder, victim)
        assert {"ok", "record.version_conflict"} <= set(codes)
        rates[victim] = len(codes)
    print(rates)
    assert rates["after_sales"] >= 0.8 * rates[None]
