"""Organisations and projects by command line against a network: real APIs, contracts, proofs, Chinese data."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chain.errors import KehuError
from cli.amounts import amount_text, minor_units
from cli.commands.payment import read_paid
from cli.times import read_moment
from tests.cli.conftest import Kehu
from tests.cli.office import Office


class Stage:
    """东方公司 with two departments, three people and a project; who acts is sales' li unless said otherwise."""

    def __init__(self, kehu: Kehu) -> None:
        self.kehu = kehu
        self.o = self.add("org", "add", "name=东方公司", "address=上海")
        self.head = self.add("dept", "add", self.o, "name=总经办")
        self.buying = self.add("dept", "add", self.o, "name=采购部", "--parent", self.head)
        self.wang, self.chen, self.zhou = (self.customer(name) for name in ("王总", "陈静", "周强"))
        self.place(self.wang, self.head)
        self.place(self.chen, self.buying)
        self.place(self.zhou, self.buying)
        self.line = self.add("relation", "add", self.chen, "reports_to", self.wang)
        self.influence = self.add("relation", "add", self.zhou, "influences", self.wang, "note=校友", "--weight", "70")
        self.p = self.add("project", "add", self.o, "name=智慧工厂", "goal=年底上线")
        part = ("--role", "sponsor", "--right", "decides", "--stance", "supports", "--weight", "90")
        self.part = self.add("participation", "add", self.p, self.wang, "note=关键人物", *part)

    def add(self, *arguments: str, as_: str = "li") -> str:
        return str(self.kehu.json(*arguments, as_=as_)["record"])

    def run(self, *arguments: str, as_: str = "li", exit: int = 0) -> Any:  # noqa: A002
        return self.kehu.json(*arguments, as_=as_, exit=exit)

    def customer(self, name: str) -> str:
        phone = f"1390000{self.kehu.json('status')['height']:04}"
        added = self.kehu.json("customer", "add", f"name={name}", f"phone={phone}", "--temporary", as_="li")
        return str(added["customer"])

    def place(self, customer: str, department: str | None) -> Any:
        where = () if department is None else ("--department", department)
        return self.run("customer", "place", customer, "--organisation", self.o, *where)

    def height(self) -> int:
        return int(self.kehu.json("status")["height"])

    def map(self, *arguments: str, as_: str = "li", exit: int = 0) -> Any:  # noqa: A002
        return self.run("project", "map", self.p, *arguments, as_=as_, exit=exit)


@pytest.fixture(scope="module")
def colleagues(kehu: Kehu) -> None:
    request = kehu.folder.parent / "qian.json"
    request.write_text(json.dumps(kehu.json("key", "new", "qian", "--department", "finance")))
    kehu.json("people", "enrol", "qian", "name=钱进", "--request", str(request), as_="admin")


@pytest.fixture
def stage(kehu: Kehu, colleagues: None) -> Stage:
    return Stage(kehu)


def people(found: Any) -> dict[str, Any]:
    return {person["record"]: person for person in found["people"]}


def test_the_map_shows_chart_lines_influence_and_parts_with_names(stage: Stage) -> None:
    found = stage.map()
    assert (found["stage"], found["fields"]["name"]["value"]) == ("sales", "智慧工厂")
    assert found["organisation"]["fields"]["name"]["value"] == "东方公司"
    assert [(item["record"], item["parent"]) for item in found["departments"]] == [
        (stage.head, None),
        (stage.buying, stage.head),
    ]
    wang, chen = people(found)[stage.wang], people(found)[stage.chen]
    assert (wang["fields"]["name"]["value"], wang["department"], wang["reports_to"]) == ("王总", stage.head, None)
    assert wang["part"] == {"role": "sponsor", "right": "decides", "weight": 90, "stance": "supports"}
    assert (chen["reports_to"], chen["part"]) == (stage.wang, None)
    assert {"record": stage.influence, "from": stage.zhou, "kind": "influences", "to": stage.wang, "weight": 70} in (
        found["relations"]
    )
    screen = stage.kehu("project", "map", stage.p, as_="li").out
    assert f"陈静 ({stage.chen}) · reports to 王总 ({stage.wang})" in screen
    assert "decides as sponsor, weight 90, supports" in screen
    assert screen.index("总经办") < screen.index("采购部") < screen.index("陈静")


