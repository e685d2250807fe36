"""Four real nodes agree, lose one, lose the primary, and find together again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from chain.blocks import BlockStore
from chain.execution import HOME_ONLY
from contracts.deciding.holders import holders
from node.intake.waiting import find_committed
from node.storage.leveldb import LevelStore
from node.vault.values import VaultValue
from tests.node.cluster import DEPARTMENTS, PEOPLE, Cluster, eventually, running

pytestmark = pytest.mark.slow


async def test_what_one_node_admits_all_nodes_execute(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree(at_least=1)
        assert all(node.view().has("logins", "li.1") for node in cluster.nodes.values())


async def test_concurrent_submissions_through_all_nodes_give_one_root(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        sent = {
            PEOPLE[person][0]: [cluster.login(person) for _ in range(25)] for person in ("boss", "li", "qian", "wu")
        }
        await asyncio.gather(*(cluster.commit(*logins, via=name) for name, logins in sent.items()))
        await cluster.agree()
        for logins in sent.values():
            assert [len(cluster.heights_of(login)) for login in logins] == [1] * 25


async def test_a_transaction_submitted_to_a_backup_commits_once(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        backup = next(name for name in ("sales", "finance") if name != cluster.primary)
        login = cluster.login("li" if backup == "sales" else "qian")
        await cluster.commit(login, via=backup)
        await cluster.agree()
        assert len(cluster.heights_of(login)) == 1


async def test_the_same_transaction_through_two_nodes_is_executed_once(tmp_path: Path) -> None:
    """Where the rules let any node have it in; from then on the sender's does, and the others refuse it."""
    async with running(tmp_path, HOME_ONLY - 1) as cluster:
        logins = [cluster.login("li") for _ in range(10)]
        await asyncio.gather(*(cluster.submit(logins, via=name) for name in ("sales", "finance")))
        for login in logins:
            assert await cluster.nodes["finance"].wait_committed(login.id, 60) is not None
        await eventually(lambda: all(not node.status()["mempool_transactions"] for node in cluster.nodes.values()))
        await cluster.agree()
        assert [len(cluster.heights_of(login)) for login in logins] == [1] * 10
        again = await cluster.nodes["finance"].submit([login.raw for login in logins], [])
        assert [one.error for one in again] == [None] * 10
        assert cluster.nodes["finance"].status()["mempool_transactions"] == 0


async def test_another_departments_node_refuses_a_transaction_and_knows_it_once_it_was_executed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        login = cluster.login("li")
        (admission,) = await cluster.nodes["finance"].submit([login.raw], [])
        assert admission.error is not None
        assert admission.error.code == "transaction.elsewhere"
        await cluster.commit(login, via="sales")
        assert await cluster.nodes["finance"].wait_committed(login.id, 60) is not None
        (again,) = await cluster.nodes["finance"].submit([login.raw], [])
        assert again.error is None
        assert len(cluster.heights_of(login)) == 1


@pytest.mark.parametrize("who", ["a backup", "the primary"])
async def test_the_network_goes_on_without_one_node_and_takes_it_back(tmp_path: Path, who: str) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        primary = cluster.primary
        stopped = primary if who == "the primary" else next(name for name in DEPARTMENTS if name != primary)
        person, via = next((who, name) for who, (name, _) in PEOPLE.items() if name != stopped)
        await cluster.stop(stopped)
        for _ in range(5):
            await cluster.commit(cluster.login(person), via=via)
        behind = cluster.any.height
        await cluster.start(stopped)
        await eventually(lambda: cluster.nodes[stopped].height >= behind)
        await cluster.agree()
        await cluster.commit(cluster.login(person), via=via)
        await cluster.agree(at_least=behind + 1)


async def test_all_nodes_restarted_at_once_go_on_where_they_were(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), cluster.login("wang"), via="sales")
        await cluster.agree()
        height, root = cluster.any.height, cluster.any.ledger.state.root
        for _ in range(2):
            await cluster.stop()
            await cluster.start()
        await cluster.ready()
        assert all((node.height, node.ledger.state.root) == (height, root) for node in cluster.nodes.values())
        await cluster.commit(cluster.login("qian"), via="finance")
        await cluster.agree(at_least=height + 1)


async def test_a_stop_under_load_is_quick_and_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        acknowledged: list[bytes] = []

        async def work(person: str) -> None:
            node = cluster.nodes[PEOPLE[person][0]]
            while True:
                logins = [cluster.login(person) for _ in range(20)]
                await node.submit([login.raw for login in logins], [])
                for login in logins:
                    if await node.wait_committed(login.id, 20.0) is not None:
                        acknowledged.append(login.id)

        workers = [asyncio.create_task(work(person)) for person in ("li", "qian", "wu")]
        await eventually(lambda: len(acknowledged) >= 100)
        began = time.monotonic()
        await cluster.stop("sales")
        took_s = time.monotonic() - began
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert took_s < 5
        await cluster.stop()
        for name in DEPARTMENTS[:3]:
            await cluster.start(name)
        await cluster.agree()
        assert all(find_committed(cluster.any.blocks, id_) is not None for id_ in acknowledged)
        await cluster.stop()
        store = LevelStore(cluster.homes["sales"].chain)
        height, _ = BlockStore(store).head() or (0, b"")
        store.close()
        assert height > 0


async def test_what_a_stopping_node_has_admitted_is_committed_by_the_others(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        logins = [cluster.login("li") for _ in range(10)]
        await cluster.submit(logins, via="sales")
        await cluster.stop("sales")
        for login in logins:
            assert await cluster.nodes["finance"].wait_committed(login.id, 60) is not None


def holds(cluster: Cluster, name: str, value: VaultValue) -> bool:
    digest = value.digest(cluster.chain_id)
    vault = cluster.nodes[name]._opened.vault
    return vault.get(value.table, value.record, value.field, digest) == value


async def test_values_lie_at_the_entitled_departments_and_at_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        transaction, values = cluster.register("c1")
        await cluster.commit(transaction, via="sales", values=values)
        await cluster.agree()
        for value in values:
            entitled = holders(cluster.any.view(), "customers", "c1", value.field)
            assert {"administration", "sales"} <= set(entitled) < set(DEPARTMENTS)
            await eventually(lambda value=value, entitled=entitled: all(holds(cluster, n, value) for n in entitled))
            assert not any(holds(cluster, name, value) for name in DEPARTMENTS if name not in entitled)


async def test_a_wiped_node_observes_catches_up_refills_its_vault_and_votes_again(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        transaction, values = cluster.register("c1")
        await cluster.commit(transaction, via="sales", values=values)
        await cluster.agree()
        await cluster.stop("sales")
        cluster.wipe("sales")
        await cluster.start("sales")
        sales = cluster.nodes["sales"]
        await eventually(lambda: sales.status()["is_observer"])
        await eventually(lambda: all(holds(cluster, "sales", value) for value in values))
        assert not cluster.homes["sales"].votes.exists()
        while sales.status()["is_observer"]:
            await cluster.commit(cluster.login("qian"), via="finance")
            await cluster.agree()
        # Now a quorum can be made only with the node that came back.
        await cluster.stop("after_sales")
        await cluster.commit(cluster.login("qian"), via="finance")
        await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree()
        assert cluster.homes["sales"].votes.exists()
