"""Who agrees on changes of membership and of the protocol, and how.

Proposed by an administrator, approved department by department.

Whoever proposes or approves signs the effect too: departments, faults tolerated and quorum before and after, the
digest of the new set, after how many heights it is active. If that is not what the change would do, nothing happens.
There is one change at a time. A node may change its own key by a signature of the old one.
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import InvariantError, KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import KEY, POSSESSION, RECORD, Args, Argument, methods, next_number, stamp
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import (
    WORKING_ROLES,
    Subject,
    enrol_key,
    is_department,
    require_administrator,
    require_kind,
    require_person,
)
from contracts.departments.activation import CURRENT, PROPOSALS, governance
from contracts.departments.changes import (
    PROTOCOL,
    ROTATE,
    changed_set,
    effect_of,
    present_set,
    require_change,
    schedule_version,
)
from contracts.departments.features import ONE_EFFECT, OWN_ROTATIONS
from contracts.work_errors import (
    GOVERNANCE_APPROVED,
    GOVERNANCE_APPROVER,
    GOVERNANCE_BUSY,
    GOVERNANCE_EFFECT,
    GOVERNANCE_EXISTS,
    GOVERNANCE_NOTHING_DUE,
    GOVERNANCE_OVER,
    GOVERNANCE_TOO_MANY,
    GOVERNANCE_TOO_SOON,
    GOVERNANCE_UNKNOWN,
)

OPEN: Final = "open"
ACCEPTED: Final = "accepted"
WITHDRAWN: Final = "withdrawn"
PENDING: Final = "pending"
"""Status of a key that is given out and not active yet."""
OWN_ROTATIONS_MAX: Final = 12
"""So many times a node changes its key without the others' agreement."""
OWN_ROTATION_PACE: Final = 4
"""So many times the activation distance lies between a node's own key changes, so that no node is always at it."""


def propose(context: CallContext, view: View, args: Args) -> codec.Value:
    sender = require_administrator(context, view)
    if view.has(PROPOSALS, args["proposal"]):
        raise KehuError(GOVERNANCE_EXISTS, proposal=args["proposal"])
    _require_idle(view)
    effect = _require_effect(context, view, args["change"], args["effect"])
    if "key" in args["change"]:
        _reserve_key(view, args["change"])
    row = {"status": OPEN, "change": args["change"], "effect": effect, "by": sender.text, **stamp(context)}
    view.put(PROPOSALS, args["proposal"], {**row, "approvals": {}, "activation_height": None})
    view.put("governance", CURRENT, {"open": args["proposal"], "pending": None})
    return {"proposal": args["proposal"], "effect": effect, "approvals_needed": _approvals_needed(view)}


def approve(context: CallContext, view: View, args: Args) -> codec.Value:
    """By somebody of each department. The last approval that is needed accepts the change."""
    sender = require_person(context, view)
    row = _open_proposal(view, args["proposal"])
    _require_approver(view, sender)
    if context.protocol >= ONE_EFFECT:
        row = _with_present_effect(view, row)
    if sender.department in row["approvals"]:
        raise KehuError(GOVERNANCE_APPROVED, proposal=args["proposal"], department=sender.department)
    effect = _require_effect(context, view, row["change"], args["effect"])
    row["approvals"][sender.department] = {"by": sender.text, "key": context.key, **stamp(context)}
    needed = _approvals_needed(view)
    given = [name for name in sorted(row["approvals"]) if is_department(view, name)]
    answer = {"proposal": args["proposal"], "effect": effect, "approvals": given, "approvals_needed": needed}
    if len(given) < needed:
        view.put(PROPOSALS, args["proposal"], row)
        return {**answer, "status": OPEN}
    return {**answer, **_accept(context, view, args["proposal"], row)}


def _with_present_effect(view: View, row: dict[str, Any]) -> dict[str, Any]:
    effect = effect_of(view, row["change"])
    return {**row, "effect": effect, "approvals": counted_approvals(row, effect, ONE_EFFECT)}


def counted_approvals(row: dict[str, Any], effect: dict[str, Any], version: int) -> dict[str, Any]:
    """Those of a proposal that count together with one of `effect`. A change of the policy may have made another one of
    the effect that was signed; who signed that one has not approved this one."""
    is_same = version < ONE_EFFECT or effect == row["effect"]
    return dict(row["approvals"]) if is_same else {}


def _accept(context: CallContext, view: View, proposal: str, row: dict[str, Any]) -> dict[str, Any]:
    """Enters the new set, or the new version, into its schedule. What it gives is what a light client follows
    (docs/spec/membership.md)."""
    height = context.height + row["effect"]["activation_heights"]
    if row["change"]["kind"] == PROTOCOL:
        schedule_version(view, height, row["change"]["version"])
    before = present_set(view)
    after = changed_set(before, row["change"])
    if after.epoch != before.epoch:
        schedule = view.get("validators", "schedule")
        if schedule is None:
            raise InvariantError("the state has no validator schedule")
        schedule["sets"].append([height, after.to_value()])
        view.put("validators", "schedule", schedule)
        change = {"transaction": context.transaction_id, "height": context.height, "activation_height": height}
        view.put("memberships", str(after.epoch), change)
    view.put(PROPOSALS, proposal, {**row, "status": ACCEPTED, "activation_height": height})
    view.put("governance", CURRENT, {"open": None, "pending": proposal})
    return {"status": ACCEPTED, "activation_height": height, "accepted_set": after.to_value()}