def test_what_belongs_to_an_organisation_a_customer_and_a_project_is_listed_from_either_side(stage: Stage) -> None:
    demand = stage.add("demand", "add", stage.wang, "text=需要培训", "--project", stage.p)
    stage.add("feedback", "send", stage.wang, "text=电话有误", "--project", stage.p, as_="admin")
    people = stage.run("org", "people", stage.o)["records"]
    assert [row["record"] for row in people] == [stage.wang, stage.chen, stage.zhou]
    assert [row["fields"]["name"]["value"] for row in people] == ["王总", "陈静", "周强"]
    assert set(people[0]["fields"]) == {"name", "phone", "position"}
    assert [row["record"] for row in stage.run("org", "projects", stage.o)["records"]] == [stage.p]
    (part,) = stage.run("customer", "projects", stage.wang)["records"]
    assert (part["record"], part["facts"]["project"]) == (stage.part, stage.p)
    (asked,) = stage.run("customer", "demands", stage.wang)["records"]
    assert (asked["record"], asked["fields"]["text"]["value"]) == (demand, "需要培训")
    (said,) = stage.run("project", "feedback", stage.p, as_="admin")["records"]
    assert said["fields"]["text"]["value"] == "电话有误"
    assert stage.run("customer", "projects", stage.wang, as_="zhao", exit=1)["code"] == "permission.denied"


def test_a_department_says_in_which_organisation_a_customer_is_placed(stage: Stage) -> None:
    newcomer = stage.customer("郑新")
    placed = stage.run("customer", "place", newcomer, "--department", stage.buying)
    assert (placed["organisation"], placed["client_department"]) == (stage.o, stage.buying)
    placed = stage.run("customer", "place", newcomer)
    assert (placed["organisation"], placed["client_department"]) == (None, None)


def test_a_change_of_nothing_is_refused_and_makes_no_version(stage: Stage) -> None:
    changes = (("org", stage.o), ("dept", stage.head), ("relation", stage.line), ("project", stage.p))
    for table, record in (*changes, ("participation", stage.part)):
        problem = stage.kehu.problem(table, "update", record, as_="li", exit=2)
        assert problem["code"] == "usage.nothing_to_change"
    assert stage.run("relation", "show", stage.line)["version"] == 1
    assert stage.kehu.problem("payment", "update", "y-1", as_="qian", exit=2)["code"] == "usage.nothing_to_change"
    assert stage.kehu.problem("demand", "update", "n-1", as_="li", exit=2)["code"] == "usage.nothing_to_change"


