"""What becomes true at the height at which an accepted change is active: before that block's calls.

The set of departments that decides the height follows from the schedule (chain.ledger); this is the rest: the
department's row, its node's key, what the policy says about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chain.state import View
from contracts.base import count_of
from contracts.deciding.policy import policy_row, write_policy
from contracts.deciding.subjects import ACTIVE, retire_key
from contracts.departments.changes import ADD, MOVE, PROTOCOL, REMOVE, REPLACE, ROTATE

CURRENT: Final = "current"
PROPOSALS: Final = "proposals"
REMOVED: Final = "removed"


def governance(view: View) -> dict[str, Any]:
    """{open, pending}: ids of proposals, or None each."""
    return view.get("governance", CURRENT) or {"open": None, "pending": None}


def activate_due(view: View, height: int) -> None:
    """Carries out the accepted change, if this is its height."""
    if not view.has("governance", CURRENT):
        return
    current = governance(view)
    proposal = None if current["pending"] is None else view.get(PROPOSALS, current["pending"])
    if proposal is None or height < proposal["activation_height"]:
        return
    _carry_out(view, proposal["change"], height)
    view.put(PROPOSALS, current["pending"], {**proposal, "status": ACTIVE})
    view.put("governance", CURRENT, {**current, "pending": None})


def _carry_out(view: View, change: Mapping[str, Any], height: int) -> None:
    if change["kind"] == PROTOCOL:
        return  # what counts from here on, every rule asks of the height itself
    kind, department = change["kind"], change["department"]
    row = view.get("departments", department) or {}
    if kind == MOVE:
        view.put("departments", department, {**row, "address": change["address"]})
    if kind == ROTATE:
        retire_key(view, row["key"])
        view.put("departments", department, {**row, "key": change["key"], "key_height": height})
        _activate_key(view, change["key"])
    if kind in (REMOVE, REPLACE):
        retire_key(view, row["key"])
        view.put("departments", department, {**row, "status": REMOVED, "until_height": height})
        _rewrite_policy(view, department, change.get("by"), height)
    if kind in (ADD, REPLACE):
        new = {name: change[name] for name in ("name", "address", "key")}
        view.put("departments", change.get("by", department), {**new, "status": ACTIVE, "key_height": height})
        _activate_key(view, change["key"])
    view.put("counters", "departments", {"value": count_of(view, "departments") + (kind == ADD) - (kind == REMOVE)})


def _activate_key(view: View, key_hex: str) -> None:
    row = view.get("keys", key_hex) or {}
    view.put("keys", key_hex, {**row, "status": ACTIVE})


def _rewrite_policy(view: View, gone: str, by: str | None, height: int) -> None:
    """Rules and neighbours of a department that is gone pass to the one in its place, or end. Approvers end."""
    row = policy_row(view)
    policy = {**row["policy"]}
    policy["rules"] = [
        {**rule, "department": by} if rule["department"] == gone else rule
        for rule in policy["rules"]
        if by is not None or rule["department"] != gone
    ]
    policy["neighbours"] = [
        by if name == gone else name for name in policy["neighbours"] if by is not None or name != gone
    ]
    approvers = {name: people for name, people in policy["governance"]["approvers"].items() if name != gone}
    policy["governance"] = {**policy["governance"], "approvers": approvers}
    write_policy(view, policy, row["version"] + 1, height)
