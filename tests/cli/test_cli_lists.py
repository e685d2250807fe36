"""Lists of every table by command line: filters, order, pages and files, in Chinese data."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Kehu

PEOPLE = {  # name: number, organisation, position
    "王小明": ("13800139001", "东方公司", "经理"),
    "王芳": ("13800139002", "东方公司", "总监"),
    "欧阳修": ("13900139003", "西方学校", "校长"),
}


class Books:
    """Customers of li's, two projects, of which one is in the hands of finance, and what belongs to it."""

    def __init__(self, kehu: Kehu) -> None:
        self.kehu = kehu
        self.customers = {name: self._customer(name, *rest) for name, rest in PEOPLE.items()}
        self.east = self.add("org", "add", "name=东方公司", "address=上海")
        self.west = self.add("org", "add", "name=西方学校")
        self.factory = self.add("project", "add", self.east, "name=智慧工厂", "goal=年底上线")
        self.campus = self.add("project", "add", self.west, "name=智慧校园")
        self.kehu.json("customer", "place", self.customers["王芳"], "--organisation", self.east, as_="li")
        self.add(
            "participation", "add", self.factory, self.customers["王芳"], "--role", "sponsor", "--right", "decides"
        )
        self.training = self.add("demand", "add", self.customers["王芳"], "text=需要培训", "--project", self.factory)
        self.spares = self.add("demand", "add", self.customers["欧阳修"], "text=需要备件")
        kehu.json("demand", "update", self.spares, "--state", "accepted", "answer=下周", as_="li")
        kehu.json("project", "hand-over", self.factory, "finance", "note=合同已签", as_="li")
        self.arrived = self.add("progress", "add", self.factory, "text=首付已到", as_="qian")
        bill = ("--amount", "12500.50", "--due", "2020-01-31", "note=首付")
        self.payment = self.add("payment", "add", self.factory, *bill, as_="qian")
        self.complaint = self.add("feedback", "send", self.customers["王芳"], "text=电话有误", as_="admin")

    def add(self, *arguments: str, as_: str = "li") -> str:
        return str(self.kehu.json(*arguments, as_=as_)["record"])

    def _customer(self, name: str, phone: str, organisation: str, position: str) -> str:
        fields = (f"name={name}", f"phone={phone}", f"organisation={organisation}", f"position={position}")
        return str(self.kehu.json("customer", "add", *fields, "--temporary", as_="li")["customer"])

    def names(self, *arguments: str, as_: str = "li") -> list[str]:
        rows = self.kehu.json("customer", "list", *arguments, as_=as_)["customers"]
        return [row["fields"]["name"]["value"] for row in rows]

    def ids(self, *arguments: str, as_: str = "li") -> list[str]:
        return [row["record"] for row in self.kehu.json(*arguments, as_=as_)["records"]]


@pytest.fixture(scope="module")
def books(kehu: Kehu) -> Books:
    request = kehu.folder.parent / "qian.json"
    request.write_text(json.dumps(kehu.json("key", "new", "qian", "--department", "finance")))
    kehu.json("people", "enrol", "qian", "name=钱进", "--request", str(request), as_="admin")
    return Books(kehu)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("name=王",), ["王小明", "王芳"]),
        (("name=欧阳",), ["欧阳修"]),
        (("phone=138 0013",), ["王小明", "王芳"]),
        (("organisation=西方",), ["欧阳修"]),
        (("position=总",), ["王芳"]),
        (("status=temporary",), ["王小明", "王芳", "欧阳修"]),
        (("status=valid",), []),
        (("assigned=li",), ["王小明", "王芳", "欧阳修"]),
        (("assigned=wang",), []),
        (("stage=finance",), ["王芳"]),
        (("stage=sales",), []),
        (("name=王", "organisation=东方", "stage=finance"), ["王芳"]),
    ],
)
def test_customers_are_listed_by(books: Books, filters: tuple[str, ...], found: list[str]) -> None:
    options = [part for text in filters for part in ("--filter", text)]
    assert books.names(*options) == found
    assert books.names(*options, as_="wang") == []


def test_a_list_has_an_order_and_pages_with_and_without_filters(books: Books) -> None:
    assert books.names("--sort", "name") == ["欧阳修", "王小明", "王芳"] == sorted(PEOPLE)
    assert books.names("--descending") == ["欧阳修", "王芳", "王小明"]
    for options in ((), ("--sort", "phone"), ("--filter", "status=temporary")):
        seen: list[str] = []
        after: tuple[str, ...] = ()
        while True:
            page = books.kehu.json("customer", "list", "--limit", "2", *options, *after, as_="li")
            seen += [row["fields"]["name"]["value"] for row in page["customers"]]
            if page["next"] is None:
                break
            after = ("--after", str(page["next"]))
        assert seen == ["王小明", "王芳", "欧阳修"], options
    problem = books.kehu.problem("customer", "list", "--after", books.customers["王芳"], as_="li", exit=2)
    assert problem["code"] == "usage.after"


