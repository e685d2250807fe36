"""Searching, explanations, logs and trying out grants by command line, in Chinese data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from cli.searching import phone_start, read_filters, read_sort, read_text
from cli.times import read_moment
from node.search.query import Filter
from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble

NAMES = ("王小明", "王芳", "李强", "王刚")


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()


@pytest.fixture(scope="module")
def customers(kehu: Kehu) -> dict[str, str]:
    """name -> id; the first three are li's, the last is wang's."""
    found = {}
    for number, name in enumerate(NAMES):
        phone, sender = f"1380013900{number}", "wang" if name == "王刚" else "li"
        fields = (
            f"name={name}",
            f"phone={phone}",
            f"organisation=东方{'公司' if number < 2 else '学校'}",
            "--temporary",
        )
        found[name] = str(kehu.json("customer", "add", *fields, as_=sender)["customer"])
    return found


def names(found: Any) -> list[str]:
    return [row["fields"]["name"]["value"] for row in found["customers"]]


def test_customers_are_found_by_the_beginning_of_a_name_or_number(kehu: Kehu, customers: dict[str, str]) -> None:
    assert names(kehu.json("customer", "search", "王", as_="li")) == ["王小明", "王芳"]
    assert names(kehu.json("customer", "search", "王", as_="wang")) == ["王刚"]
    assert names(kehu.json("customer", "search", "138 0013-9002", as_="li")) == ["李强"]
    assert names(kehu.json("customer", "search", "赵", as_="li")) == []


def test_filters_sort_and_pages(kehu: Kehu, customers: dict[str, str]) -> None:
    assert names(kehu.json("customer", "search", "--filter", "organisation=东方公", as_="li")) == ["王小明", "王芳"]
    assert names(kehu.json("customer", "search", "王", "--filter", "status=invalid", as_="li")) == []
    mine = kehu.json("customer", "search", "--filter", "assigned=li", "--sort", "name", as_="li")
    assert names(mine) == ["李强", "王小明", "王芳"]
    page = kehu.json("customer", "search", "--sort", "name", "--limit", "2", "--descending", as_="li")
    assert (names(page), page["next"]) == (["王芳", "王小明"], customers["王小明"])
    rest = ("--sort", "name", "--limit", "2", "--descending", "--after", page["next"])
    assert names(kehu.json("customer", "search", *rest, as_="li")) == ["李强"]


def test_filters_may_come_from_stdin_so_that_they_stay_off_the_command_line(
    kehu: Kehu, customers: dict[str, str]
) -> None:
    asked = json.dumps({"name": "李"}, ensure_ascii=False)
    assert names(kehu.json("customer", "search", "--filters", "-", as_="li", stdin=asked)) == ["李强"]


def test_people_see_a_table_and_how_to_go_on(kehu: Kehu, customers: dict[str, str]) -> None:
    shown = kehu("customer", "search", "王", "--limit", "1", as_="li").out
    assert "王小明" in shown
    assert f"--after {customers['王小明']}" in shown


def test_a_value_that_was_altered_on_the_way_is_not_shown(
    kehu: Kehu, office: Office, customers: dict[str, str]
) -> None:
    office.trouble.is_lying = True
    problem = kehu.problem("customer", "search", "王", as_="li", exit=5)
    assert problem["code"] == "proof.value_mismatch"


def test_an_answer_to_another_search_is_refused(
    kehu: Kehu, office: Office, customers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that gives out an earlier answer, proven and committed as it is, does not pass."""
    from cli.client import NodeClient

    first = kehu.json("customer", "search", "王", as_="li")["transaction"]

    async def post(self: NodeClient, path: str, body: Any) -> Any:
        return {"transaction": first, "height": 1, "next": None}

    monkeypatch.setattr(NodeClient, "post", post)
    assert kehu.problem("customer", "search", "王", as_="li", exit=5)["code"] == "proof.other_search"


@pytest.mark.parametrize("text", ["name", "=王", "name=", "Name=王", "姓名=王"])
def test_a_filter_that_is_none_says_how_one_is_written(kehu: Kehu, text: str) -> None:
    problem = kehu.problem("customer", "search", "--filter", text, as_="li", exit=2)
    assert problem["code"] in ("usage.filter", "usage.field")
    assert "王" not in problem["cause"]


