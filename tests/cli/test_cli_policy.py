"""The policy by command line: shown, edited in its file, tried out, replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Kehu

RULE = {"department": "technical", "table": "customers", "actions": ["read"], "fields": ["name"], "scope": "all"}


def shown(kehu: Kehu) -> Any:
    return kehu.json("policy", "show", as_="admin")


def saved(folder: Path, value: object) -> str:
    file = folder / "policy.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return str(file)


def test_an_administrator_gives_a_department_a_rule_by_editing_what_was_shown(kehu: Kehu, tmp_path: Path) -> None:
    customer = kehu.json("customer", "add", "name=王芳", "phone=13800138000", "--temporary", as_="li")["customer"]
    question = ("why", "zhao", "read", customer, "--field", "name")
    before = shown(kehu)
    before["policy"]["rules"].append(RULE)
    before["policy"]["retention"] = {"customers": 86_400_000}
    file = saved(tmp_path, before)
    tried = kehu.json("policy", "set", file, "--dry-run", as_="admin")
    gains = {(row["person"], row["field"], row["gained"]) for row in tried["differences"]}
    assert ("zhao", "name", 1) in gains
    assert shown(kehu)["version"] == before["version"]
    assert kehu.json(*question, as_="admin")["allowed"] is False
    assert kehu.json("policy", "set", file, as_="admin")["version"] == before["version"] + 1
    assert kehu.json(*question, as_="admin")["verdict"]["because"] == "rule:technical.customers.all"
    assert shown(kehu)["policy"] == before["policy"]
    assert "retention.customers" in kehu("policy", "show", as_="li").out
    late = kehu.problem("policy", "set", file, as_="admin", exit=3)
    assert (late["code"], late["details"]["actual"]) == ("record.version_conflict", before["version"] + 1)


def test_only_an_administrator_replaces_it_and_only_by_a_whole_one(kehu: Kehu, tmp_path: Path) -> None:
    present = shown(kehu)
    assert kehu.problem("policy", "set", saved(tmp_path, present), as_="li", exit=1)["code"] == (
        "permission.administrator_only"
    )
    present["policy"].pop("phone")
    for more in ((), ("--dry-run",)):
        refused = kehu.problem("policy", "set", saved(tmp_path, present), *more, as_="admin", exit=1)
        assert refused["code"] == "policy.invalid"


@pytest.mark.parametrize(
    "value",
    [[], {}, {"policy": [], "version": 1}, {"policy": {}, "version": "1"}, {"policy": {"n": 1.5}, "version": 1}, 3],
)
def test_a_file_that_is_none_is_refused_before_anything_is_sent(kehu: Kehu, tmp_path: Path, value: object) -> None:
    assert kehu.problem("policy", "set", saved(tmp_path, value), as_="admin", exit=2)["code"] == "usage.policy_file"
    assert kehu.problem("policy", "set", str(tmp_path / "none"), as_="admin", exit=2)["code"] == "usage.policy_file"
