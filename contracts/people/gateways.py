"""Gateways: who may bring a carrier's answer onto the chain. Each stands in a department and has one key."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DEPARTMENT, KEY, POSSESSION, RECORD, Args, methods
from contracts.deciding.subjects import (
    ACTIVE,
    REVOKED,
    enrol_key,
    require_administrator,
    require_department,
    require_possession,
    retire_key,
)
from contracts.errors import GATEWAY_EXISTS, GATEWAY_REVOKED, GATEWAY_UNKNOWN


def enrol(context: CallContext, view: View, args: Args) -> codec.Value:
    require_administrator(context, view)
    require_possession(context, args["gateway"], args["key"], args["possession"])
    add_gateway(view, args["gateway"], args["department"], args["key"])
    return {"gateway": args["gateway"]}


def add_gateway(view: View, gateway: str, department: str, key_hex: str) -> None:
    """Errors: gateway.exists, department.unknown, key.invalid, keys.taken."""
    require_department(view, department)
    if view.has("gateways", gateway):
        raise KehuError(GATEWAY_EXISTS, gateway=gateway)
    enrol_key(view, key_hex, "gateway", gateway, department)
    view.put("gateways", gateway, {"department": department, "key": key_hex, "status": ACTIVE})


def revoke(context: CallContext, view: View, args: Args) -> codec.Value:
    """The gateway's later answers are refused; what it said before stands."""
    require_administrator(context, view)
    row = view.get("gateways", args["gateway"])
    if row is None:
        raise KehuError(GATEWAY_UNKNOWN, gateway=args["gateway"])
    if row["status"] != ACTIVE:
        raise KehuError(GATEWAY_REVOKED, gateway=args["gateway"])
    retire_key(view, row["key"])
    view.put("gateways", args["gateway"], {**row, "status": REVOKED})
    return {"gateway": args["gateway"]}


METHODS: Final = methods(
    ("gateways.enrol", enrol, {"gateway": RECORD, "department": DEPARTMENT, "key": KEY, "possession": POSSESSION}),
    ("gateways.revoke", revoke, {"gateway": RECORD}),
)
