"""Erasures from the command line: the two steps of an order, and what becomes of it."""

from __future__ import annotations

import time
from typing import Any, Final

from chain import codec, protocol
from chain.crypto import digest
from chain.errors import KehuError, define
from chain.transaction import Call
from cli.client import NodeClient
from cli.transport import NODE_ANSWER_MALFORMED
from contracts.departments.features import HELD_TOGETHER
from contracts.erasing.endings import ERASED
from contracts.erasing.erasure import overdue
from contracts.erasing.holds import HOLDS, OF_CUSTOMERS
from contracts.errors import RECORD_ERASED, RECORD_UNKNOWN
from contracts.registry import require_arguments

CODE_CHARACTERS: Final = 8
_TOGETHER: Final = ("table", "record", "version", "fields", "held")

CONFIRM_OTHER = define(
    "usage.confirm",
    "the code is not that of what would be erased as it is now, for this reason; nothing was ordered",
    "run the command without --confirm, look at what it says, and give the code it names",
)


def confirm_code(chain_id: bytes, order: Call, records: list[dict[str, Any]]) -> str:
    """What the second step has to name: it fits this order, with its reason, and these records in these versions only,
    so nobody confirms blindly what stays on the chain."""
    named: codec.Value = [[one["table"], one["record"], one["version"]] for one in records]
    return digest("erasure-confirm", codec.encode([chain_id, order.args, named])).hex()[:CODE_CHARACTERS]


async def hold_on(client: NodeClient, table: str, record: str) -> tuple[str, str] | None:
    """(reason, "table.record" on which it lies) of the hold that keeps a record: its own, or its customer's. Proven."""
    places = [(table, record)]
    if table in OF_CUSTOMERS:
        row, height = await client.state(table, record)
        schedule, _ = await client.state(protocol.TABLE, protocol.SCHEDULE)
        if row is not None and protocol.version_at(schedule, height) >= HELD_TOGETHER:
            places.append(("customers", row["customer"]))
    for place in map(".".join, places):
        hold, _ = await client.state(HOLDS, place)
        if hold is not None and hold["released"] is None:
            return hold["reason"], place
    return None


async def look_at(client: NodeClient, order: Call) -> dict[str, Any]:
    """What an order would erase: the record itself proven; what goes with it, in whose vaults, and what is held, as the
    node says. Errors: record.unknown, record.erased, node.answer_malformed."""
    table, record = order.args["table"], order.args["record"]
    row, height = await client.state(table, record)
    if row is None:
        raise KehuError(RECORD_UNKNOWN, table=table, record=record, height=height)
    if ERASED in row:
        raise KehuError(RECORD_ERASED, table=table, record=record, height=row[ERASED]["height"])
    records = await _together(client, table, record)
    return {
        "table": table,
        "record": record,
        "version": row["version"],
        "fields": sorted(row["fields"]),
        "held": next((one["held"] for one in records if one["held"] is not None), None),
        "together": records,
        "confirm": confirm_code(
            client.genesis.chain_id, order, [{**records[0], "version": row["version"]}, *records[1:]]
        ),
    }


async def _together(client: NodeClient, table: str, record: str) -> list[dict[str, Any]]:
    """Each record that goes, the one that was asked about first: {table, record, version, fields: {name: [departments
    whose vaults may hold it]}, held: a reason or None}."""
    path = f"/v1/erasures/{table}/{record}"
    said = await client.get(path)
    try:
        records = [{name: one[name] for name in _TOGETHER} for one in said["records"]]
        if (records[0]["table"], records[0]["record"]) != (table, record):
            raise ValueError("the record is not the first")
    except (KeyError, IndexError, TypeError, ValueError):
        raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path=path) from None
    return records


async def order(client: NodeClient, table: str, record: str, reason: str, confirm: str | None) -> dict[str, Any]:
    """Without `confirm` only looks. Errors: call.arguments, usage.confirm, and those of the contract."""
    call = Call("erasure.order", {"table": table, "record": record, "reason": reason})
    require_arguments(call)
    data: dict[str, Any] = {**await look_at(client, call), "reason": reason, "is_ordered": False}
    later: dict[str, Any] = dict.fromkeys(("number", "due_ms", "waiting", "records", "transaction", "height"))
    if confirm is None:
        return data | later
    if confirm != data["confirm"]:
        raise KehuError(CONFIRM_OTHER, table=table, record=record, version=data["version"])
    committed = await client.execute([call])
    result = committed.result()
    later = {name: result[name] for name in ("number", "due_ms", "waiting", "records")}
    return (
        data
        | {"is_ordered": True}
        | later
        | {
            "transaction": committed.transaction_id,
            "height": committed.height,
        }
    )


def standing_of(row: dict[str, Any]) -> dict[str, Any]:
    """What an erasure's row says by this machine's clock: complete, waiting, or overdue, and for whom."""
    late = overdue(row, time.time_ns() // 1_000_000)
    state = "complete" if not row["waiting"] else "overdue" if late else "waiting"
    return {
        "state": state,
        "number": row["number"],
        "reason": row["reason"],
        "cause": row["cause"],
        "by": row["by"],
        "ordered_ms": row["time_ms"],
        "due_ms": row["due_ms"],
        "waiting": row["waiting"],
        "overdue": late,
        "confirmed": row["confirmed"],
    }
