"""Measures searching: `python tools/measure_search.py [--customers 100000] [--runs 20]`.

Puts customers into a state under the default policy, fills a node's index with made-up Chinese values, and prints
what the index costs in time and memory, and how long finding a page of 50 takes for people who see everything and for
people who see little: permissions included, the two commits of a search left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chain.state import View  # noqa: E402
from contracts.deciding.permissions import Case  # noqa: E402
from contracts.deciding.subjects import subject_of_person  # noqa: E402
from contracts.reading.searches import may_be_found  # noqa: E402
from node.search.finding import find  # noqa: E402
from node.search.index import RecordIndex  # noqa: E402
from node.search.query import Filter, Query  # noqa: E402
from node.search.reached import records_within  # noqa: E402
from node.vault.values import VaultValue  # noqa: E402
from tests.contracts.office import Office  # noqa: E402

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建文辉玲"
PAGE = 50
OFTEN, RARELY = "li", "wang"
"""Operators of sales: one has most of the customers, the other one in a hundred."""


class Values:
    """Where a vault would read its disk: made-up values that follow from the record's number."""

    def get(self, table: str, record: str, field: str, _digest: bytes) -> VaultValue | None:
        return VaultValue(table, record, field, bytes(32), text_of(int(record[1:]), field))


def text_of(number: int, field: str) -> str:
    mixed = number * 2_654_435_761 % (1 << 32)
    if field == "phone":
        return f"+8613{number + 100_000_000:09d}"
    if field == "name":
        second = GIVEN[mixed // 97 % len(GIVEN)] if mixed % 3 else ""
        return SURNAMES[mixed % len(SURNAMES)] + GIVEN[mixed // 31 % len(GIVEN)] + second
    if field == "organisation":
        return f"{('东方', '华夏', '长江', '泰山')[mixed % 4]}{number % 997}公司"
    return ("经理", "主任", "工程师", "采购")[mixed // 7 % 4]


def stock(count: int) -> Office:
    """An office whose state has so many customers, put there without blocks."""
    office = Office()
    view, fields = View(office.ledger.state.get), ("name", "phone", "organisation", "position")
    for number in range(count):
        record, draw = f"c{number:06d}", number % 100
        sender = RARELY if draw == 1 else OFTEN
        digests = {field: [hashlib.sha256(f"{record} {field}".encode()).digest(), 1] for field in fields}
        status = ("valid", None) if draw < 90 else ("invalid", "unavailable") if draw < 97 else ("temporary", None)
        facts = {"sequence": number + 1, "status": status[0], "reason": status[1], "answers": 1, "checked_ms": 1}
        view.put("customers", record, {"version": 1, "fields": digests, "gateways": {}, **facts})
        tie = {"department": "sales", "by": f"person:{sender}", "height": 1, "time_ms": 1}
        view.put("assignments", f"customers.{record}", {"subjects": {f"person:{sender}": tie}})
    office.ledger.state.apply(view.writes, office.ledger.state.preview(view.writes))
    return office


def resident_mb() -> float:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def queries() -> dict[str, Query]:
    number, name, valid = ("fact", "sequence"), ("field", "name"), Filter("fact", "status", "valid")
    by_name = Filter("field", "name", "王芳")
    return {
        "beginning of a name": Query((by_name,), number),
        "one character, by name": Query((Filter("field", "name", "王"),), name),
        "a number": Query((Filter("field", "phone", "+8613100012345"),), number),
        "organisation and status": Query((Filter("field", "organisation", "东方12"), valid), name),
        "invalid ones, newest first": Query((Filter("fact", "status", "invalid"),), number, descending=True),
        "valid ones by name": Query((valid,), name),
        "everything by name": Query((), name),
        "nothing that is there": Query((Filter("field", "name", "无此人"),), number),
        "assigned to the other": Query((Filter("assigned", "", f"person:{RARELY}"), by_name), name),
    }


async def measure(office: Office, index: RecordIndex, person: str, query: Query, runs: int) -> tuple[float, float, int]:
    """Median and longest time in ms, and how many were found."""
    times, found = [], []
    for _ in range(runs):
        begin = time.perf_counter()
        view = View(office.ledger.state.get)
        case = Case(view, subject_of_person(view, person), "read", "customers", "sale", office.time_ms)
        horizon = await records_within(view, index, "customers", case.horizon())
        table = index.tables["customers"]
        found, _ = await find(
            table, query, horizon, lambda record, case=case: may_be_found(case, record, query.over, ["name"]), PAGE
        )
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times), max(times), len(found)


async def run(count: int, runs: int) -> None:
    office = stock(count)
    gc.collect()
    before, begin = resident_mb(), time.perf_counter()
    index = RecordIndex(office.ledger, Values())  # type: ignore[arg-type]
    await index.walk()
    index.tables["customers"].columns["field", "name"].count(b"")
    spent = time.perf_counter() - begin
    gc.collect()
    print(
        f"{count} customers: index filled in {spent:.1f} s (without the vault's disk), {resident_mb() - before:.0f} MB"
    )
    for person, sees in (("qian", "sees all (finance)"), (OFTEN, "99 in 100 assigned"), (RARELY, "1 in 100 assigned"),
                         ("sun", "by projects, none")):  # fmt: skip
        print(f"\n{person}: {sees}\n  {'query':28} {'median ms':>10} {'longest ms':>10} {'found':>6}")
        for name, query in queries().items():
            median, longest, found = await measure(office, index, person, query, runs)
            print(f"  {name:28} {median:10.1f} {longest:10.1f} {found:6}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures searching.")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    asyncio.run(run(options.customers, options.runs))


if __name__ == "__main__":
    main()
