"""The state before the first block: departments with their nodes' keys, the first people, gateways, policy.

  people    [{id, department, role, key}, ...], at least one administrator
  gateways  [{id, department, key}, ...]
  policy    parts of a policy; what it leaves out is the default (contracts.deciding.policy)

A genesis holds no field digests and no proofs of possession: both would have to name the chain id, which is the
digest of the genesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chain import codec
from chain.crypto import ZERO_DIGEST
from chain.errors import KehuError
from chain.execution import CallContext
from chain.genesis import GENESIS_INVALID, Genesis, is_hex_key
from chain.state import View
from contracts.base import ADMINISTRATION, count_of, is_department_id, is_record_id, one_of
from contracts.deciding.policy import complete_policy, require_policy, write_policy
from contracts.deciding.subjects import ACTIVE, ROLES, Subject, enrol_key
from contracts.people.gateways import add_gateway
from contracts.people.people import add_person
from contracts.records import write_fields

_PERSON: Final[dict[str, codec.Check]] = {
    "id": is_record_id,
    "department": is_department_id,
    "role": one_of(*ROLES),
    "key": is_hex_key,
}
_NOBODY: Final = Subject("genesis", "0", "")
_GATEWAY: Final[dict[str, codec.Check]] = {"id": is_record_id, "department": is_department_id, "key": is_hex_key}


def write_genesis(view: View, genesis: Genesis) -> None:
    """Errors: genesis.invalid, policy.invalid, and those of enrolling people, gateways and keys."""
    _write_departments(view, genesis)
    for position, item in enumerate(genesis.value["people"]):
        _require_entry("people", position, item, _PERSON)
        record = add_person(view, item["id"], item["department"], item["role"], item["key"])
        write_fields(_genesis_context(genesis), view, _NOBODY, "people", item["id"], record, {})
    if count_of(view, "administrators") == 0:
        raise KehuError(GENESIS_INVALID, field="people", problem="no administrator")
    for position, item in enumerate(genesis.value["gateways"]):
        _require_entry("gateways", position, item, _GATEWAY)
        add_gateway(view, item["id"], item["department"], item["key"])
    departments = genesis.validators.departments
    policy = complete_policy(genesis.value["policy"], departments)
    require_policy(policy, departments.__contains__, len(departments), genesis.protocol)
    write_policy(view, policy, version=1, height=0)


def _genesis_context(genesis: Genesis) -> CallContext:
    return CallContext(genesis.protocol, genesis.chain_id, 0, genesis.time_ms, ZERO_DIGEST, ZERO_DIGEST, "", 0)


def _write_departments(view: View, genesis: Genesis) -> None:
    names = {item["id"]: item["name"] for item in genesis.value["departments"]}
    for member in genesis.validators.members:
        if not is_department_id(member.department):
            raise KehuError(GENESIS_INVALID, field="departments.id", department=member.department)
        row = {"name": names[member.department], "status": ACTIVE, "address": genesis.addresses[member.department]}
        view.put("departments", member.department, {**row, "key": member.key.hex(), "key_height": 0})
        enrol_key(view, member.key.hex(), "node", member.department, member.department)
    if ADMINISTRATION not in names:
        raise KehuError(GENESIS_INVALID, field="departments", missing=ADMINISTRATION)
    view.put("counters", "departments", {"value": len(names)})


def _require_entry(list_name: str, position: int, item: dict[str, Any], checks: Mapping[str, codec.Check]) -> None:
    if sorted(item) != sorted(checks):
        raise KehuError(GENESIS_INVALID, field=list_name, position=position, expected=", ".join(sorted(checks)))
    for name, check in checks.items():
        if not check(item[name]):
            raise KehuError(GENESIS_INVALID, field=f"{list_name}.{name}", position=position)