def withdraw(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends an open proposal; the key that it named is never used."""
    sender = require_administrator(context, view)
    row = _open_proposal(view, args["proposal"])
    withdrawn = {"by": sender.text, **stamp(context)}
    view.put(PROPOSALS, args["proposal"], {**row, "status": WITHDRAWN, "withdrawn": withdrawn})
    view.put("governance", CURRENT, {"open": None, "pending": None})
    return {"proposal": args["proposal"], "status": WITHDRAWN}


def rotate(context: CallContext, view: View, args: Args) -> codec.Value:
    """A node changes over to a new key; its old key signs. Nothing else about the network changes."""
    sender = require_kind(context, view, "node")
    _require_idle(view)
    distance = load_policy(view)["governance"]["activation_heights"]
    department = view.get("departments", sender.department) or {}
    earliest = department["key_height"] + OWN_ROTATION_PACE * distance
    if department["key_height"] and context.height < earliest:
        raise KehuError(GOVERNANCE_TOO_SOON, department=sender.department, earliest=earliest, actual=context.height)
    if view.has(PROPOSALS, args["proposal"]):
        raise KehuError(GOVERNANCE_EXISTS, proposal=args["proposal"])
    if context.protocol >= OWN_ROTATIONS:
        _count_rotation(view, sender.department)
    change = {"kind": ROTATE, "department": sender.department, "key": args["key"], "possession": args["possession"]}
    require_change(context, view, change)
    _reserve_key(view, change)
    row = {"status": OPEN, "change": change, "effect": effect_of(view, change), "by": sender.text, **stamp(context)}
    accepted = _accept(context, view, args["proposal"], {**row, "approvals": {}})
    return {"proposal": args["proposal"], "effect": row["effect"], **accepted}


def _count_rotation(view: View, department: str) -> None:
    """Every set of departments stays in the schedule, which whoever joins or was away goes along: one node alone does
    not make it as long as it likes. Errors: governance.too_many."""
    if next_number(view, f"own_rotations.{department}") > OWN_ROTATIONS_MAX:
        raise KehuError(GOVERNANCE_TOO_MANY, department=department, limit=OWN_ROTATIONS_MAX)


def advance(context: CallContext, view: View, _args: Args) -> codec.Value:
    """For nodes: a block more towards the height at which an accepted change is active, where nobody else works."""
    require_kind(context, view, "node")
    pending = governance(view)["pending"]
    if pending is None:
        raise KehuError(GOVERNANCE_NOTHING_DUE, height=context.height)
    return {"proposal": pending}


def _require_idle(view: View) -> None:
    current = governance(view)
    if current["open"] is not None or current["pending"] is not None:
        raise KehuError(GOVERNANCE_BUSY, **current)


def _require_effect(context: CallContext, view: View, change: dict[str, Any], signed: dict[str, Any]) -> dict[str, Any]:
    """The effect of the change now, which must be the one that was signed."""
    require_change(context, view, change)
    effect = effect_of(view, change)
    for name, expected in effect.items():
        if signed.get(name) != expected:
            raise KehuError(GOVERNANCE_EFFECT, field=name, expected=expected)
    if len(signed) != len(effect):
        raise KehuError(GOVERNANCE_EFFECT, field="unknown", expected=", ".join(effect))
    return effect


def _reserve_key(view: View, change: dict[str, Any]) -> None:
    """Nobody else may enrol it meanwhile, and it acts only once the change is active. Errors: keys.taken."""
    department = change.get("by", change["department"])
    enrol_key(view, change["key"], "node", department, department)
    row = view.get("keys", change["key"]) or {}
    view.put("keys", change["key"], {**row, "status": PENDING})


def _open_proposal(view: View, proposal: str) -> dict[str, Any]:
    row = view.get(PROPOSALS, proposal)
    if row is None:
        raise KehuError(GOVERNANCE_UNKNOWN, proposal=proposal)
    if row["status"] != OPEN:
        raise KehuError(GOVERNANCE_OVER, proposal=proposal, status=row["status"])
    return row


def _require_approver(view: View, sender: Subject) -> None:
    named = load_policy(view)["governance"]["approvers"].get(sender.department)
    if sender.role not in WORKING_ROLES or (named is not None and sender.id not in named):
        raise KehuError(GOVERNANCE_APPROVER, subject=sender.text, department=sender.department)


def _approvals_needed(view: View) -> int:
    present = present_set(view)
    return present.n if load_policy(view)["governance"]["approvals"] == "all" else present.quorum


_EFFECT: Final = Argument("the effect of the change (docs/spec/membership.md)", codec.is_map)
METHODS: Final = methods(
    (
        "governance.propose",
        propose,
        {
            "proposal": RECORD,
            "change": Argument("a change (docs/spec/membership.md)", codec.is_map),
            "effect": _EFFECT,
        },
    ),
    ("governance.approve", approve, {"proposal": RECORD, "effect": _EFFECT}),
    ("governance.withdraw", withdraw, {"proposal": RECORD}),
    ("governance.rotate", rotate, {"proposal": RECORD, "key": KEY, "possession": POSSESSION}),
    ("governance.advance", advance, {}),
)
