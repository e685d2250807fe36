"""Erasures from the command line: the two steps of an order, and what becomes of it."""

from __future__ import annotations

import time
from typing import Any, Final

from chain import codec
from chain.crypto import digest
from chain.errors import KehuError, define
from chain.transaction import Call
from cli.client import NodeClient
from contracts.endings import ERASED
from contracts.erasure import overdue
from contracts.errors import RECORD_ERASED, RECORD_UNKNOWN

CODE_CHARACTERS: Final = 8

CONFIRM_OTHER = define(
    "usage.confirm",
    "the code is not that of this record as it is now; nothing was ordered",
    "run the command without --confirm, look at what it says, and give the code it names",
)


def confirm_code(chain_id: bytes, table: str, record: str, version: int) -> str:
    """What the second step has to name: it fits this record in this version only, so nobody confirms blindly."""
    return digest("erasure-confirm", codec.encode_flat([chain_id, table, record, version])).hex()[:CODE_CHARACTERS]


async def look_at(client: NodeClient, table: str, record: str) -> dict[str, Any]:
    """What an order would erase, all of it proven. Errors: record.unknown, record.erased."""
    row, height = await client.state(table, record)
    if row is None:
        raise KehuError(RECORD_UNKNOWN, table=table, record=record, height=height)
    if ERASED in row:
        raise KehuError(RECORD_ERASED, table=table, record=record, height=row[ERASED]["height"])
    hold, _ = await client.state("holds", f"{table}.{record}")
    return {
        "table": table,
        "record": record,
        "version": row["version"],
        "fields": sorted(row["fields"]),
        "held": None if hold is None or hold["released"] is not None else hold["reason"],
        "confirm": confirm_code(client.genesis.chain_id, table, record, row["version"]),
    }


async def order(client: NodeClient, table: str, record: str, reason: str, confirm: str | None) -> dict[str, Any]:
    """Without `confirm` only looks. Errors: usage.confirm, and those of the contract."""
    data: dict[str, Any] = {**await look_at(client, table, record), "reason": reason, "is_ordered": False}
    later: dict[str, Any] = dict.fromkeys(("number", "due_ms", "waiting", "records", "transaction", "height"))
    if confirm is None:
        return data | later
    if confirm != data["confirm"]:
        raise KehuError(CONFIRM_OTHER, table=table, record=record, version=data["version"])
    call = Call("erasure.order", {"table": table, "record": record, "reason": reason})
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
