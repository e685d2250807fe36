"""S08, scenarios 22 and 23: a department whose key is good floods the others' nodes. They go on committing, count what
was beyond its share, and have their memory back; afterwards its honest node is one of them again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.hostile import Attack, Hostile, ask_for_everything, flood_the_future, send_bad_frames, take_everything
from tests.e2e.writing import writers, writing

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

HOSTILE, VICTIMS = "administration", ("finance", "sales", "technical")
"""The one that dials all others."""
ATTACKS: tuple[Attack, ...] = (flood_the_future, ask_for_everything, take_everything, send_bad_frames)
ATTACK_S = 1.2
GROWTH_BYTES_MAX = 48 << 20


async def attack_all(cluster: Cluster, hostile: Hostile, attack: Attack) -> None:
    async with writing(writers(cluster)):
        await asyncio.gather(*(hostile.attack(victim, attack, ATTACK_S) for victim in VICTIMS))


async def status_of(cluster: Cluster, department: str) -> dict[str, Any]:
    async with cluster.client(department) as client:
        return await client.status()


@pytest.fixture
def without(cluster: Cluster) -> Iterator[Cluster]:
    """The hostile department's honest node is down meanwhile."""
    cluster.kehu("network", "down", HOSTILE)
    yield cluster
    cluster.kehu("network", "up", HOSTILE)
    cluster.wait_equal()


async def test_a_department_that_floods_the_others_is_counted_and_they_go_on_with_their_memory(
    without: Cluster,
) -> None:
    cluster = without
    hostile = Hostile(cluster, HOSTILE, (await status_of(cluster, "sales"))["height"])
    memory = []
    for _ in range(2):
        for attack in ATTACKS:
            await attack_all(cluster, hostile, attack)
        memory.append([cluster.memory_bytes(victim) for victim in VICTIMS])
    growth = [after - before for before, after in zip(*memory, strict=True)]
    assert max(growth) < GROWTH_BYTES_MAX
    for victim in VICTIMS:
        over = {peer["department"]: peer["over_budget"] for peer in (await status_of(cluster, victim))["node"]["peers"]}
        assert over.pop(HOSTILE) > 0
        assert set(over.values()) == {0}
    assert hostile.links > 2 * len(ATTACKS) * len(VICTIMS)
    assert hostile.answers > 0