def test_projects_are_listed_by_stage_organisation_and_name(books: Books) -> None:
    assert books.ids("project", "list", "--filter", "stage=finance", as_="qian") == [books.factory]
    assert books.ids("project", "list", "--filter", "stage=sales") == [books.campus]
    assert books.ids("project", "list", "--filter", f"organisation={books.west}", as_="admin") == [books.campus]
    assert books.ids("project", "search", "智慧", "--sort", "name", as_="admin") == [books.factory, books.campus]
    assert books.ids("project", "search", "智慧工", as_="zhao") == []
    by_stage = ("project", "list", "--sort", "stage", "--descending")
    assert books.ids(*by_stage, as_="admin") == [books.campus, books.factory]


def test_every_table_is_searched_by_its_first_text_and_filtered_by_its_facts(books: Books) -> None:
    assert books.ids("org", "search", "东方") == [books.east]
    assert books.ids("demand", "search", "需要", "--sort", "registered") == [books.training, books.spares]
    assert books.ids("demand", "search", "需要", "--filter", "state=accepted") == [books.spares]
    assert books.ids("demand", "list", "--filter", "stage=finance") == [books.training]
    assert books.ids("progress", "search", "首付", as_="qian") == [books.arrived]
    assert books.ids("payment", "list", "--filter", "state=open", as_="qian") == [books.payment]
    assert books.ids("payment", "list", "--filter", "state=open", as_="li") == []
    assert books.ids("feedback", "search", "电话", "--filter", "state=open", as_="admin") == [books.complaint]
    assert "qian" in books.ids("people", "search", "钱", as_="admin")
    assert books.ids("people", "search", "--filter", "department=finance", "--filter", "role=auditor", as_="admin") == [
        "shen"
    ]


def rows_of(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def test_tables_are_taken_away_in_files_by_who_may_export_them(books: Books, tmp_path: Path) -> None:
    def take(group: str, *options: str, as_: str = "admin") -> list[dict[str, Any]]:
        file = tmp_path / f"{group}.csv"
        done = books.kehu.json(group, "export", str(file), *options, as_=as_)
        rows = rows_of(file)
        assert done["rows"] == len(rows)
        return rows

    factory, _ = take("project", "--headers", "zh", "--bom")
    assert factory == {
        "编号": books.factory,
        "单位": books.east,
        "阶段": "finance",
        "状态": "active",
        "名称": "智慧工厂",
        "目标": "年底上线",
        "备注": "",
    }
    (payment,) = take("payment")
    assert (payment["amount"], payment["currency"], payment["overdue"], payment["note"]) == (
        "12500.50",
        "CNY",
        "yes",
        "首付",
    )
    assert [row["text"] for row in take("demand")] == ["需要培训", "需要备件"]
    assert [row["name"] for row in take("org")] == ["东方公司", "西方学校"]
    assert [row["text"] for row in take("progress")] == ["首付已到"]
    assert [row["text"] for row in take("feedback")] == ["电话有误"]
    refused = books.kehu.json("payment", "export", str(tmp_path / "x.csv"), as_="qian", exit=1)
    assert (refused["rows"], (tmp_path / "x.csv").exists()) == (0, False)


def test_an_accountant_lists_payments_by_what_is_due_next_and_what_is_overdue(books: Books) -> None:
    def bill(*due: str) -> str:
        return books.add("payment", "add", books.factory, "--amount", "100", "--due", *due, as_="qian")

    later, sooner, late = bill("20d"), bill("3d"), bill("2021-05-31")
    settled = bill("2019-03-31")
    books.kehu.json("payment", "settle", settled, as_="qian")

    def listed(*options: str) -> list[str]:
        return books.ids("payment", "list", *options, as_="qian")

    assert listed("--sort", "due") == [settled, books.payment, late, sooner, later]
    assert listed("--sort", "due_ms", "--descending", "--limit", "2") == [later, sooner]
    assert listed("--filter", "overdue=true", "--sort", "due") == [books.payment, late]
    assert listed("--filter", "overdue=false", "--filter", "state=open", "--sort", "due") == [sooner, later]
    assert listed("--filter", "overdue=false", "--sort", "due", "--limit", "1") == [settled]
    assert listed("--filter", "overdue=true", "--sort", "due", "--after", books.payment) == [late]
    overdue = books.kehu.json("payment", "list", "--filter", "overdue=true", as_="qian")["records"]
    assert [row["facts"]["overdue"] for row in overdue] == [True, True]


@pytest.mark.parametrize("table", ["payment", "demand"])
def test_whether_something_is_overdue_is_asked_of_payments_by_true_or_false(books: Books, table: str) -> None:
    value = "yes" if table == "payment" else "true"
    code, exit_ = ("usage.filter", 2) if table == "payment" else ("record.field_unknown", 1)
    assert books.kehu.problem(table, "list", "--filter", f"overdue={value}", as_="qian", exit=exit_)["code"] == code
