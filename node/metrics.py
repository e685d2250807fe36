"""What a node tells Prometheus: counts of what it did, and its situation at the moment it is asked.

`Metrics` has a registry of its own. Counters and histograms are fed by the parts that know (`block_appended`,
`admitted`, `http_answered`); the situation is read from `Node.status()` when somebody scrapes, so nothing is kept
twice. Names carry their units; docs/metrics.md lists them all, kept by a test. Labels are departments, routes,
methods, outcomes and codes: never a person, a record or a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chain.blocks import ExecutedBlock
from chain.execution import is_execution

ADMITTED_MAX: Final = 50_000
"""How many admitted transactions are timed at once; those beyond are counted but not timed."""
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TRANSACTIONS: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1_000)

Status = Callable[[], Mapping[str, Any]]


class Metrics:
    """Of one node. `status` gives `Node.status()` with "height" beside it."""

    def __init__(self, status: Status) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(_Situation(status))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._transactions = Counter(
            "kehu_transactions", "Transactions in appended blocks, by their receipts", ["outcome"], registry=registry
        )
        self._blocks = Counter("kehu_blocks", "Blocks appended since the start", registry=registry)
        self._block_transactions = Histogram(
            "kehu_block_transactions", "Transactions per block", buckets=_TRANSACTIONS, registry=registry
        )
        self._commit_seconds = Histogram(
            "kehu_commit_duration_seconds",
            "From the admission of a transaction at this node to its block",
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "kehu_http_requests", "Requests to the API", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "kehu_http_request_duration_seconds", "Time to the answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self._admitted: dict[bytes, float] = {}
        for outcome in ("ok", "failed"):
            self._transactions.labels(outcome)

    def admitted(self, transactions: Iterable[bytes]) -> None:
        """These ids were let into the mempool now."""
        now = time.monotonic()
        for id_ in transactions:
            if len(self._admitted) < ADMITTED_MAX:
                self._admitted.setdefault(id_, now)

    def block_appended(self, executed: ExecutedBlock) -> None:
        now = time.monotonic()
        failed = 0
        for receipt in executed.receipts:
            failed += not receipt.is_ok
            begun = self._admitted.pop(receipt.transaction_id, None) if is_execution(receipt) else None
            if begun is not None:
                self._commit_seconds.observe(now - begun)
        self._transactions.labels("failed").inc(failed)
        self._transactions.labels("ok").inc(len(executed.receipts) - failed)
        self._blocks.inc()
        self._block_transactions.observe(len(executed.receipts))
        if len(self._admitted) >= ADMITTED_MAX:  # what expired will never be in a block
            self._admitted.clear()

    def http_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the path as the route table has it, without what stands in its places."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


GAUGES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("kehu_chain_height", "Height of the newest block", ("height",)),
    ("kehu_uptime_seconds", "Since the process began", ("uptime_ms",)),
    ("kehu_view", "PBFT view this node is in", ("view",)),
    ("kehu_is_ready", "1: takes transactions", ("is_ready",)),
    ("kehu_is_view_active", "1: the view is agreed on; 0: a view change is under way", ("view_is_active",)),
    ("kehu_is_observer", "1: does not vote yet, because its vote log is missing or old", ("is_observer",)),
    ("kehu_is_catching_up", "1: fetches blocks that others have", ("is_catching_up",)),
    ("kehu_mempool_transactions", "Admitted and not yet in a block", ("mempool_transactions",)),
    ("kehu_expected_wait_seconds", "How long one more transaction would wait", ("pressure", "expected_wait_ms")),
    ("kehu_state_entries", "Entries of the state", ("state_entries",)),
    ("kehu_state_cache_bytes", "Values of the state that were used lately", ("state_cache_bytes",)),
    ("kehu_storage_memory_bytes", "LevelDB's write buffers and caches", ("storage_memory_bytes",)),
    ("kehu_vault_values", "Live values", ("vault", "live_values")),
    ("kehu_vault_staged_values", "Values of transactions that are not decided yet", ("vault", "staged_values")),
    ("kehu_vault_missing_values", "Values that this department should hold and lacks", ("vault", "missing")),
    ("kehu_vault_surplus_values", "Values that wait to be destroyed", ("vault", "surplus")),
    (
        "kehu_vault_erasures_unconfirmed",
        "Erasures whose receipt is not on the chain yet",
        ("vault", "erasures_unconfirmed"),
    ),
)
"""(name, meaning, where it stands in the status)."""


class _Situation(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        for name, meaning, path in GAUGES:
            value = _at(status, path)
            if value is not None:
                yield GaugeMetricFamily(name, meaning, value=value / 1_000 if name.endswith("_seconds") else value)
        peers = GaugeMetricFamily("kehu_peer_connected", "1: linked to that department", labels=["department"])
        for peer in status["peers"]:
            peers.add_metric([peer["department"]], float(peer["is_connected"]))
        yield peers
        over = CounterMetricFamily(
            "kehu_peer_over_budget", "Frames of that department beyond its share, dropped", labels=["department"]
        )
        for peer in status["peers"]:
            over.add_metric([peer["department"]], float(peer["over_budget"]))
        yield over
        yield GaugeMetricFamily(
            "kehu_peers_connected",
            "Departments this node is linked to",
            value=sum(peer["is_connected"] for peer in status["peers"]),
        )
        yield CounterMetricFamily(
            "kehu_view_changes", "Views entered since the chain began", value=_at(status, ("view",)) or 0
        )
        yield CounterMetricFamily("kehu_accusations", "Misbehaviour seen by this node", value=status["accusations"])


def _at(status: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = status
    for name in path:
        value = value.get(name)
        if value is None:
            return None
    return float(value)