def test_the_map_of_a_height_stays_and_two_heights_are_compared(stage: Stage) -> None:
    before = stage.height()
    sales = stage.add("dept", "add", stage.o, "name=销售部")
    stage.run("dept", "move", stage.buying, "--parent", sales)
    stage.place(stage.zhou, sales)
    stage.run("participation", "update", stage.part, "--stance", "opposes")
    stage.run("relation", "close", stage.line)
    stage.run("customer", "update", stage.wang, "name=王新", exit=0)
    stage.run("project", "hand-over", stage.p, "finance", "note=合同已签")
    after = stage.height()
    then = stage.map("--as-of", str(before))
    assert people(then)[stage.wang]["fields"]["name"]["state"] == "superseded"
    assert people(then)[stage.chen]["fields"]["name"]["value"] == "陈静"
    assert people(then)[stage.chen]["reports_to"] == stage.wang
    assert (then["stage"], people(then)[stage.wang]["part"]["stance"]) == ("sales", "supports")
    now = stage.map("--as-of", str(after))
    assert people(now)[stage.wang]["fields"]["name"]["value"] == "王新"
    assert people(now)[stage.chen]["reports_to"] is None
    compared = stage.map("--as-of", str(before), "--compare", str(after))
    changes = {(entry["what"], entry["record"]): (entry["before"], entry["after"]) for entry in compared["changes"]}
    assert changes[("stage", stage.p)] == ({"stage": "sales"}, {"stage": "finance"})
    assert changes[("departments", stage.buying)] == ({"parent": stage.head}, {"parent": sales})
    assert changes[("departments", sales)] == (None, {"parent": None})
    assert changes[("people", stage.zhou)] == ({"client_department": stage.buying}, {"client_department": sales})
    assert changes[("parts", stage.wang)][1]["stance"] == "opposes"
    assert changes[("relations", stage.line)][1] is None
    assert ("people", stage.chen) not in changes
    screen = stage.kehu("project", "map", stage.p, "--as-of", str(before), "--compare", str(after), as_="li").out
    assert "superseded (version" in screen
    assert f"From height {before} to {after}" in screen


def test_every_reading_of_the_map_is_on_the_record(stage: Stage) -> None:
    found = stage.map()
    assert len(found["transactions"]) == 6
    rows = stage.run("customer", "history", stage.chen, "--kind", "accesses", as_="shen")["rows"]
    assert (rows[-1]["action"], rows[-1]["by"], rows[-1]["allowed"]) == ("members", "person:li", ["name"])


def test_who_has_nothing_to_do_with_a_project_sees_no_map_until_it_is_handed_over(stage: Stage) -> None:
    refused = stage.map(as_="zhao", exit=1)
    assert (refused["code"], refused["people"], refused["fields"]["name"]["state"]) == (
        "permission.denied",
        [],
        "refused",
    )
    stage.run("project", "hand-over", stage.p, "finance", "note=合同已签")
    stage.run("project", "hand-over", stage.p, "technical", "note=款已到", as_="qian")
    found = people(stage.map(as_="zhao"))
    assert found[stage.wang]["fields"]["name"]["value"] == "王总"
    assert found[stage.zhou]["fields"]["name"]["state"] == "refused"


def test_a_future_height_and_a_height_before_the_project_are_refused(stage: Stage) -> None:
    assert stage.kehu.problem("project", "map", stage.p, "--as-of", "9999", as_="li", exit=1)["code"] == "access.future"
    early = stage.kehu.problem("project", "map", stage.p, "--as-of", "1", as_="li", exit=1)
    assert early["code"] == "record.not_yet"


def test_a_project_travels_with_notes_and_corrections_are_marked(stage: Stage) -> None:
    moved = stage.run("project", "hand-over", stage.p, "finance", "note=合同已签")
    assert (moved["stage"], moved["kind"], moved["project_version"]) == ("finance", "forward", 2)
    problem = stage.kehu.problem("project", "hand-over", stage.p, "technical", "note=再交", as_="li", exit=1)
    assert problem["code"] == "project.not_owner"
    stage.run("project", "hand-over", stage.p, "sales", "note=资料不全", as_="qian")
    stage.run("project", "correct", stage.p, "technical", "note=误退", as_="admin")
    history = stage.run("project", "history", stage.p)["records"]
    assert [(row["facts"]["to"], row["facts"]["kind"], row["fields"]["note"]["value"]) for row in history] == [
        ("finance", "forward", "合同已签"),
        ("sales", "back", "资料不全"),
        ("technical", "correction", "误退"),
    ]
    assert "误退" in stage.kehu("project", "history", stage.p, as_="li").out


