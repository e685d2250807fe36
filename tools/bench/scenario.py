"""What is measured, in order, on one network: medians over all runs, with the least and the greatest."""

from __future__ import annotations

import base64
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.transaction import Call
from cli.audit_sources import FileSource
from cli.auditing import run_audit
from tools.bench.bound import verifies_per_second
from tools.bench.load import Load, Sustained
from tools.bench.network import Network
from tools.bench.workload import Lane

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often. `lanes_many`: lanes per department for requests of 100; `lanes_one`: of one;
    `lanes_over`: of ten, for the overload. `few`, `many`: records in the state; `short` (0: none), `blocks`: of the
    short and the long chain; `caught`: the most that a node catches up on; `starts`: of a node with the long chain;
    `settling_s`: nodes that do so long next to nothing are at rest; `bound_s`: how long signatures are verified before
    and after each run."""

    runs: int
    seconds: float
    samples: int
    lanes_many: int
    lanes_one: int
    lanes_over: int
    few: int
    many: int
    short: int
    blocks: int
    caught: int
    starts: int
    settling_s: float
    bound_s: float
    shares: tuple[float, ...]


QUICK = Effort(
    runs=3, seconds=1.0, samples=15, lanes_many=1, lanes_one=16, lanes_over=20, few=1_600, many=3_200, short=0,
    blocks=500, caught=500, starts=1, settling_s=0.5, bound_s=0.2, shares=(0.5, 1.0, 3.0),
)  # fmt: skip
FULL = Effort(
    runs=3, seconds=60.0, samples=500, lanes_many=4, lanes_one=24, lanes_over=400, few=20_000, many=1_000_000,
    short=1_000, blocks=100_000, caught=50_000, starts=3, settling_s=5.0, bound_s=0.4,
    shares=(0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0),
)  # fmt: skip


def ratio(one: Figures, other: Figures, name: str) -> float:
    return float(round(one[name]["median"] / max(1e-9, other[name]["median"]), 3))


def spread(values: Sequence[float], digits: int = 3) -> Figures:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "runs": len(values),
    }


def percentiles_ms(latencies_s: Sequence[float]) -> Figures:
    ordered = sorted(latencies_s)
    at = {f"p{part}": ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 95, 99)}
    return {name: round(value * 1000, 1) for name, value in at.items()} | {"samples": len(ordered)}


async def rate(load: Load, lanes: list[Lane], per_request: int, effort: Effort) -> Figures:
    """Sustained rate, with the bound measured before and after each run."""
    nodes = len(load.network.departments)
    rates, ratios, runs = [], [], []
    before = verifies_per_second(effort.bound_s)
    for _ in range(effort.runs):
        run = await load.sustain(lanes, per_request, effort.seconds)
        after = verifies_per_second(effort.bound_s)
        bound, before = (before + after) / 2 / nodes, after
        rates.append(run.per_second)
        ratios.append(run.per_second / bound)
        runs.append(run)
    return {
        "per_request": per_request,
        "per_second": spread(rates, 1),
        "ratio_to_bound": spread(ratios),
        "bound_per_second": round(statistics.median(r / q for r, q in zip(rates, ratios, strict=True)), 1)
        if all(ratios)
        else None,
        "failed": _failed(runs),
        "node_us_per_transaction": spread([1e6 * r.node_s / max(1, r.committed) / nodes for r in runs], 1),
        "client_us_per_transaction": spread([1e6 * r.client_s / max(1, r.committed) for r in runs], 1),
    }


def _failed(runs: Sequence[Sustained]) -> dict[str, int]:
    codes: dict[str, int] = {}
    for run in runs:
        for code, count in run.codes.items():
            codes[code] = codes.get(code, 0) + count
    return codes


async def latencies(load: Load, lanes: list[Lane], effort: Effort, half: float) -> Figures:
    """Unloaded, and at half of the rate that single transactions reached."""
    alone, busy = [], []
    for _ in range(effort.runs):
        alone.append(percentiles_ms((await load.one_by_one(lanes[0], effort.samples)).latencies_s))
        tally = await load.at_rate(lanes, half, max(1.0, effort.seconds / 2))
        busy.append(percentiles_ms(tally.latencies_s) | {"failed": dict(tally.codes)})
    return {"unloaded_ms": _medians(alone), "half_load_ms": _medians(busy) | {"per_second": round(half, 1)}}


def _medians(runs: list[Figures]) -> Figures:
    return {part: spread([run[part] for run in runs], 1) for part in ("p50", "p95", "p99")}


async def reads(network: Network, lane: Lane, effort: Effort) -> Figures:
    """A read on the record as a client does it: the access is committed, then the values come by a signed request."""
    runs = []
    async with network.client(lane.department) as client:
        for _ in range(effort.runs):
            times = []
            for _ in range(effort.samples):
                args = {"table": "customers", "record": lane.customer(), "fields": ["name", "phone"], "purpose": "care"}
                draft = await client.draft([Call("access.read", args)])
                begin = time.monotonic()
                await client.post("/v1/transactions", _read_body(draft.transaction.raw))
                values = await client.values(draft.transaction.id)
                times.append(time.monotonic() - begin)
                if len(values) != 2:
                    raise RuntimeError(f"a read gave {len(values)} of 2 values")
            runs.append(percentiles_ms(times))
    return _medians(runs)


def _read_body(raw: bytes) -> dict[str, Any]:
    return {"transactions": [base64.b64encode(raw).decode()], "values": [], "wait": "committed", "timeout_ms": 30_000}


async def one_stopped(load: Load, lanes: list[Lane], effort: Effort) -> Figures:
    """The same lanes, at all nodes but the last, with that node running and stopped."""
    network, last = load.network, load.network.departments[-1]
    kept = [lane for lane in lanes if lane.department != last]
    healthy = await rate(load, kept, 100, effort)
    await network.stop(last)
    stopped = await rate(load, kept, 100, effort)
    begin = time.monotonic()
    await network.restart(last)
    await network.wait_level(network.departments)
    return {
        "ratio": round(stopped["per_second"]["median"] / max(1e-9, healthy["per_second"]["median"]), 3),
        "healthy_per_second": healthy["per_second"],
        "stopped_per_second": stopped["per_second"],
        "level_again_s": round(time.monotonic() - begin, 2),
        "failed": stopped["failed"],
    }


async def audit(network: Network, folder: Path, effort: Effort) -> Figures:
    """Replays the whole chain as the auditor does, in one process and with all cores."""
    path = folder / "export.kehu"
    async with network.client(network.departments[0]) as client, client.export(1, None) as chunks:
        with path.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
    cores, rates, transactions = os.cpu_count() or 1, {}, 0
    for jobs in (1, cores):
        found = []
        for _ in range(effort.runs):
            report = run_audit(FileSource(path), jobs=jobs)
            if not report.is_clean:
                raise RuntimeError(f"the audit found {report.finding}")
            transactions = report.to_value()["transactions"]
            found.append(transactions / report.seconds)
        rates[jobs] = spread(found, 1)
    return {
        "transactions": transactions,
        "one_core_per_second": rates[1],
        "all_cores_per_second": rates[cores],
        "speed_up": round(rates[cores]["median"] / rates[1]["median"], 2),
        "ratio_to_verify": round(rates[1]["median"] / (verifies_per_second(effort.bound_s) / cores), 3),
        "export_bytes_per_transaction": round(path.stat().st_size / max(1, transactions)),
    }


def sizes(network: Network, transactions: int) -> Figures:
    """Per node. `transactions` stand in the chain; each made or changed one record."""
    memory, own, disk = network.resident_bytes(), network.own_bytes(), network.disk_bytes()
    return {
        "memory_mb": spread([size / 1e6 for size in memory], 1),
        "own_memory_mb": spread([size / 1e6 for size in own], 1),
        "disk_bytes_per_transaction": spread([size / max(1, transactions) for size in disk], 0),
    }