def test_what_is_not_indexed_is_said(kehu: Kehu) -> None:
    problem = kehu.problem("customer", "search", "--filter", "note=x", as_="li", exit=1)
    assert problem["code"] == "search.not_indexed"


@pytest.mark.parametrize(
    ("typed", "region", "start"),
    [
        ("138 0013", None, "+861380013"),
        ("010-1234", None, "+86101234"),
        ("＋86 138", None, "+86138"),
        ("0086138", None, "+86138"),
        ("(+86) 138", None, "+86138"),
        ("138\u20130013", None, "+861380013"),
        ("\u202a138 0013\u202c", None, "+861380013"),
        ("86-13800138000", None, "+8613800138000"),
        ("8 (912) 345-67-89", "ru", "+79123456789"),
        ("+44 (0)20 7946 0018", None, "+442079460018"),
        ("06 12", "FR", "+33612"),
        ("06 12", "IT", "+390612"),
    ],
)
def test_the_beginning_of_a_number_is_looked_for_as_it_is_recorded(typed: str, region: str | None, start: str) -> None:
    assert phone_start(typed, region) == start
    assert read_text(typed, region) == Filter("field", "phone", start)


def test_a_region_that_is_none_is_said_and_not_taken_for_another() -> None:
    with pytest.raises(KehuError, match=r"phone\.region"):
        phone_start("138", "ZZ")


@pytest.mark.parametrize("typed", ["Wang.Fang@X.cn", "wang.fang@", " wang@x "])
def test_what_looks_like_an_email_is_looked_for_as_one(typed: str) -> None:
    assert read_text(typed) == Filter("field", "email", typed)
    assert read_text(typed, None, "demands", "text") == Filter("field", "text", typed)


def test_filters_know_what_they_name() -> None:
    given = ("assigned=li", "assigned=department:sales", "stage=finance", "status=valid", "phone=138", "name=a=b")
    assert read_filters(given) == (
        Filter("assigned", "", "person:li"),
        Filter("assigned", "", "department:sales"),
        Filter("stage", "", "finance"),
        Filter("fact", "status", "valid"),
        Filter("field", "phone", "+86138"),
        Filter("field", "name", "a=b"),
    )
    assert read_sort("registered") == ("fact", "sequence")
    assert read_sort("id") == ("id", "")


# Why


def test_why_tells_the_rule_that_allows_and_what_others_miss(kehu: Kehu, customers: dict[str, str]) -> None:
    customer = customers["王小明"]
    yes = kehu.json("why", "li", "read", f"customers/{customer}", "--field", "name", as_="li")
    assert yes["verdict"] == {"allowed": True, "because": "rule:sales.customers.assigned", "code": "ok"}
    no = kehu.json("why", "wang", "read", customer, as_="admin")
    assert (no["verdict"]["allowed"], no["grounds"][0]["misses"]) == (False, ["scope"])
    assert no["assigned"] == ["person:li"]
    assert "Yes, by rule:sales" in kehu("why", "li", "read", customer, as_="admin").out
    assert "No: permission.denied" in kehu("why", "wang", "read", customer, as_="admin").out


def test_why_is_not_told_about_colleagues(kehu: Kehu, customers: dict[str, str]) -> None:
    refused = kehu.json("why", "li", "read", customers["王小明"], as_="wang", exit=1)
    assert (refused["code"], refused["verdict"]) == ("permission.administrator_only", None)
    assert (refused["allowed"], refused["fields"]) == (False, None)


def test_why_says_for_which_fields_the_answer_is_yes(kehu: Kehu, customers: dict[str, str]) -> None:
    customer = customers["李强"]

    def asked(person: str, *more: str) -> tuple[bool, list[str], str]:
        told = kehu.json("why", person, "read", customer, *more, as_="admin")
        return told["allowed"], told["fields"], told["code"]

    assert asked("shen") == (False, [], "permission.denied")
    for grant, field in (("g-name", "name"), ("g-phone", "phone")):
        terms = ("--action", "read", "--record", customer, "--field", field, "--id", grant)
        kehu.json("grant", "person:shen", *terms, as_="admin")
    assert asked("shen") == (True, ["name", "phone"], "ok")
    assert asked("shen", "--field", "phone") == (True, ["phone"], "ok")
    assert asked("shen", "--field", "note") == (False, [], "permission.denied")
    assert asked("admin") == (True, ["*"], "ok")
    assert "identifier" not in asked("li")[1]
    assert ", for name, phone" in kehu("why", "shen", "read", customer, as_="admin").out
    assert ", for every field" in kehu("why", "admin", "read", customer, as_="admin").out