def test_circles_and_strangers_are_refused_with_a_reason(stage: Stage) -> None:
    problem = stage.kehu.problem
    assert problem("dept", "move", stage.head, "--parent", stage.buying, as_="li", exit=1)["code"] == "tree.cycle"
    line = ("relation", "add", stage.wang, "reports_to", stage.chen)
    assert problem(*line, as_="li", exit=1)["code"] == "relation.cycle"
    stranger = stage.customer("外人")
    part = ("participation", "add", stage.p, stranger, "--role", "user", "--right", "uses")
    assert problem(*part, as_="li", exit=1)["code"] == "project.other_organisation"
    assert problem("org", "close", stage.o, as_="li", exit=1)["code"] == "record.in_use"
    assert problem("dept", "close", stage.buying, as_="li", exit=1)["code"] == "record.in_use"
    assert problem("project", "close", "p-none", as_="li", exit=1)["code"] == "record.absent_proven"


def test_a_change_from_an_old_version_is_a_conflict(stage: Stage) -> None:
    stage.run("org", "update", stage.o, "note=大客户")
    problem = stage.kehu.problem("org", "update", stage.o, "note=普通", "--expect", "1", as_="li", exit=3)
    assert problem["code"] == "record.version_conflict"
    shown = stage.run("org", "show", stage.o)
    assert (shown["version"], shown["fields"]["note"]["value"]) == (2, "大客户")


def test_records_are_shown_as_of_a_height(stage: Stage) -> None:
    before = stage.height()
    stage.run("dept", "update", stage.buying, "name=采购中心")
    stage.run("relation", "update", stage.influence, "--weight", "10")
    then = stage.run("dept", "show", stage.buying, "--as-of", str(before))
    assert (then["version"], then["fields"]["name"]["state"]) == (1, "superseded")
    assert stage.run("dept", "show", stage.buying)["fields"]["name"]["value"] == "采购中心"
    relation = ("relation", "show", stage.influence)
    assert stage.run(*relation, "--as-of", str(before))["facts"]["weight"] == 70
    assert stage.run(*relation)["facts"]["weight"] == 10
    listed = stage.run("dept", "list", stage.o, "--as-of", str(before))
    assert [item["facts"]["parent"] for item in listed["records"]] == [None, stage.head]


def test_what_was_emptied_is_closed(stage: Stage) -> None:
    spare = stage.add("dept", "add", stage.o, "name=临时")
    stage.run("dept", "close", spare)
    stage.run("participation", "close", stage.part)
    assert stage.map()["people"][0]["part"] is None
    stage.run("project", "close", stage.p)
    assert stage.run("project", "show", stage.p)["facts"]["status"] == "closed"
    lonely = stage.add("org", "add", "name=过客公司")
    stage.run("org", "close", lonely)


def test_lists_show_what_the_reader_may_see(stage: Stage) -> None:
    projects = stage.run("project", "list", "--limit", "100")["records"]
    assert stage.p in [row["record"] for row in projects]
    assert stage.run("project", "list", as_="zhao")["records"] == [] or stage.p not in [
        row["record"] for row in stage.run("project", "list", as_="zhao")["records"]
    ]
    assert stage.o in [row["record"] for row in stage.run("org", "list", "--limit", "100")["records"]]
    assert "东方公司" in stage.kehu("org", "list", "--limit", "100", as_="li").out
    assert [row["record"] for row in stage.run("relation", "of", stage.wang)["records"]] == [
        stage.line,
        stage.influence,
    ]
    assert stage.influence in [row["record"] for row in stage.run("relation", "list", "--limit", "100")["records"]]
    assert [row["record"] for row in stage.run("participation", "of", stage.p)["records"]] == [stage.part]
    assert stage.run("participation", "show", stage.part)["fields"]["note"]["value"] == "关键人物"
    assert stage.part in [row["record"] for row in stage.run("participation", "list")["records"]]


