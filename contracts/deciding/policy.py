"""The policy: a map in state (policy/current) that the administration replaces as a whole.

  neighbours        departments in the order in which projects travel
  rules             [{department, table | "*", actions, fields | ["*"], scope}, ...]; deny unless one matches
  tables            table -> its personal fields
  relation_kinds    kind -> "organisation" (within one) or "anywhere"
  vault_holders_min departments that must hold a transaction's values before it is proposed
  erasure_due_ms    how long the departments' nodes have to confirm that they destroyed what was erased
  retention         table -> ms without a change or contact after which a record is erased by itself
  phone             {attestation_age_ms_max, attestation_ahead_ms_max, contact_age_ms_max, gateways_required,
                    sweep_age_ms: how old an answer may get before a sweep asks again}
  governance        {activation_heights: how many heights after its acceptance a change of membership begins,
                    approvals: "quorum" or "all" departments, approvers: department -> work ids (default: whoever
                    works there), removal: "refuse" or "warn" where values would be left with no department}

Scopes: contracts.deciding.scopes. A rule applies to a department's administrators and operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from chain import codec
from chain.errors import InvariantError, KehuError
from chain.state import View, decode_value
from contracts.base import (
    ACTIONS,
    ADMINISTRATION,
    EVERY,
    FIELDS_MAX,
    is_action_list,
    is_department_id,
    is_field_list,
    is_field_name,
    is_record_id,
    is_within,
    one_of,
)
from contracts.deciding.defaults import RELATION_KINDS, WORK_RULES, WORK_TABLES
from contracts.deciding.scopes import ALL, ASSIGNED, PROJECT, RULE_SCOPES
from contracts.departments.features import RETAINED_RECORDS
from contracts.errors import FIELD_UNKNOWN, POLICY_INVALID, TABLE_UNKNOWN
from contracts.records import RECORD_TABLES

REPORTS_TO: Final = "reports_to"
WITHIN: Final = "organisation"
"""The bound of a kind of relation that only joins customers of one organisation."""
RULES_MAX: Final = 256
TABLES_MAX: Final = 32
DAYS_MS: Final = 86_400_000
DEPARTMENTS: Final = ("administration", "sales", "finance", "process", "technical", "after_sales")

_TABLES: Final = {
    "customers": ["name", "phone", "identifier", "position", "organisation", "department", "email", "address", "note"],
    "people": ["name", "phone", "email"],
    "logins": ["entries"],
    "accesses": ["entries"],
    "changes": ["entries"],
    **WORK_TABLES,
}
_REQUIRED_FIELDS: Final = {"customers": ("name", "phone", "identifier"), "people": ("name",), **WORK_TABLES}
_CUSTOMER_FIELDS: Final = [field for field in _TABLES["customers"] if field != "identifier"]
_CONTACT_FIELDS: Final = ["phone", "identifier"]
# Who reads and changes which customers: the table of departments in the product's description.
_CUSTOMER_RULES: Final = (
    ("sales", ["read", "change"], ASSIGNED),
    ("finance", ["read", "change"], ALL),
    ("process", ["read"], PROJECT),
    ("technical", ["read", "change"], PROJECT),
    ("after_sales", ["read", "change"], PROJECT),
)


def default_policy(departments: Sequence[str] = DEPARTMENTS) -> dict[str, Any]:
    """The product's defaults, for those of its six departments that the network has."""
    return {
        "neighbours": [department for department, _, _ in _CUSTOMER_RULES if department in departments],
        "rules": _default_rules(departments),
        "tables": {table: list(fields) for table, fields in _TABLES.items()},
        "relation_kinds": dict(RELATION_KINDS),
        "vault_holders_min": 2,
        "erasure_due_ms": 7 * DAYS_MS,
        "retention": {},
        "phone": {
            "attestation_age_ms_max": 600_000,
            "attestation_ahead_ms_max": 60_000,
            "contact_age_ms_max": DAYS_MS,
            "gateways_required": 1,
            "sweep_age_ms": 7 * DAYS_MS,
        },
        "governance": {"activation_heights": 8, "approvals": "quorum", "approvers": {}, "removal": "refuse"},
    }


