"""What an erasure would take, before it is ordered: the record, and all that is erased with it. Never a value."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from chain.state import View
from contracts.deciding.holders import holders_of
from contracts.departments.changes import present_protocol
from contracts.erasing.endings import erased_together
from contracts.erasing.holds import held_for
from contracts.records import load_record
from node.api.context import answer, context_of
from node.api.models import Height, Model
from node.api.policy import Policy, Route
from node.api.queries import require_name


class ErasedRecord(Model):
    """`fields`: each with the departments whose vaults may hold its value; `held`: why it must not be erased, or
    null."""

    table: str
    record: str
    version: int
    fields: dict[str, list[str]]
    held: str | None


class ErasureScope(Model):
    """The record that was asked about stands first."""

    height: Height
    records: list[ErasedRecord]


async def show_scope(request: web.Request) -> web.Response:
    ledger = context_of(request).node.ledger
    view = View(ledger.state.get)
    table, record = (require_name(request.match_info[name], name) for name in ("table", "record"))
    load_record(view, table, record)
    records = [_shown(view, *one) for one in erased_together(view, table, record)]
    return answer(ErasureScope(height=ledger.height, records=records))


def _shown(view: View, table: str, record: str) -> ErasedRecord:
    row = load_record(view, table, record)
    fields = {field: list(held) for field, held in holders_of(view, table, record, sorted(row["fields"])).items()}
    reason = held_for(view, table, record, present_protocol(view))
    return ErasedRecord(table=table, record=record, version=row["version"], fields=fields, held=reason)


ROUTES: Final = (
    Route(
        "GET",
        "/v1/erasures/{table}/{record}",
        Policy.PERSON,
        show_scope,
        "What an order would erase: records, their fields and whose vaults may hold them, and what is held",
        ErasureScope,
    ),
)
