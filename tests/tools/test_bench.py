"""The benchmark's own reckoning: what counts as reached, how the curve is drawn, what a made chain consists of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import KehuError
from tools.bench import growth, overload
from tools.bench.grown import Story
from tools.bench.load import Tally
from tools.bench.reach import TARGETS, Target, figure_at, judged
from tools.bench.stock import Stock

MOST = Target(("a", "ms"), "waiting", 10, 5, is_most=True)
LEAST = Target(("a", "rate"), "rate", 0.45, 0.6)


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (MOST, 10.1, "not reached"), (MOST, 10, "reached"), (MOST, 5, "beyond"),
        (LEAST, 0.449, "not reached"), (LEAST, 0.45, "reached"), (LEAST, 0.6, "beyond"),
    ],
)  # fmt: skip
def test_a_figure_is_judged_by_its_own_direction(target: Target, value: float, verdict: str) -> None:
    assert target.verdict(value) == verdict


def test_every_target_asks_more_beyond_than_to_reach() -> None:
    for target in TARGETS:
        assert target.verdict(target.reach) == "reached", target.text
        assert target.verdict(target.beyond) == "beyond", target.text


def test_only_what_was_measured_is_judged() -> None:
    figures = {"four": {"hundred": {"ratio_to_bound": {"median": 0.5}}, "stopped": {"ratio": 0.95}}, "many": {}}
    assert [(one.value, one.verdict) for one in judged(figures)] == [(0.5, "reached"), (0.95, "reached")]
    assert figure_at({"four": {"one": None}}, ("four", "one", "ratio_to_bound")) is None


def test_refusals_are_not_losses_and_everything_else_that_did_not_commit_is() -> None:
    tally = Tally(committed=900, latencies_s=[0.01] * 98 + [0.5, 2.0], refusals_s=[0.002])
    tally.codes.update({"mempool.busy": 300, "http.connections": 100, "pending": 2, "version.conflict": 1})
    point = overload._point_of(2.0, 1_000.0, 90.0, 10.0, tally, 0)
    assert (point.refused_per_second, point.lost) == (40.0, {"pending": 2, "version.conflict": 1})
    assert (point.p50_ms, point.p99_ms) == (10.0, 2000.0)


def test_the_curve_shows_what_was_done_and_what_was_refused() -> None:
    points = [
        {"share": 0.5, "committed_per_second": 50.0, "refused_per_second": 0.0, "p99_ms": 20.0},
        {"share": 3.0, "committed_per_second": 100.0, "refused_per_second": 100.0, "p99_ms": 900.0},
    ]
    half, triple = overload.plot(points).splitlines()[-2:]
    assert (half.count("="), half.count(".0") + half.count("|")) == (overload.BARS // 4, 2)
    assert "=" * (overload.BARS // 2) + "." * (overload.BARS // 2) in triple


def test_a_state_that_has_no_room_in_memory_is_made_smaller() -> None:
    assert growth.fitting(1_000_000, 64 << 30) == 1_000_000
    assert growth.fitting(1_000_000, 6 << 30) == 100_000
    assert growth.fitting(1_000_000, 0) == 1_000


STORY = Story(bytes(32), "g", ("administration", "sales"), records=3)


def test_a_story_registers_its_customers_and_then_updates_them_in_turn() -> None:
    calls = [STORY.call(number) for number in range(8)]
    assert [call.name for call in calls] == ["customers.register"] * 3 + ["customers.update"] * 5
    assert [call.args["customer"] for call in calls] == ["g-0", "g-1", "g-2", "g-0", "g-1", "g-2", "g-0", "g-1"]
    assert [call.args["version"] for call in calls[3:]] == [1, 1, 1, 2, 2]
    assert [STORY.version(customer, 8) for customer in range(3)] == [3, 3, 2]


def test_what_lasts_in_the_vaults_is_what_the_last_call_on_each_field_committed_to() -> None:
    for customer in range(3):
        newest: dict[str, bytes] = {}
        for number in range(8):
            if number % 3 == customer:
                newest |= STORY.call(number).args["fields"]
        lasting = {value.field: value.digest(STORY.chain_id) for value in STORY.lasting(customer, 8)}
        assert lasting == newest


def test_a_customer_is_handed_out_once_with_its_version() -> None:
    stock = Stock(STORY, 8)
    assert stock.take("administration", 1) == {"g-0": 3}
    assert stock.take("administration", 1) == {"g-2": 2}
    assert stock.take("sales", 1) == {"g-1": 3}
    with pytest.raises(LookupError):
        stock.take("sales", 1)


@pytest.mark.slow
async def test_a_made_chain_is_one_that_auditors_and_nodes_accept(tmp_path: Path) -> None:
    """Real processes: three nodes on a made chain, one that catches up on its end, and an audit of all of it."""
    from tools.bench.grown import start_grown
    from tools.bench.growth import NO_SNAPSHOT, catch_up
    from tools.bench.load import Load
    from tools.bench.network import Network
    from tools.bench.scenario import QUICK, audit

    network = Network(tmp_path / "network", 4)
    away = network.departments[-1]
    network.configure(away, NO_SNAPSHOT)
    try:
        story, grown = await start_grown(network, "g", 40, 200, 5, behind=(away,), lag=150)
        assert (await catch_up(network, away, grown, 150))["blocks"] == 30
        async with Load(network, Stock(story, 200)) as load:
            (lane,) = load.lanes("h", 1, 10, network.departments[:1])
            tally = Tally()
            await load.send(lane, lane.next(9, load.height), tally)
            assert (tally.committed, dict(tally.codes)) == (9, {})
        assert (await audit(network, tmp_path, replace(QUICK, runs=1)))["transactions"] >= 209
    except KehuError as error:
        pytest.fail(str(error))
    finally:
        await network.stop()
