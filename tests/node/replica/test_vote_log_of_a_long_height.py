"""A height that no quorum decides for hours: the vote log stays small, and a restart from it is as one from all."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.crypto import ZERO_DIGEST
from consensus import recovery
from consensus.config import ReplicaConfig
from consensus.effects import Persist
from consensus.messages import Message, VoteMessage
from consensus.replica import Replica
from consensus.replica_state import Head, HeightState
from node.replica import driver as driver_module
from node.replica.driver import Driver
from node.storage.wal import VoteLog
from tests.consensus.cluster import CHAIN_ID, Bench, Cluster
from tests.node.replica.driver_kit import World

VIEWS = 120
LIMIT = 2_000
BINDING = ["view", "is_active", "is_touched", "new_view", "proposal", "required", "prepare", "commit", "prepared"]


def a_height_without_quorum(*, is_prepared: bool) -> Cluster:
    """One view after the other: everybody says PREPARE, and nobody hears it, or, now and then, only no COMMIT."""
    cluster = Cluster(4)
    cluster.work()

    def keep(_sender: str, _receiver: str, message: Message) -> bool:
        if not isinstance(message, VoteMessage):
            return True
        return is_prepared and message.vote.phase == "prepare" and message.vote.view % 20 == 19

    for _ in range(VIEWS):
        cluster.deliver(keep)
        cluster.now_ms += 10_000
        cluster.fire("view")
    cluster.deliver(keep)
    assert cluster[0].replica.view >= VIEWS
    return cluster


def begun(bench: Bench, records: list[bytes]) -> HeightState:
    """The height as a restart with these records takes it up."""
    head = Head(0, ZERO_DIGEST, None, bench.cluster.validators)
    replica = Replica(ReplicaConfig(bench.name, CHAIN_ID), bench.signer, head, records, bench.cluster.check)
    recovery.begin_height(replica._state)
    return replica._state.at


def assert_as_good(bench: Bench, records: list[bytes], every: list[bytes]) -> None:
    one, other = begun(bench, records), begun(bench, every)
    for what in BINDING:
        assert getattr(one, what) == getattr(other, what), what
    assert set(one.bodies) == set(other.bodies)
    if not one.is_active:
        assert one.log.view_changes == other.log.view_changes


@pytest.mark.parametrize("is_prepared", [False, True])
async def test_the_vote_log_of_a_height_that_lasts_stays_small_and_keeps_what_binds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_prepared: bool
) -> None:
    """It grew by a block with each view, in memory as well; beyond a gigabyte it could not be opened any more, and
    what was signed was lost, at all nodes alike."""
    monkeypatch.setattr(driver_module, "LOG_BYTES_MAX", LIMIT)
    for bench in a_height_without_quorum(is_prepared=is_prepared).benches.values():
        path = tmp_path / bench.name
        log, world = VoteLog.create(path, CHAIN_ID, bench.name), World()
        driver = Driver(world, world, log, lambda log=log: log, lambda: 0, 0)  # type: ignore[misc]
        assert (begun(bench, bench.records).prepared is not None) is is_prepared
        for at, record in enumerate(bench.records, 1):
            await driver._perform(Persist(1, record))
            await driver._flush()
            assert log.size_bytes < 8 * LIMIT
            assert sum(len(kept) for _, kept in driver._kept_votes) < 5 * LIMIT
            if at % 7 == 0:
                assert_as_good(bench, log.read_all(), bench.records[:at])
                assert_as_good(bench, [kept for _, kept in driver._kept_votes], bench.records[:at])
        assert sum(map(len, bench.records)) > 16 * LIMIT
        log.close()
        reopened = VoteLog(path, CHAIN_ID, bench.name)
        assert_as_good(bench, reopened.read_all(), bench.records)
        reopened.close()


def test_a_vote_log_is_rewritten_whatever_its_records_take_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.storage.wal.BODY_BYTES_MAX", 100)
    log = VoteLog.create(tmp_path / "votes.log", CHAIN_ID, "sales")
    log.rewrite([b"a" * 60, b"b" * 60])
    log.append([b"c"])
    log.sync()
    log.close()
    again = VoteLog(tmp_path / "votes.log", CHAIN_ID, "sales")
    assert again.read_all() == [b"a" * 60, b"b" * 60, b"c"]
    again.close()
