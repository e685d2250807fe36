"""`kehu customer show|list|search|history|contact|export`: every read is a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.calling import look_back
from cli.command import Needs, command
from cli.commands.customer import app
from cli.commands.members import add_members
from cli.commands.reading import read_one
from cli.commands.taking import add_export
from cli.exits import SIGNED, Exit
from cli.layout import shown_as
from cli.options import (
    PURPOSE_DEFAULT,
    After,
    Customer,
    Descending,
    Filters,
    FiltersFile,
    Limit,
    Purpose,
    Region,
    Sort,
)  # fmt: skip
from cli.output import Answer, Screen
from cli.run import Run

if TYPE_CHECKING:
    from cli.records import RecordShown
    from cli.searching import Asked
    from cli.verify import Committed

FIELDS_DEFAULT: Final = ("name", "phone", "organisation", "position")
LISTED: Final = ("customers", "next", "transaction", "height")
Fields = Annotated[list[str] | None, typer.Option("--field", metavar="FIELD", help="Fields to read; repeat it.")]


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu customer show c-1f… --as li-wei --purpose follow-up",
    json_keys=("customer", "version", "facts", "fields", "transaction", "height"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def show(
    run: Run,
    customer: Customer,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it (default: all).")
    ] = None,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Read a customer: the read goes on the ledger, then the values come and are checked against the chain.

    Fields that you may not read are shown as refused, with the reason; exit code 1 if that is all of them.
    """
    return await read_one(run, {"customer": customer}, "customers", customer, field, purpose)


