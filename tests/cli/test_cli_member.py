"""Proposals by command line: who has approved what is proposed now."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Kehu


def test_who_approved_an_effect_that_the_policy_has_changed_is_shown_as_one_who_has_to_approve_again(
    kehu: Kehu, tmp_path: Path
) -> None:
    proposed = kehu.json("member", "move", "sales", "--address", "10.0.0.9:7001", as_="admin")
    show = ("member", "show", proposed["proposal"])
    kehu.json("member", "approve", proposed["proposal"], "--effect", proposed["code"], as_="li")
    before = kehu.json(*show, as_="admin")
    assert (before["approvals"], before["lapsed"]) == (["sales"], [])
    assert "approved by sales" in kehu("member", "list").out
    policy = kehu.json("policy", "show", as_="admin")
    policy["policy"]["governance"]["activation_heights"] += 1
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    kehu.json("policy", "set", str(file), as_="admin")
    after = kehu.json(*show, as_="admin")
    assert (after["approvals"], after["lapsed"]) == ([], ["sales"])
    assert "approved by nobody" in kehu("member", "list").out
    assert "lapsed" in kehu(*show, as_="admin").out
    again = kehu.json("member", "approve", proposed["proposal"], "--effect", after["code"], as_="li")
    assert again["approvals"] == ["sales"]
    assert kehu.json(*show, as_="admin")["lapsed"] == []
    kehu.json("member", "withdraw", proposed["proposal"], as_="admin")


def test_what_is_only_looked_at_has_no_id_and_no_code_that_would_not_be_its_own_when_it_is_proposed(kehu: Kehu) -> None:
    words = ("member", "move", "sales", "--address", "10.0.0.9:7001")
    looked = kehu.json(*words, "--dry-run", as_="admin")
    assert (looked["proposal"], looked["code"]) == (None, None)
    assert "proposal" not in kehu(*words, "--dry-run", as_="admin").out
    named = kehu.json(*words, "--proposal", "m-sales", "--dry-run", as_="admin")
    proposed = kehu.json(*words, "--proposal", "m-sales", as_="admin")
    assert (named["proposal"], named["code"]) == ("m-sales", proposed["code"])
    kehu.json("member", "withdraw", "m-sales", as_="admin")
