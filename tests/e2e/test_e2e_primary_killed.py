"""Four departments under load; the primary gets SIGKILL: what was acknowledged stays, and nothing runs twice."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from chain.export import ExportBlock, ExportReader
from chain.receipt import Receipt, decode_receipts
from chain.transaction import Call
from cli.client import Draft, NodeClient
from cli.processes import wait_ended
from cli.verify import Committed
from tests.e2e.cluster import DEPARTMENTS, Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

WRITERS_PER_NODE = 2
ACKNOWLEDGED_BEFORE = 40
ACKNOWLEDGED_AFTER = 60


@dataclass
class Written:
    """What writers were told: id -> height of acknowledged transactions, and the drafts that got no answer."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)
    unanswered: list[tuple[str, Draft]] = field(default_factory=list)
    sent: set[bytes] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)


async def write_on(client: NodeClient, written: Written, stop: asyncio.Event, purpose: str) -> None:
    """Logs in again and again, through one node, until told to stop or until the node is gone."""
    while not stop.is_set():
        draft = await client.draft([Call("access.login", {"purpose": purpose})])
        written.sent.add(draft.transaction.id)
        try:
            (outcome,) = await client.submit([draft])
        except Exception:
            written.unanswered.append((client.department, draft))
            return
        if not isinstance(outcome, Committed):
            written.unanswered.append((client.department, draft))
            return
        assert outcome.receipt.is_ok
        written.acknowledged[outcome.transaction_id] = outcome.height
        written.news.set()


async def write_while(cluster: Cluster, victim: str, written: Written) -> None:
    """Writers at every node; the victim is killed once there is a load, and the others go on."""
    stop = asyncio.Event()

    async def work(department: str, number: int) -> None:
        async with cluster.client(department, wait_s=3.0 if department == victim else 30.0) as client:
            await client.status()
            await write_on(client, written, stop, f"load-{department.replace('_', '-')}-{number}")

    async with asyncio.TaskGroup() as tasks:
        for department in DEPARTMENTS:
            for number in range(WRITERS_PER_NODE):
                tasks.create_task(work(department, number))
        await reach(written, ACKNOWLEDGED_BEFORE)
        assert cluster.process(victim).signal(signal.SIGKILL)
        await reach(written, len(written.acknowledged) + ACKNOWLEDGED_AFTER)
        stop.set()


async def reach(written: Written, count: int) -> None:
    async with asyncio.timeout(90):
        while len(written.acknowledged) < count:
            written.news.clear()
            await written.news.wait()


async def resend(cluster: Cluster, written: Written) -> None:
    """The very same transactions again, as somebody would who never heard what became of them."""
    for department, draft in written.unanswered:
        async with cluster.client(department) as client:
            (outcome,) = await client.submit([draft])
            assert isinstance(outcome, Committed), outcome
            assert outcome.receipt.is_ok
            written.acknowledged[draft.transaction.id] = outcome.height


def executions(cluster: Cluster, department: str) -> Iterator[tuple[bytes, int]]:
    """(transaction id, height) of everything that was executed with success, by a node's export."""
    path = cluster.kehu.passphrases.parent / f"{department}.kehu"
    cluster.kehu("export", str(path), "--node", department)
    reader = ExportReader()
    for item in reader.feed(path.read_bytes()):
        if isinstance(item, ExportBlock):
            for receipt in map(Receipt.from_bytes, decode_receipts(item.receipts)):
                if receipt.is_ok:
                    yield receipt.transaction_id, item.height
    path.unlink()


async def test_a_killed_primary_loses_no_acknowledged_transaction_and_none_runs_twice(cluster: Cluster) -> None:
    written = Written()
    victim = cluster.primary()
    await write_while(cluster, victim, written)
    assert {department for department, _ in written.unanswered} == {victim}
    cluster.kehu("network", "up", victim)
    await resend(cluster, written)
    await asyncio.to_thread(cluster.wait_equal)
    chains = {department: list(executions(cluster, department)) for department in DEPARTMENTS}
    chain = chains[victim]
    assert [name for name, other in chains.items() if other != chain] == []
    counts = Counter(id_ for id_, _ in chain)
    assert [id_.hex() for id_, count in counts.items() if count > 1] == []
    heights = dict(chain)
    assert {id_: heights.get(id_) for id_ in written.acknowledged} == written.acknowledged
    assert set(written.acknowledged) == written.sent
    roots = {cluster.kehu("status", "--node", department)["state_root"] for department in DEPARTMENTS}
    assert len(roots) == 1


def has_stopped_in_order(cluster: Cluster, department: str) -> bool:
    """By its log: the last line says so, and nothing in it failed on the way."""
    lines = (cluster.home(department) / "log" / "node.log").read_text(encoding="utf-8").splitlines()
    return "stopped at height" in lines[-1] and not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_all_nodes_ended_at_once_come_back_to_the_same_chain(cluster: Cluster, number: signal.Signals) -> None:
    written = Written()
    stop = asyncio.Event()

    async def work(department: str) -> None:
        async with cluster.client(department, wait_s=3.0) as client:
            await client.status()
            await write_on(client, written, stop, f"all-{department}")

    async with asyncio.TaskGroup() as tasks:
        for department in DEPARTMENTS:
            tasks.create_task(work(department))
        await reach(written, 20)
        for department in DEPARTMENTS:
            cluster.process(department).signal(number)
    assert await wait_ended([cluster.process(department) for department in DEPARTMENTS], 10) == []
    if number is signal.SIGTERM:
        assert [name for name in DEPARTMENTS if not has_stopped_in_order(cluster, name)] == []
    assert len(written.unanswered) == len(DEPARTMENTS)
    cluster.kehu("network", "up")
    await resend(cluster, written)
    await asyncio.to_thread(cluster.wait_equal)
    chain = list(executions(cluster, "sales"))
    assert max(Counter(id_ for id_, _ in chain).values()) == 1
    assert {id_: dict(chain).get(id_) for id_ in written.acknowledged} == written.acknowledged
    assert cluster.kehu("audit", "--node", "finance")["clean"]
