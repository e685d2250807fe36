"""Grants of a project or of what is assigned, by command line: tried out, given, explained, ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Kehu

NAMES = ("王小明", "王芳", "王刚")


class World:
    """li's project 智慧工厂, in which 王小明 and 王芳 take part and 王刚 does not."""

    def __init__(self, kehu: Kehu) -> None:
        organisation = self.add(kehu, "org", "add", "name=东方公司")
        self.project = self.add(kehu, "project", "add", organisation, "name=智慧工厂", "goal=年底上线")
        self.customers = {}
        for number, name in enumerate(NAMES):
            fields = (f"name={name}", f"phone=1380013800{number}", "--temporary")
            self.customers[name] = str(kehu.json("customer", "add", *fields, as_="li")["customer"])
            kehu.json("customer", "place", self.customers[name], "--organisation", organisation, as_="li")
        part = ("--role", "sponsor", "--right", "decides")
        self.parts = [
            self.add(kehu, "participation", "add", self.project, self.customers[name], *part) for name in NAMES[:2]
        ]

    def add(self, kehu: Kehu, *args: str) -> str:
        return str(kehu.json(*args, as_="li")["record"])


@pytest.fixture(scope="module")
def world(kehu: Kehu) -> World:
    return World(kehu)


def found(kehu: Kehu, person: str = "zhao") -> list[str]:
    searched = kehu.json("customer", "search", "王", as_=person)
    return [row["fields"]["name"]["value"] for row in searched["customers"]]


def changes(tried: Any) -> list[tuple[str, str, str, int, int]]:
    return [(row["person"], row["table"], row["field"], row["gained"], row["lost"]) for row in tried["differences"]]


def test_a_project_is_granted_after_it_was_tried_out_and_ends_with_the_grant(kehu: Kehu, world: World) -> None:
    terms = ("person:wang", "--action", "read", "--field", "name", "--project", world.project, "--id", "g-project")
    assert found(kehu, "wang") == []
    tried = kehu.json("grant", *terms, "--dry-run", as_="admin")
    assert changes(tried) == [("wang", "customers", "name", 2, 0)]
    assert found(kehu, "wang") == []
    given = kehu.json("grant", *terms, as_="admin")
    assert (given["scope"], given["table"]) == (f"project:{world.project}", "customers")
    (listed,) = (row for row in kehu.json("grants", as_="admin")["grants"] if row["grant"] == "g-project")
    assert (listed["fields"], listed["scope"]) == (["name"], f"project:{world.project}")
    assert sorted(found(kehu, "wang")) == ["王小明", "王芳"]
    verdict = kehu.json("why", "wang", "read", world.customers["王芳"], "--field", "name", as_="admin")
    assert (verdict["verdict"]["because"], verdict["projects"]) == ("grant:g-project", [world.project])
    missed = ("why", "wang", "read", world.customers["王刚"], "--field", "name")
    (ground,) = (one for one in kehu.json(*missed, as_="wang")["grounds"] if one["name"] == "grant:g-project")
    assert (ground["misses"], ground["ties"]) == (["scope"], [f"project:{world.project}"])
    assert "Belongs to projects: none" in kehu(*missed, as_="wang").out
    assert kehu.json("why", "person:wang", *missed[2:], as_="wang")["person"] == "wang"
    assert changes(kehu.json("revoke", "g-project", "--dry-run", as_="admin")) == [("wang", "customers", "name", 0, 2)]
    kehu.json("revoke", "g-project", as_="admin")
    assert found(kehu, "wang") == []
    grounds = kehu.json("why", "wang", "read", world.customers["王芳"], "--field", "name", as_="wang")["grounds"]
    (ended,) = (ground for ground in grounds if ground["name"] == "grant:g-project")
    assert (ended["misses"], ended["terms"]["revoked_ms"] is not None) == (["revoked"], True)


def test_everything_of_a_project_is_granted_to_a_department_at_once(kehu: Kehu, world: World) -> None:
    terms = ("department:technical", "--action", "read", "--project", world.project, "--table", "*", "--id", "g-all")
    tried = kehu.json("grant", *terms, "--dry-run", as_="admin")
    gained = {(table, gained) for _, table, _, gained, _ in changes(tried)}
    assert gained == {("customers", 2), ("projects", 1), ("organisations", 1), ("participations", 2)}
    kehu.json("grant", *terms, as_="admin")
    (row,) = [row for row in kehu.json("grants", as_="admin")["grants"] if row["grant"] == "g-all"]
    assert (row["table"], row["scope"]) == ("*", f"project:{world.project}")
    shown = kehu.json("project", "show", world.project, as_="zhao")
    assert shown["fields"]["name"]["value"] == "智慧工厂"
    kehu.json("participation", "close", world.parts[1], as_="li")
    assert found(kehu) == ["王小明"]
    kehu.json("revoke", "g-all", as_="admin")


def test_what_is_assigned_is_granted_for_another_action(kehu: Kehu, world: World) -> None:
    customer = world.customers["王刚"]
    export = ("why", "zhao", "export", customer, "--field", "name")
    kehu.json("grant", "person:zhao", "--action", "export", "--assigned", "--id", "g-mine", as_="admin")
    answer = kehu.json(*export, as_="admin")
    (ground,) = (ground for ground in answer["grounds"] if ground["name"] == "grant:g-mine")
    assert (answer["verdict"]["allowed"], ground["misses"], ground["ties"]) == (
        False,
        ["scope"],
        ["assignment:person:zhao"],
    )
    kehu.json("assign", customer, "person:zhao", as_="admin")
    assert kehu.json(*export, as_="admin")["verdict"]["because"] == "grant:g-mine"


@pytest.mark.parametrize(
    ("scope", "code", "exit_code"),
    [
        (("--project", "p-none"), "record.unknown", 1),
        (("--assigned", "--table", "logins"), "grant.scope", 1),
        (("--table", "*", "--field", "name"), "grant.table", 1),
        (("--assigned", "--record", "c-1"), "usage.scope", 2),
    ],
)
def test_a_scope_that_can_not_be_is_refused_with_a_cure(
    kehu: Kehu, scope: tuple[str, ...], code: str, exit_code: int
) -> None:
    problem = kehu.problem("grant", "person:zhao", "--action", "read", *scope, as_="admin", exit=exit_code)
    assert problem["code"] == code
    assert problem["cure"]


@pytest.mark.parametrize("text", ["zhao", "people:zhao", "person:", "person:赵"])
def test_a_subject_that_is_none_is_said_and_not_answered_by_nothing(kehu: Kehu, text: str) -> None:
    problem = kehu.problem("grants", "--subject", text, as_="admin", exit=2)
    assert (problem["code"], "person:" in problem["cure"]) == ("usage.subject", True)
    assert kehu.json("grants", "--subject", "person:nobody", as_="admin")["grants"] == []


@pytest.mark.parametrize("text", ["assigned=people:zhao", "assigned=departement:sales", "stage=Finance", "stage=财务"])
def test_a_filter_by_who_or_where_nobody_can_be_is_said(kehu: Kehu, text: str) -> None:
    assert kehu.problem("customer", "list", "--filter", text, as_="li", exit=2)["code"] == "usage.filter"