def test_progress_is_recorded_confirmed_and_disputed(stage: Stage) -> None:
    stage.run("project", "hand-over", stage.p, "finance", "note=合同已签")
    added = stage.run("progress", "add", stage.p, "text=首付已到", as_="qian")
    assert (added["stage"], added["project"]) == ("finance", stage.p)
    stage.run("progress", "answer", added["record"], "confirmed")
    own = stage.kehu.problem("progress", "answer", added["record"], "confirmed", as_="qian", exit=1)
    assert own["code"] == "progress.own_department"
    stage.run("project", "hand-over", stage.p, "technical", "note=请安装", as_="qian")
    stage.run("progress", "answer", added["record"], "answered", "text=设备已装好", as_="zhao")
    answers = stage.run("progress", "answers", stage.p, as_="qian")["records"]
    assert [(row["facts"]["verdict"], row["facts"]["registered"]["department"]) for row in answers] == [
        ("confirmed", "sales"),
        ("answered", "technical"),
    ]
    assert answers[0]["facts"]["registered"]["time_ms"] <= answers[1]["facts"]["registered"]["time_ms"]
    entries = stage.run("progress", "of", stage.p, as_="zhao")["records"]
    assert [row["fields"]["text"]["value"] for row in entries] == ["首付已到"]
    assert stage.run("progress", "show", added["record"])["facts"]["stage"] == "finance"
    assert added["record"] in [row["record"] for row in stage.run("progress", "list", as_="qian")["records"]]


def test_a_demand_is_registered_taken_on_and_done(stage: Stage) -> None:
    demand = stage.add("demand", "add", stage.wang, "text=需要培训", "--project", stage.p)
    stage.run("demand", "update", demand, "--state", "accepted", "answer=下周上门")
    assert stage.run("demand", "update", demand, "answer=周三上门")["state"] == "accepted"
    assert stage.kehu.problem("project", "close", stage.p, as_="li", exit=1)["code"] == "record.in_use"
    assert stage.run("demand", "update", demand, "--state", "done")["state"] == "done"
    wrong = stage.kehu.problem("demand", "update", demand, "--state", "accepted", as_="li", exit=1)
    assert wrong["code"] == "demand.state"
    assert [row["facts"]["state"] for row in stage.run("demand", "of", stage.p)["records"]] == ["done"]
    assert stage.run("demand", "show", demand)["fields"]["answer"]["value"] == "周三上门"
    assert demand in [row["record"] for row in stage.run("demand", "list", as_="qian")["records"]]


def test_finance_follow_payments_whose_amounts_others_do_not_see(stage: Stage) -> None:
    due = ("--due", "2020-01-31", "--currency", "CNY")
    payment = stage.add("payment", "add", stage.p, "--amount", "12,500.50", *due, "note=首付", as_="qian")
    shown = stage.run("payment", "show", payment, as_="qian")
    assert (shown["fields"]["amount"]["value"], shown["facts"]["overdue"]) == ("1250050", True)
    assert "12,500.50 CNY" in stage.kehu("payment", "show", payment, as_="qian").out
    assert stage.run("payment", "show", payment, exit=1)["fields"]["amount"]["code"] == "permission.denied"
    stage.run("payment", "update", payment, "--due", "2d", as_="qian")
    assert stage.run("payment", "show", payment, as_="qian")["facts"]["overdue"] is False
    paid = stage.run("payment", "settle", payment, "--amount", "12500.5", "--paid", "2026-01-02", as_="qian")
    assert paid["state"] == "paid"
    other = stage.add("payment", "add", stage.p, "--amount", "900", "--currency", "JPY", "--due", "7d", as_="qian")
    assert stage.run("payment", "cancel", other, "note=重复", as_="qian")["state"] == "cancelled"
    again = stage.kehu.problem("payment", "settle", other, as_="qian", exit=1)
    assert again["code"] == "payment.state"
    rows = stage.run("payment", "of", stage.p, as_="qian")["records"]
    assert [row["facts"]["state"] for row in rows] == ["paid", "cancelled"]
    assert payment in [row["record"] for row in stage.run("payment", "list", as_="qian")["records"]]