# Logs


def test_logs_tell_who_logged_in_read_and_changed(kehu: Kehu, customers: dict[str, str]) -> None:
    kehu.json("login", as_="li")
    logins = kehu.json("log", "logins", "--person", "li", "--since", "1h", as_="admin")["rows"]
    assert (logins[-1]["person"], logins[-1]["node"]) == ("li", "sales")
    customer = customers["王芳"]
    kehu.json("customer", "show", customer, "--purpose", "care", as_="li")
    reads = kehu.json("log", "reads", "--record", customer, "--person", "li", as_="shen")
    assert (reads["because"], reads["rows"][-1]["purpose"], reads["rows"][-1]["action"]) == (
        "role:auditor",
        "care",
        "read",
    )
    kehu.json("customer", "update", customer, "note=改", as_="li")
    changed = kehu.json("log", "changes", "--record", f"customers/{customer}", as_="li")["rows"]
    assert (changed[-1]["fields"], changed[-1]["from"], changed[-1]["to"]) == (["note"], 1, 2)
    assert "care" in kehu("log", "reads", "--person", "li", "--limit", "100", as_="admin").out


def test_looking_into_a_log_is_refused_to_others_and_is_in_the_log(kehu: Kehu) -> None:
    assert kehu.json("log", "logins", as_="wang", exit=1)["code"] == "permission.denied"
    rows = kehu.json("log", "reads", "--person", "wang", "--since", "10m", as_="admin")["rows"]
    assert (rows[-1]["action"], rows[-1]["log"], rows[-1]["code"]) == ("log", "logins", "permission.denied")
    own = kehu.json("log", "reads", "--person", "wang", as_="wang")
    assert own["because"] == "self"


def test_a_log_comes_in_pages_and_times_are_checked(kehu: Kehu) -> None:
    page = kehu.json("log", "changes", "--limit", "1", as_="admin")
    assert (len(page["rows"]), page["next"]) == (1, 1)
    assert kehu.json("log", "changes", "--until", "2020-01-01", as_="admin")["rows"] == []
    assert kehu.problem("log", "changes", "--since", "yesterday", as_="admin", exit=2)["code"] == "usage.time"


def test_times_are_read_as_they_are_written() -> None:
    assert read_moment("2h", now_ms=10_000_000) == 2_800_000
    assert read_moment("1970-01-02T00:00+00:00") == 86_400_000
    begin, end = read_moment("2026-03-01"), read_moment("2026-03-01", is_end=True)
    assert (begin, end) == (read_moment("20260301"), read_moment("20260301", is_end=True))
    assert begin is not None
    assert end is not None
    assert end - begin == 86_400_000 - 1
    with pytest.raises(KehuError):
        read_moment("2026-13-01")


# Trying out


def test_a_grant_and_its_end_are_tried_out_before_they_are_done(
    kehu: Kehu, customers: dict[str, str], tmp_path: Path
) -> None:
    grant = ("person:zhao", "--action", "read", "--record", customers["李强"], "--field", "name", "--id", "g-try")
    tried = kehu.json("grant", *grant, "--dry-run", as_="admin")
    assert tried["transaction"] is None
    assert [(row["person"], row["field"], row["gained"], row["lost"]) for row in tried["differences"]] == [
        ("zhao", "name", 1, 0)
    ]
    assert "g-try" not in [row["grant"] for row in kehu.json("grants", as_="admin")["grants"]]
    assert kehu.json("grant", *grant, as_="admin")["differences"] is None
    ended = kehu.json("revoke", "g-try", "--dry-run", as_="admin")
    assert [(row["person"], row["lost"]) for row in ended["differences"]] == [("zhao", 1)]
    assert "zhao" in kehu("revoke", "g-try", "--dry-run", as_="admin").out
    assert kehu.problem("grant", *grant, "--dry-run", as_="admin", exit=1)["code"] == "grant.exists"
    assert kehu.problem("revoke", "g-try", "--dry-run", as_="li", exit=1)["code"] == "auth.role"
