"""What Prometheus reads: documented names, true counts, no person and no value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.api.metrics import LIMITS, make_metrics_app
from node.api.server import listen
from node.metrics import Metrics
from tests.node.cluster import eventually, running

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
OF_THE_LIBRARY = ("process_", "python_")
STATUS: dict[str, Any] = {
    "height": 7,
    "uptime_ms": 1_500,
    "view": 2,
    "is_ready": True,
    "view_is_active": True,
    "is_observer": False,
    "is_catching_up": False,
    "mempool_transactions": 3,
    "pressure": {"waiting": 300, "expected_wait_ms": 2_500},
    "state_entries": 100,
    "state_cache_bytes": 2_000,
    "storage_memory_bytes": 3_000,
    "vault": {"live_values": 10, "staged_values": 1, "missing": 2, "surplus": 0, "erasures_unconfirmed": 0},
    "peers": [
        {"department": "finance", "is_connected": True, "over_budget": 3},
        {"department": "sales", "is_connected": False, "over_budget": 0},
    ],
    "accusations": 4,
}


def samples(rendered: bytes) -> dict[tuple[str, ...], float]:
    """(name, label values …) -> value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(rendered.decode())
        for sample in family.samples
    }


def test_every_metric_is_documented_and_every_documented_metric_is_there() -> None:
    documented = set(re.findall(r"^\| `(kehu_[a-z_]+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    rendered = Metrics(lambda: STATUS).render().decode()
    given = set(re.findall(r"^# TYPE (\S+)", rendered, re.MULTILINE))
    given = {name for name in given if not name.startswith(OF_THE_LIBRARY) and not name.endswith("_created")}
    assert given == documented


def test_the_situation_is_that_of_the_moment_of_the_scrape() -> None:
    status = dict(STATUS)
    metrics = Metrics(lambda: status)
    status["height"] = 8
    found = samples(metrics.render())
    assert (found[("kehu_chain_height",)], found[("kehu_uptime_seconds",)]) == (8, 1.5)
    assert found[("kehu_peer_over_budget_total", "finance")] == 3
    assert (found[("kehu_peer_connected", "finance")], found[("kehu_peer_connected", "sales")]) == (1, 0)
    assert found[("kehu_vault_missing_values",)] == 2


def test_a_node_that_does_not_know_its_view_yet_leaves_it_out() -> None:
    assert ("kehu_view",) not in samples(Metrics(lambda: {**STATUS, "view": None}).render())


def test_requests_are_counted_by_route_and_status_and_not_by_path() -> None:
    metrics = Metrics(lambda: STATUS)
    for _ in range(2):
        metrics.http_answered("GET", "/v1/blocks/{height}", 200, 0.02)
    found = samples(metrics.render())
    assert found[("kehu_http_requests_total", "GET", "/v1/blocks/{height}", "200")] == 2
    assert found[("kehu_http_request_duration_seconds_count", "/v1/blocks/{height}")] == 2


async def test_the_address_for_metrics_serves_metrics_and_nothing_else() -> None:
    server = await listen(make_metrics_app(Metrics(lambda: STATUS).render), "127.0.0.1", 0, LIMITS)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            async with session.get("/metrics") as answer:
                assert answer.status == 200
                assert samples(await answer.read())[("kehu_chain_height",)] == 7
            for path in ("/", "/v1/status", "/metrics/../v1/status"):
                async with session.get(path) as answer:
                    assert answer.status == 404
    finally:
        await server.close()


@pytest.mark.slow
async def test_a_real_node_counts_its_blocks_and_transactions(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        for _ in range(3):
            await cluster.commit(cluster.login("li"), via="sales")
        await cluster.agree(at_least=3)
        node = cluster.nodes["sales"]
        await eventually(lambda: samples(node.metrics.render())[("kehu_transactions_total", "ok")] == 3)
        found = samples(node.metrics.render())
        assert found[("kehu_chain_height",)] == found[("kehu_blocks_total",)]
        assert found[("kehu_transactions_total", "failed")] == 0
        assert found[("kehu_commit_duration_seconds_count",)] == 3
        assert found[("kehu_peers_connected",)] == 3