def test_an_amount_is_corrected_in_the_currency_of_the_payment_also_as_a_field(stage: Stage) -> None:
    payment = stage.add("payment", "add", stage.p, "--amount", "5", "--due", "7d", as_="qian")
    stage.run("payment", "update", payment, "amount=900.50", as_="qian")
    assert stage.run("payment", "show", payment, as_="qian")["fields"]["amount"]["value"] == "90050"
    for line in (("update", payment, "amount=much"), ("settle", payment, "paid=1.234"), ("cancel", payment, "paid=x")):
        assert stage.kehu.problem("payment", *line, as_="qian", exit=2)["code"] == "usage.amount"
    stage.run("payment", "settle", payment, "paid=900.5", as_="qian")
    assert stage.run("payment", "show", payment, as_="qian")["fields"]["paid"]["value"] == "90050"


def test_money_that_has_come_did_not_come_in_the_future(stage: Stage) -> None:
    payment = stage.add("payment", "add", stage.p, "--amount", "5", "--due", "7d", as_="qian")
    for later in ("2199-12-31", "2199-01-01T08:00"):
        problem = stage.kehu.problem("payment", "settle", payment, "--paid", later, as_="qian", exit=2)
        assert problem["code"] == "usage.paid_later"
    assert stage.run("payment", "show", payment, as_="qian")["facts"]["state"] == "open"
    stage.run("payment", "settle", payment, "--paid", "2h", as_="qian")


def test_a_day_of_payment_is_its_end_and_today_is_now() -> None:
    now_ms = read_moment("2026-03-05T12:00") or 0
    end_ms = read_moment("2026-03-04", is_end=True)
    for text, expected in (
        (None, now_ms),
        ("2026-03-05", now_ms),
        ("2026-03-04", end_ms),
        ("1h", now_ms - 3_600_000),
        ("2026-03-05T12:00", now_ms),
    ):
        assert read_paid(text, now_ms) == expected, text
    for text in ("2026-03-06", "2026-03-05T12:01"):
        with pytest.raises(KehuError):
            read_paid(text, now_ms)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("12.345", "CNY", "usage.amount"),
        ("1.5", "JPY", "usage.amount"),
        ("x", "CNY", "usage.amount"),
        ("-1", "CNY", "usage.amount"),
        ("1", "RMB", "usage.currency"),
    ],
)
def test_an_amount_that_the_currency_does_not_have_is_not_sent(
    stage: Stage, amount: str, currency: str, code: str
) -> None:
    line = ("payment", "add", stage.p, f"--amount={amount}", "--currency", currency, "--due", "7d")
    problem = stage.kehu.problem(*line, as_="qian", exit=2)
    assert problem["code"] == code
    assert amount not in json.dumps(problem["details"])


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (("org", "add", "address=上海"), "name"),
        (("project", "hand-over", "PROJECT", "finance"), "note"),
        (("progress", "add", "PROJECT"), "text"),
        (("demand", "add", "CUSTOMER"), "text"),
    ],
)
def test_what_lacks_its_text_is_not_sent(stage: Stage, line: tuple[str, ...], field: str) -> None:
    named = [{"PROJECT": stage.p, "CUSTOMER": stage.wang}.get(word, word) for word in line]
    height = stage.height()
    problem = stage.kehu.problem(*named, as_="li", exit=2)
    assert (problem["code"], problem["details"]) == ("usage.field_needed", {"field": field})
    assert stage.height() == height


def test_people_see_when_and_by_whom_a_project_was_handed_on(stage: Stage) -> None:
    project = stage.add("project", "add", stage.o, "name=二期")
    stage.run("project", "hand-over", project, "finance", "note=合同已签")
    told = stage.kehu("project", "history", project, as_="li").out
    (row,) = (line for line in told.splitlines() if "合同已签" in line)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", row)
    assert " li " in row


def test_a_customers_history_names_what_was_moved_where(stage: Stage) -> None:
    assert f"client_department {stage.head}" in stage.kehu("customer", "history", stage.wang, as_="li").out
    record = ("--record", f"customers/{stage.wang}")
    assert f"client_department {stage.head}" in stage.kehu("log", "changes", *record, as_="admin").out


