"""The figures as a table for people: what, median, least to greatest, and the ratio to the bound where there is one."""

from __future__ import annotations

from typing import Any

from tools.bench.overload import plot
from tools.bench.reach import judged

Row = tuple[str, str, str, str]


def table(figures: dict[str, Any]) -> str:
    rows: list[Row] = [("", "median", "least to greatest", "of the bound")]
    for name, text in (("four", "four nodes"), ("six", "six nodes")):
        if name in figures:
            rows += _network_rows(text, figures[name])
    if "many" in figures:
        rows += _many_rows(figures["many"])
    if "blocks" in figures:
        rows += _block_rows(figures["blocks"])
    effort = figures["effort"]
    head = f"{figures['cores']} cores; {figures['interpreter']}\nmix: {figures['mix']}; "
    head += f"{effort['runs']} runs of {effort['seconds']:g} s"
    parts = [head, _aligned(rows)]
    if points := figures.get("four", {}).get("overload"):
        parts += ["", plot(points)]
        parts += [f"  at {point['share']:.0%} lost: {point['lost']}" for point in points if point["lost"]]
        parts += [f"  at {point['share']:.0%} not sent: {point['unsent']}" for point in points if point["unsent"]]
    if found := judged(figures):
        targets: list[Row] = [("to reach", "figure", "reach / beyond", "")]
        for one in found:
            sign = "<= " if one.target.is_most else ">= "
            limits = f"{sign}{one.target.reach:g} / {one.target.beyond:g}"
            targets.append((one.target.text, f"{one.value:g}", limits, one.verdict))
        parts += ["", _aligned(targets)]
    return "\n".join([*parts, f"took {figures['took_s']:g} s"])


def _aligned(rows: list[Row]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _many_rows(found: dict[str, Any]) -> list[Row]:
    what = f"{found['records']} records"
    rows = _rate_rows(f"{what}, 100 per request", found["hundred"])
    rows += _ratio_rows(found)
    rows += [
        _unloaded_row(what, found),
        (f"{what}, at rest after, s", f"{found['at_rest_s']:g}", "", ""),
        _row(f"{what}, memory per node, MB", found["memory_mb"]),
        _row("  without the files that are mapped", found["own_memory_mb"]),
        _row(f"{what}, disk bytes per record and node", found["disk_bytes_per_record"]),
        (f"{what}, API / first vote after start, s",
         f"{found['start']['api_s']:g} / {found['start']['first_vote_s']:g}", "", ""),
    ]  # fmt: skip
    return rows


def _block_rows(found: dict[str, Any]) -> list[Row]:
    what, caught = f"{found['blocks']} blocks", found["catch_up"]
    rows = _rate_rows(f"{what}, 100 per request", found["hundred"])
    if "short" in found:
        rows += _compared_rows(found)
    rows += [
        _unloaded_row(what, found),
        _row(f"{what}, API after start, s", found["api_s"]),
        _row(f"{what}, first vote after start, s", found["first_vote_s"]),
        _row("  processor time until then, s", found["start_processor_s"]),
        ("catching up, blocks/s; tx/s",
         f"{caught['blocks_per_second']:g}; {caught['transactions_per_second']:g}", f"{caught['blocks']} blocks", ""),
        ("  processor time per block, us", f"{caught['processor_us_per_block']:g}", "", ""),
    ]  # fmt: skip
    return rows


def _network_rows(text: str, found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name, label in (("hundred", "100 per request"), ("one", "one per request")):
        if name in found:
            rows += _rate_rows(f"{text}, {label}", found[name])
    for load in ("unloaded_ms", "half_load_ms"):
        for part in ("p50", "p95", "p99"):
            if "latency" in found:
                rows.append(_row(f"{text}, {load.removesuffix('_ms')} {part}, ms", found["latency"][load][part]))
    if "read_ms" in found:
        rows += [_row(f"read on the record {part}, ms", found["read_ms"][part]) for part in ("p50", "p95", "p99")]
    if "stopped" in found:
        rows.append(_row("one node stopped, tx/s", found["stopped"]["stopped_per_second"]))
        rows.append(("  of the healthy rate", f"{found['stopped']['ratio']}", "", ""))
    if "audit" in found:
        rows += _audit_rows(found["audit"])
    if "sizes" in found:
        rows += [_row(f"per node: {name.replace('_', ' ')}", value) for name, value in found["sizes"].items()]
    return rows


def _rate_rows(text: str, rate: dict[str, Any]) -> list[Row]:
    what, median, between, _ = _row(f"{text}, tx/s", rate["per_second"])
    ratio = rate["ratio_to_bound"]
    rows = [(what, median, between, f"{ratio['median']} ({ratio['min']} to {ratio['max']})")]
    rows.append(_row("  processor time per tx and node, us", rate["node_us_per_transaction"]))
    if rate["failed"]:
        rows.append(("  not counted", ", ".join(f"{code} {n}" for code, n in rate["failed"].items()), "", ""))
    return rows


def _ratio_rows(found: dict[str, Any]) -> list[Row]:
    return [
        ("  of the rate with few", f"{found['ratio']:g}", "", ""),
        ("  of the processor time with few, inverted", f"{found['ratio_of_processor_time']:g}", "", ""),
    ]


def _compared_rows(found: dict[str, Any]) -> list[Row]:
    short = found["short"]
    what = f"{short['blocks']} blocks"
    rows = _rate_rows(f"{what}, 100 per request", short["hundred"])
    return [*_ratio_rows(found), *rows, _unloaded_row(what, short)]


def _unloaded_row(what: str, found: dict[str, Any]) -> Row:
    unloaded = found["unloaded_ms"]
    return f"{what}, unloaded p50 / p99, ms", f"{unloaded['p50']:g} / {unloaded['p99']:g}", "", ""


def _audit_rows(found: dict[str, Any]) -> list[Row]:
    what, median, between, _ = _row("audit, one core, tx/s", found["one_core_per_second"])
    return [
        (what, median, between, str(found["ratio_to_verify"])),
        _row("audit, all cores, tx/s", found["all_cores_per_second"]),
        ("  speed-up", str(found["speed_up"]), "", ""),
    ]


def _row(text: str, value: dict[str, Any]) -> Row:
    return text, f"{value['median']:g}", f"{value['min']:g} to {value['max']:g}", ""