def _default_rules(departments: Sequence[str]) -> list[dict[str, Any]]:
    """Everybody who reads a customer may also contact it. That covers the identifier, which their people don't
    read: their department's vault needs it, with its salt, to have the number checked again."""
    rules = [_rule(ADMINISTRATION, EVERY, list(ACTIONS), [EVERY], ALL)]
    for department, actions, scope in _CUSTOMER_RULES:
        if department in departments:
            rules.append(_rule(department, "customers", list(actions), list(_CUSTOMER_FIELDS), scope))
            rules.append(_rule(department, "customers", ["contact"], list(_CONTACT_FIELDS), scope))
    for owner, tables, allowed, reach in WORK_RULES:
        if owner in departments:
            rules += [_rule(owner, table, list(allowed), [EVERY], reach) for table in tables]
    return rules


def _rule(department: str, table: str, actions: list[str], fields: list[str], scope: str) -> dict[str, Any]:
    return {"department": department, "table": table, "actions": actions, "fields": fields, "scope": scope}


def complete_policy(given: Mapping[str, Any], departments: Sequence[str]) -> dict[str, Any]:
    """A genesis policy with the defaults for the parts it leaves out (tables, phone, governance: entry by entry)."""
    policy = {**default_policy(departments), **given}
    for part in ("tables", "phone", "governance"):
        if codec.is_map(policy[part]):
            policy[part] = {**default_policy(departments)[part], **policy[part]}
    return policy


def rule_name(rule: Mapping[str, Any]) -> str:
    """How a decision names the rule that allowed it."""
    return f"rule:{rule['department']}.{rule['table']}.{rule['scope']}"


def require_policy(
    policy: Mapping[str, Any], is_department: Callable[[str], bool], departments: int, protocol: int
) -> None:
    """Raises policy.invalid unless the policy is complete and names only what exists."""
    if sorted(policy) != sorted(_PARTS):
        raise _invalid("policy", expected=", ".join(sorted(_PARTS)))
    for part, check in _PARTS.items():
        if not check(policy[part]):
            raise _invalid(part)
    _require_tables(policy)
    _require_retention(policy, protocol)
    for part, named in (
        ("neighbours", policy["neighbours"]),
        ("governance", sorted(policy["governance"]["approvers"])),
    ):
        for department in named:
            if not is_department(department):
                raise _invalid(part, department=department)
    for position, rule in enumerate(policy["rules"]):
        _require_rule(position, rule, policy["tables"], is_department)
    if policy["vault_holders_min"] > departments:
        raise _invalid("vault_holders_min", limit=departments, actual=policy["vault_holders_min"])


def _require_tables(policy: Mapping[str, Any]) -> None:
    for table, fields in _REQUIRED_FIELDS.items():
        missing = [field for field in fields if field not in policy["tables"].get(table, ())]
        if missing:
            raise _invalid(f"tables.{table}", missing=missing[0])


def _require_retention(policy: Mapping[str, Any], protocol: int) -> None:
    for table in sorted(policy["retention"]):
        if table not in policy["tables"] or (protocol >= RETAINED_RECORDS and table not in RECORD_TABLES):
            raise _invalid("retention", table=table)


def _require_rule(
    position: int, rule: dict[str, Any], tables: dict[str, list[str]], is_department: Callable[[str], bool]
) -> None:
    if not is_department(rule["department"]):
        raise _invalid("rules", position=position, department=rule["department"])
    if rule["table"] == EVERY:
        return
    if rule["table"] not in tables:
        raise _invalid("rules", position=position, table=rule["table"])
    for field in rule["fields"]:
        if field != EVERY and field not in tables[rule["table"]]:
            raise _invalid("rules", position=position, field=field)


def _invalid(part: str, **details: object) -> KehuError:
    return KehuError(POLICY_INVALID, part=part, **details)


def _are_tables(value: codec.Value) -> bool:
    if type(value) is not dict or len(value) > TABLES_MAX:
        return False
    return all(is_field_name(table) and _are_fields(fields) for table, fields in value.items())


def _are_fields(value: codec.Value) -> bool:
    return is_field_list(value) and value != [EVERY] and len(value) <= FIELDS_MAX


def _are_periods(value: codec.Value) -> bool:
    if type(value) is not dict or len(value) > TABLES_MAX:
        return False
    return all(is_field_name(table) and is_within(1_000, 36_500 * DAYS_MS)(ms) for table, ms in value.items())


def _are_approvers(value: codec.Value) -> bool:
    if type(value) is not dict or len(value) > 64:
        return False
    return all(is_department_id(name) and _are_work_ids(people) for name, people in value.items())


