"""The simulated network beyond one machine: real replicas, simulated hosts."""

from __future__ import annotations

import dataclasses

import pytest

from tools.scale.costs import Costs, costs_of, read_profile
from tools.scale.host import Host
from tools.scale.network import Network, Outcome, simulate

COSTS = Costs(verify_us=50, ingest_us=40, execute_us=40, append_us=20)


def run(count: int = 4, delay_ms: float = 5.0, **changed: float) -> Outcome:
    return simulate(count, delay_ms, dataclasses.replace(COSTS, **changed), per_request=100, lanes=4, requests=120)


def test_the_same_network_gives_the_same_figures() -> None:
    assert run() == run()


def test_throughput_stays_below_what_the_event_loop_of_one_host_can_do() -> None:
    outcome = run(delay_ms=1.0)
    assert outcome.per_second < 1e6 / (COSTS.ingest_us + COSTS.execute_us + COSTS.append_us)
    assert outcome.per_second > 1_000


def test_dearer_execution_and_longer_distances_cost_throughput_and_latency() -> None:
    base = run()
    assert run(execute_us=200).per_second < base.per_second
    assert run(delay_ms=50.0).latency_ms > base.latency_ms
    assert run(delay_ms=100.0).per_second < base.per_second


def test_an_unloaded_transaction_takes_at_least_its_round_trips_and_flushes() -> None:
    """Values to the holders and back, gossip, then proposal, PREPARE and COMMIT."""
    assert Network(4, 20.0, COSTS).latency_ms(3) >= 5 * 20 + 3 * COSTS.sync_ms


def test_every_request_is_in_the_chain_of_its_author_once() -> None:
    network = Network(4, 1.0, COSTS)
    network.saturate(lanes=2, per_request=10, requests=40)
    done = [request for request in network.requests.values() if request.done is not None]
    assert network.done == len(done) >= 40
    assert all((request.done or 0) > request.sent for request in done)


def test_who_asks_for_a_flush_while_one_runs_shares_the_next() -> None:
    host = Host(dataclasses.replace(COSTS, sync_ms=1.0))
    assert [host.sync(0), host.sync(10), host.sync(500), host.sync(1_500)] == [1_000, 2_000, 2_000, 3_000]
    assert host.busy_us["disk"] == 3_000


def test_the_profile_in_the_repository_gives_all_costs() -> None:
    profile = read_profile()
    costs = costs_of(profile, cores=2)
    assert costs.all_us == pytest.approx(sum(profile["parts_us"].values()))
    assert min(costs.verify_us, costs.ingest_us, costs.execute_us, costs.append_us) > 0