@pytest.mark.parametrize(
    ("text", "currency", "minor", "shown"),
    [
        ("12,500.5", "CNY", "1250050", "12,500.50 CNY"),
        ("１２，５００．５", "CNY", "1250050", "12,500.50 CNY"),
        ("900", "JPY", "900", "900 JPY"),
        ("1.234", "KWD", "1234", "1.234 KWD"),
        ("0.05", "EUR", "5", "0.05 EUR"),
        ("0", "USD", "0", "0.00 USD"),
    ],
)
def test_amounts_are_kept_in_minor_units(text: str, currency: str, minor: str, shown: str) -> None:
    assert minor_units(text, currency) == minor
    assert amount_text(minor, currency) == shown
    assert amount_text("约一万", currency) == "约一万"


def test_feedback_is_sent_on_a_customers_behalf_and_resolved(stage: Stage) -> None:
    sent = stage.run("feedback", "send", stage.wang, "text=电话有误", "--correction", "--project", stage.p, as_="admin")
    assert sent["state"] == "open"
    refused = stage.kehu.problem("feedback", "send", stage.wang, "text=代写", as_="li", exit=1)
    assert refused["code"] == "feedback.author"
    resolution = ("feedback", "resolve", sent["record"], "resolved", "resolution=已更正")
    assert stage.run(*resolution, as_="admin")["state"] == "resolved"
    shown = stage.run("feedback", "show", sent["record"], as_="admin")
    assert (shown["fields"]["resolution"]["value"], shown["facts"]["correction"]) == ("已更正", True)
    assert [row["record"] for row in stage.run("feedback", "of", stage.wang, as_="admin")["records"]] == [
        sent["record"]
    ]
    assert sent["record"] in [row["record"] for row in stage.run("feedback", "list", as_="admin")["records"]]


def test_nothing_of_a_project_stands_in_the_clear_on_the_chain(stage: Stage, office: Office) -> None:
    stage.run("project", "hand-over", stage.p, "finance", "note=绝密交接")
    stage.add("payment", "add", stage.p, "--amount", "98765432.10", "--due", "7d", as_="qian")
    blocks = office.chain.blocks
    raw = b"".join(blocks.block_bytes(height) for height in range(office.chain.ledger.height + 1))
    raw += b"".join(b"".join(blocks.receipt_bytes(height)) for height in range(office.chain.ledger.height + 1))
    for text in ("绝密交接", "9876543210", "智慧工厂", "东方公司", "采购部", "王总", "关键人物"):
        assert text.encode() not in raw


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (("customer", "update", "wang", "name="), "name"),
        (("customer", "update", "wang", "phone=", "note=x"), "phone"),
        (("org", "update", "o", "name= "), "name"),
        (("dept", "update", "d", "name="), "name"),
        (("project", "update", "p", "name="), "name"),
        (("demand", "update", "p", "text="), "text"),
        (("progress", "answer", "p", "answered", "text="), "text"),
        (("people", "enrol", "sun", "name=", "--department", "sales", "--key", "k", "--possession", "p"), "name"),
        (("own", "feedback", " "), "text"),
        (("payment", "update", "p", "amount="), "amount"),
    ],
)
def test_a_field_that_a_record_may_not_be_without_is_not_emptied(
    stage: Stage, line: tuple[str, ...], field: str
) -> None:
    group, name, record, *rest = line
    problem = stage.kehu.problem(group, name, getattr(stage, record, record), *rest, as_="li", exit=2)
    assert (problem["code"], problem["details"]) == ("usage.field_needed", {"field": field})


def test_any_other_field_may_be_emptied(stage: Stage) -> None:
    stage.run("customer", "update", stage.wang, "position=")
    stage.run("org", "update", stage.o, "address=", "note=")
    shown = stage.run("org", "show", stage.o)["fields"]
    assert (shown["address"]["value"], shown["note"]["value"]) == ("", "")