def _are_work_ids(value: codec.Value) -> bool:
    return codec.list_of(is_record_id, 64)(value) and 1 <= len(value) == len(set(value))


def _are_kinds(value: codec.Value) -> bool:
    if type(value) is not dict or not 1 <= len(value) <= FIELDS_MAX or value.get(REPORTS_TO) != WITHIN:
        return False
    return all(is_field_name(kind) and bound in (WITHIN, "anywhere") for kind, bound in value.items())


def _is_rule(value: codec.Value) -> bool:
    return _has_exactly(value, _RULE)


def _has_exactly(value: codec.Value, checks: Mapping[str, codec.Check]) -> bool:
    return type(value) is dict and sorted(value) == sorted(checks) and all(checks[name](value[name]) for name in checks)


def _is_order(value: codec.Value) -> bool:
    return codec.list_of(is_department_id, 64)(value) and len(set(value)) == len(value)


_RULE: Final[dict[str, codec.Check]] = {
    "department": is_department_id,
    "table": lambda value: value == EVERY or is_field_name(value),
    "actions": is_action_list,
    "fields": is_field_list,
    "scope": one_of(*RULE_SCOPES),
}
_PHONE: Final[dict[str, codec.Check]] = {
    "attestation_age_ms_max": is_within(1_000, 30 * DAYS_MS),
    "attestation_ahead_ms_max": is_within(0, DAYS_MS),
    "contact_age_ms_max": is_within(1_000, 3_650 * DAYS_MS),
    "gateways_required": is_within(1, 16),
    "sweep_age_ms": is_within(1_000, 3_650 * DAYS_MS),
}
_GOVERNANCE: Final[dict[str, codec.Check]] = {
    "activation_heights": is_within(2, 10_000),
    "approvals": one_of("quorum", "all"),
    "approvers": _are_approvers,
    "removal": one_of("refuse", "warn"),
}
_PARTS: Final[dict[str, codec.Check]] = {
    "neighbours": _is_order,
    "rules": codec.list_of(_is_rule, RULES_MAX),
    "tables": _are_tables,
    "relation_kinds": _are_kinds,
    "vault_holders_min": is_within(1, 1_000),
    "erasure_due_ms": is_within(1_000, 3_650 * DAYS_MS),
    "retention": _are_periods,
    "phone": lambda value: _has_exactly(value, _PHONE),
    "governance": lambda value: _has_exactly(value, _GOVERNANCE),
}


def write_policy(view: View, policy: dict[str, Any], version: int, height: int) -> None:
    view.put("policy", "current", {"version": version, "height": height, "policy": policy})


def load_policy(view: View) -> dict[str, Any]:
    """The policy in force. All who ask share it, so nobody may change it."""
    return policy_row(view)["policy"]  # type: ignore[no-any-return]


def policy_row(view: View) -> dict[str, Any]:
    """{version, height, policy} as stored."""
    return _decode_row(_raw_row(view))


def _raw_row(view: View) -> bytes:
    raw = view.raw("policy", "current")
    if raw is None:
        raise InvariantError("the state has no policy: it was not made by contracts.write_genesis")
    return raw


def rules_about(view: View, table: str) -> tuple[dict[str, Any], ...]:
    """The rules in force for a table, in the policy's order. Shared, as the policy is."""
    return _rules_in(_raw_row(view), table)


@lru_cache(maxsize=128)
def _rules_in(raw: bytes, table: str) -> tuple[dict[str, Any], ...]:
    """Every decision asks, and most rules are about other tables."""
    return tuple(rule for rule in _decode_row(raw)["policy"]["rules"] if rule["table"] in (EVERY, table))


@lru_cache(maxsize=4)
def _decode_row(raw: bytes) -> dict[str, Any]:
    """Every call of a contract asks for the policy, which changes once in a while."""
    return decode_value(raw)


def require_table(policy: Mapping[str, Any], table: str) -> list[str]:
    """The table's personal fields. Errors: record.table_unknown."""
    fields: list[str] | None = policy["tables"].get(table)
    if fields is None:
        raise KehuError(TABLE_UNKNOWN, table=table)
    return fields


def require_fields(policy: Mapping[str, Any], table: str, fields: Sequence[str]) -> None:
    """Errors: record.table_unknown, record.field_unknown."""
    known = require_table(policy, table)
    for field in sorted(fields):
        if field not in known:
            raise KehuError(FIELD_UNKNOWN, table=table, field=field)