@command(
    app,
    "list",
    needs=Needs.KEY,
    example="kehu customer list --filter stage=finance --sort name --limit 20 --as li-wei",
    json_keys=LISTED,
    exits=(*SIGNED, Exit.PARTIAL),
)
async def list_customers(
    run: Run,
    filter_: Filters = None,
    filters: FiltersFile = None,
    sort: Sort = None,
    is_descending: Descending = False,
    after: After = None,
    limit: Limit = 50,
    field: Fields = None,
    region: Region = None,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """List the customers that you may see, page by page; the reading goes on the ledger.

    Filters and order are those of `kehu customer search`.
    """
    from cli.searching import Asked

    asked = Asked(None, filter_ or (), filters, sort, is_descending, after, region)
    return await _page(run, asked, list(field or FIELDS_DEFAULT), limit, purpose)


@command(
    app,
    "search",
    needs=Needs.KEY,
    example="kehu customer search 王 --filter organisation=东方 --filter status=valid --sort name --as li-wei",
    json_keys=LISTED,
    exits=(*SIGNED, Exit.PARTIAL),
)
async def search_customers(
    run: Run,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The beginning of a name, a number or an email.", show_default=False),
    ] = None,
    filter_: Filters = None,
    filters: FiltersFile = None,
    sort: Sort = None,
    is_descending: Descending = False,
    after: After = None,
    limit: Limit = 50,
    field: Fields = None,
    region: Region = None,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Find customers that you may see; all filters must fit. What you look for stays off the ledger, what came is on
    it.

    Texts are compared without regard to case and width, and ordered by code point, which for Chinese is neither
    pinyin nor strokes.
    """
    from cli.searching import Asked

    asked = Asked(text, filter_ or (), filters, sort, is_descending, after, region)
    return await _page(run, asked, list(field or FIELDS_DEFAULT), limit, purpose)


async def _page(run: Run, asked: Asked, fields: list[str], limit: int, purpose: str) -> Answer:
    from cli.searching import find_page

    async with run.client() as client:
        page = await find_page(client, ("customers", "name"), asked, fields, limit, purpose)
    return _listing(page.records, fields, page.next, page.committed)


def _listing(
    records: list[RecordShown], fields: list[str], following: int | str | None, committed: Committed
) -> Answer:
    from cli.shown import cell, record_json
    from cli.working import exit_of

    data = {
        "customers": [{"customer": record.record, **record_json(record)} for record in records],
        "next": following,
        "transaction": committed.transaction_id,
        "height": committed.height,
    }

    def show_all(screen: Screen) -> None:
        names = fields if fields != ["*"] else sorted({name for record in records for name in record.fields})
        screen.table(
            ("id", "status", *names),
            [
                (
                    record.record,
                    record.facts.get("status"),
                    *(cell(record.fields[n]) if n in record.fields else None for n in names),
                )
                for record in records
            ],
        )
        if following is not None:
            screen.line(f"More: --after {following}")

    return Answer(data, show_all, exit_of(records, "ok"))


@command(
    app,
    "history",
    needs=Needs.KEY,
    example="kehu customer history c-1f… --kind accesses --as shen-ji",
    json_keys=("customer", "kind", "allowed", "code", "rows", "next", "transaction", "height"),
    exits=SIGNED,
)
async def history(
    run: Run,
    customer: Customer,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="changes, accesses or answers.")] = "changes",
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this entry.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")] = 50,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show who changed or read which fields of a customer and when, or what carriers answered about the number."""
    committed = await look_back(run, customer, kind, after, limit, purpose)
    result = committed.result()
    data = {
        "customer": customer,
        **{key: result[key] for key in ("kind", "allowed", "code", "rows", "next")},
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: _show_history(screen, data), Exit.OK if result["allowed"] else Exit.REFUSED)


def _show_history(screen: Screen, data: dict[str, Any]) -> None:
    from cli.shown import show_refusal

    rows = data["rows"]
    if not data["allowed"]:
        show_refusal(screen, data["code"])
        return
    found = {key for row in rows for key, value in row.items() if value is not None} - {"transaction", "attestation"}
    columns = [*(key for key in _FIRST if key in found), *sorted(found - set(_FIRST))]
    titles = [key.removesuffix("_ms").replace("_", " ") for key in columns]
    screen.table(titles, [[shown_as(key, row.get(key)) for key in columns] for row in rows], title=data["kind"])
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")


_FIRST: Final = ("number", "time_ms", "by", "department")
"""The columns of a history that come first; the others follow by name."""


@command(
    app,
    "contact",
    needs=Needs.KEY,
    example="kehu customer contact c-1f… --purpose renewal --as li-wei",
    json_keys=("customer", "outcome", "code", "phone", "version", "was_checked", "transaction", "height"),
    exits=(*SIGNED, Exit.CARRIER, Exit.PARTIAL),
)
async def contact(run: Run, customer: Customer, purpose: Purpose = "contact") -> Answer:
    """Get a customer's number for contact, if it still belongs to the same subscriber.

    The carrier is asked again when its last answer is older than the policy allows. Request and outcome are on
    the ledger, also when the number is not released (exit code 1). Exit code 9 if it is, and your node's vault lacks
    it.
    """
    from cli.contacting import RELEASED, request_contact

    async with run.client() as client:
        asked = await request_contact(client, customer, purpose)
    data = {
        "customer": customer,
        "outcome": asked.outcome,
        "code": asked.code,
        "phone": asked.phone,
        "version": asked.version,
        "was_checked": asked.was_checked,
        "transaction": asked.committed.transaction_id,
        "height": asked.committed.height,
    }
    unreleased = Exit.PARTIAL if asked.outcome == RELEASED else Exit.REFUSED
    exit_ = unreleased if asked.phone is None else Exit.OK
    return Answer(data, lambda screen: _show_contact(screen, data), exit_)


def _show_contact(screen: Screen, data: dict[str, Any]) -> None:
    from cli.shown import show_refusal

    screen.facts(data.items())
    if data["outcome"] != "released":
        show_refusal(screen, data["code"])
    elif data["phone"] is None:
        screen.line("The number is released, and your node's vault lacks it: kehu vault status")


add_members(
    app, "projects", "customers", "participations", ("project", "role", "right", "weight", "stance", "status"),
    "CUSTOMER", "kehu customer projects c-1f… --as li-wei",
)  # fmt: skip
add_members(
    app, "demands", "customers", "demands", ("project", "state"), "CUSTOMER", "kehu customer demands c-1f… --as sun",
    is_versioned=False,
)  # fmt: skip
add_export(
    app,
    "customers",
    ("status",),
    ("name", "phone", "organisation", "department", "position", "email", "address", "note"),
    "kehu customer export 客户.csv --headers zh --bom --purpose report --as admin",
)
