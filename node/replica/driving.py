"""The replica that a node runs, and the driver that feeds it, as its folder and configuration say."""

from __future__ import annotations

from collections.abc import Callable

from consensus.config import ReplicaConfig
from consensus.replica import Replica
from consensus.replica_state import Head
from consensus.votes import decode_record
from node.aside import Blocking
from node.folder.opening import Opened
from node.replica.driver import Driver, Host


def make_driver(opened: Opened, host: Host, clock_ms: Callable[[], int], blocking: Blocking) -> tuple[Replica, Driver]:
    """At the ledger's head, with the votes that the log has."""
    ledger, consensus = opened.ledger, opened.config.consensus
    config = ReplicaConfig(
        opened.config.department,
        opened.genesis.chain_id,
        view_timeout_ms=consensus.view_timeout_ms,
        view_timeout_max_ms=consensus.view_timeout_max_ms,
        block_interval_ms=consensus.block_interval_ms,
        retransmit_ms=consensus.retransmit_ms,
    )
    validators = ledger.validators(ledger.height + 1)
    head = Head(ledger.height, ledger.head.block_id, ledger.head.certificate, validators)
    replica = Replica(config, opened.node_key, head, opened.records)
    driver = Driver(replica, host, opened.votes, opened.create_votes, clock_ms, consensus.block_interval_ms, blocking)
    driver.keep_votes([(decode_record(record).height, record) for record in opened.records or ()])
    return replica, driver
