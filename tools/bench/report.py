"""The figures as a table for people: what, median, least to greatest, and the ratio to the bound where there is one."""

from __future__ import annotations

from typing import Any

Row = tuple[str, str, str, str]


def table(figures: dict[str, Any]) -> str:
    rows: list[Row] = [("", "median", "least to greatest", "of the bound")]
    for name, text in (("four", "four nodes"), ("six", "six nodes")):
        if name in figures:
            rows += _network_rows(text, figures[name])
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    effort = figures["effort"]
    head = f"{figures['cores']} cores; mix: {figures['mix']}; {effort['runs']} runs of {effort['seconds']:g} s"
    return "\n".join([head, *lines])


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


def _audit_rows(found: dict[str, Any]) -> list[Row]:
    what, median, between, _ = _row("audit, one core, tx/s", found["one_core_per_second"])
    return [
        (what, median, between, str(found["ratio_to_verify"])),
        _row("audit, all cores, tx/s", found["all_cores_per_second"]),
        ("  speed-up", str(found["speed_up"]), "", ""),
    ]


def _row(text: str, value: dict[str, Any]) -> Row:
    return text, f"{value['median']:g}", f"{value['min']:g} to {value['max']:g}", ""
