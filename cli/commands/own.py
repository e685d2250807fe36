"""`kehu own`: what customers see of themselves. Their key's name is the id of their record."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.command import Needs, command, group
from cli.exits import SIGNED, Exit
from cli.options import Purpose
from cli.output import Answer, Screen, time_text
from cli.run import Run

app = group("For customers: your own record, and who has read it.")


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu own show --as c-1f…",
    json_keys=("customer", "version", "facts", "fields", "transaction", "height"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def show(
    run: Run,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it (default: all).")
    ] = None,
    purpose: Purpose = "own",
) -> Answer:
    """Show what is recorded of you, as far as the administration has granted it; exit code 1 if nothing is."""
    from cli.records import read_record
    from cli.shown import exit_of_record, record_json, show_record

    customer = run.key_file.name
    async with run.client() as client:
        committed, record = await read_record(client, "customers", customer, list(field or ["*"]), purpose)
    data = {"customer": customer, **record_json(record), "transaction": committed.transaction_id}
    data["height"] = committed.height
    return Answer(data, lambda screen: show_record(screen, record), exit_of_record(record))


@command(
    app,
    "accesses",
    needs=Needs.KEY,
    example="kehu own accesses --as c-1f…",
    json_keys=("customer", "accesses", "next", "transaction", "height"),
    exits=SIGNED,
)
async def accesses(
    run: Run,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this entry.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")] = 50,
) -> Answer:
    """Show who has read your data: which department, when, for what purpose, and which fields they got."""
    from chain.transaction import Call

    customer = run.key_file.name
    args = {"table": "customers", "record": customer, "after": after, "limit": limit, "purpose": "own"}
    async with run.client() as client:
        committed = await client.execute([Call("access.history", {**args, "kind": "accesses"})])
    result = committed.result()
    data = {
        "customer": customer,
        "accesses": result["rows"],
        "next": result["next"],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: _show_accesses(screen, data), Exit.OK if result["allowed"] else Exit.REFUSED)


def _show_accesses(screen: Screen, data: dict[str, Any]) -> None:
    rows = [
        (
            time_text(row["time_ms"]),
            "yourself" if row["own"] else row["department"],
            row["action"],
            row["purpose"],
            ", ".join(row["allowed"]),
            ", ".join(row["refused"]),
        )
        for row in data["accesses"]
    ]
    screen.table(("when", "who", "what", "purpose", "fields read", "refused"), rows)
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")
