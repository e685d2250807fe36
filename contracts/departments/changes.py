"""A change of membership and its effect: pure arithmetic over the present set, the policy and the change.

  {kind: "add", department, name, key, possession, address}
  {kind: "remove", department}
  {kind: "replace", department, by, name, key, possession, address}
  {kind: "rotate", department, key, possession}
  {kind: "move", department, address}
  {kind: "protocol", version}             the rules of the next version (chain.protocol); the departments stay

`key` is the new node's key in hex, `possession` its signature (contracts.deciding.subjects.require_possession),
`address` where its peers reach it. docs/spec/membership.md has every field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from chain import codec, protocol
from chain.errors import InvariantError, KehuError
from chain.execution import CallContext
from chain.genesis import is_hex_key
from chain.state import View
from chain.validators import DEPARTMENTS_MIN, Validator, ValidatorSet, last_scheduled
from contracts.base import ADMINISTRATION, EVERY, is_department_id
from contracts.deciding.entitlements import covers
from contracts.deciding.policy import load_policy
from contracts.deciding.scopes import ALL
from contracts.deciding.subjects import is_department, require_possession
from contracts.work_errors import (
    GOVERNANCE_CHANGE,
    GOVERNANCE_DEPARTMENT,
    GOVERNANCE_PROTOCOL,
    GOVERNANCE_SOLE_VALUES,
    GOVERNANCE_TOO_FEW,
)

ADD: Final = "add"
REMOVE: Final = "remove"
REPLACE: Final = "replace"
ROTATE: Final = "rotate"
MOVE: Final = "move"
PROTOCOL: Final = "protocol"
NAME_LENGTH_MAX: Final = 64
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?:\[[0-9a-f:]{{2,45}}\]|{_LABEL}(?:\.{_LABEL}){{0,8}}):([1-9][0-9]{{0,4}})")


def is_address(value: codec.Value) -> bool:
    """Whether it is IP:port, [IPv6]:port or hostname:port, in lower case and with nothing else (no scheme, no path)."""
    if type(value) is not str or len(value) > 128:
        return False
    found = _ADDRESS.fullmatch(value)
    return found is not None and int(found.group(1)) < 65_536


def is_name(value: codec.Value) -> bool:
    return type(value) is str and 1 <= len(value) <= NAME_LENGTH_MAX and value.isprintable()


_NODE: Final[dict[str, codec.Check]] = {
    "name": is_name,
    "key": is_hex_key,
    "possession": codec.is_signature,
    "address": is_address,
}
_FORMS: Final[dict[str, dict[str, codec.Check]]] = {
    ADD: {"department": is_department_id, **_NODE},
    REMOVE: {"department": is_department_id},
    REPLACE: {"department": is_department_id, "by": is_department_id, **_NODE},
    ROTATE: {"department": is_department_id, "key": is_hex_key, "possession": codec.is_signature},
    MOVE: {"department": is_department_id, "address": is_address},
    PROTOCOL: {"version": codec.is_uint},
}


def require_change(context: CallContext, view: View, change: Mapping[str, Any]) -> None:
    """Errors: governance.change, governance.department, governance.protocol, keys.possession, key.invalid."""
    kind = change.get("kind")
    form = _FORMS.get(kind) if type(kind) is str else None
    if form is None or sorted(change) != sorted([*form, "kind"]):
        raise KehuError(GOVERNANCE_CHANGE, field="kind", expected=", ".join(_FORMS))
    for name, check in form.items():
        if not check(change[name]):
            raise KehuError(GOVERNANCE_CHANGE, field=name)
    if kind == PROTOCOL:
        _require_next(view, change["version"])
        return
    _require_departments(view, change)
    if "key" in change:
        require_possession(context, change.get("by", change["department"]), change["key"], change["possession"])


def _require_departments(view: View, change: Mapping[str, Any]) -> None:
    kind, department = change["kind"], change["department"]
    if kind != ADD and not is_department(view, department):
        raise KehuError(GOVERNANCE_DEPARTMENT, department=department, problem="not in the network")
    if kind in (REMOVE, REPLACE) and department == ADMINISTRATION:
        raise KehuError(GOVERNANCE_DEPARTMENT, department=department, problem="administers the network")
    new = change.get("by", department)
    if kind in (ADD, REPLACE) and view.has("departments", new):
        raise KehuError(GOVERNANCE_DEPARTMENT, department=new, problem="the id was given out before")


def _require_next(view: View, version: int) -> None:
    """Versions count one after the other, so that what an earlier one brought is never left out."""
    present = present_protocol(view)
    if version != present + 1:
        raise KehuError(GOVERNANCE_PROTOCOL, expected=present + 1, actual=version)


def present_protocol(view: View) -> int:
    """The newest version of the schedule. There is at most one that does not count yet."""
    return protocol.last_version(view.get(protocol.TABLE, protocol.SCHEDULE))[1]


def present_set(view: View) -> ValidatorSet:
    """The newest set of the schedule. There is at most one that is not active yet."""
    schedule = view.get("validators", "schedule")
    if schedule is None:
        raise InvariantError("the state has no validator schedule")
    return last_scheduled(schedule)[1]


def changed_set(before: ValidatorSet, change: Mapping[str, Any]) -> ValidatorSet:
    """The set after the change; the same one if only an address or the protocol changes. Errors: governance.too_few."""
    if change["kind"] in (MOVE, PROTOCOL):
        return before
    gone = () if change["kind"] == ADD else (change["department"],)
    members = [member for member in before.members if member.department not in gone]
    if "key" in change:
        members.append(Validator(change.get("by", change["department"]), bytes.fromhex(change["key"])))
    if len(members) < DEPARTMENTS_MIN:
        raise KehuError(GOVERNANCE_TOO_FEW, departments=len(members), limit=DEPARTMENTS_MIN)
    return ValidatorSet(before.epoch + 1, tuple(sorted(members, key=lambda member: member.department)))


def effect_of(view: View, change: Mapping[str, Any]) -> dict[str, Any]:
    """What whoever proposes or approves signs with it. Errors: governance.too_few, governance.sole_values."""
    before, policy = present_set(view), load_policy(view)
    after = changed_set(before, change)
    if policy["vault_holders_min"] > after.n:
        raise KehuError(GOVERNANCE_TOO_FEW, departments=after.n, limit=policy["vault_holders_min"])
    sole = sole_tables(policy, change["department"]) if change["kind"] in (REMOVE, REPLACE) else []
    if sole and policy["governance"]["removal"] == "refuse":
        raise KehuError(GOVERNANCE_SOLE_VALUES, department=change["department"], tables=", ".join(sole))
    rules = {"protocol": [present_protocol(view), change["version"]]} if change["kind"] == PROTOCOL else {}
    return {
        "n": [before.n, after.n],
        "f": [before.f, after.f],
        "quorum": [before.quorum, after.quorum],
        "validators": after.digest,
        "activation_heights": policy["governance"]["activation_heights"],
        "sole_tables": sole,
        **rules,
    }


def sole_tables(policy: Mapping[str, Any], department: str) -> list[str]:
    """The tables of which no other department may hold every field of every record by a rule."""
    others = [rule for rule in policy["rules"] if rule["department"] != department and rule["scope"] == ALL]
    mine = [rule["table"] for rule in policy["rules"] if rule["department"] == department]

    def is_shared(table: str, field: str) -> bool:
        return any(rule["table"] in (EVERY, table) and covers(rule["fields"], field) for rule in others)

    return [
        table
        for table in sorted(policy["tables"])
        if (table in mine or EVERY in mine) and not all(is_shared(table, field) for field in policy["tables"][table])
    ]


def schedule_version(view: View, height: int, version: int) -> None:
    """Enters the version that counts from `height` on."""
    schedule = view.get(protocol.TABLE, protocol.SCHEDULE) or protocol.schedule_of(protocol.FIRST)
    schedule["versions"].append([height, version])
    view.put(protocol.TABLE, protocol.SCHEDULE, schedule)
