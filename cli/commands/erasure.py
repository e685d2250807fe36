"""`kehu customer erase`, `kehu erasure …`: ending a record for good, and watching every department do it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chain.errors import KehuError
from cli.calling import answered
from cli.command import Needs, command
from cli.commands import customer as customers
from cli.exits import SIGNED
from cli.layout import time_text
from cli.options import Customer
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("erasure", "Erase records for good, keep them from being erased, and see who has confirmed.")

Record = Annotated[str, typer.Argument(metavar="RECORD", help="The record's id.")]
Table = Annotated[str, typer.Option("--table", metavar="TABLE", help="The record's table.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WORD", help="Why, as one word; it stays on the chain.")]
Confirm = Annotated[
    str | None, typer.Option("--confirm", metavar="CODE", help="The code that the first step named: now do it.")
]
_ORDER_KEYS = (
    "table",
    "record",
    "version",
    "fields",
    "held",
    "together",
    "confirm",
    "reason",
    "is_ordered",
    "number",
    "due_ms",
    "waiting",
    "records",
    "transaction",
    "height",
)
_ROW_KEYS = ("number", "reason", "cause", "by", "ordered_ms", "due_ms", "waiting", "overdue", "confirmed")


@command(
    customers.app,
    "erase",
    needs=Needs.KEY,
    example="kehu customer erase c-1f… --reason withdrawn --as admin",
    json_keys=_ORDER_KEYS,
    exits=SIGNED,
)
async def erase_customer(run: Run, customer: Customer, reason: Reason, confirm: Confirm = None) -> Answer:
    """Erase a customer: values, salts and keys in every department's vault. Nothing brings them back.

    The first run lists what would go, all records that go with the customer, their fields, whose vaults may hold them
    and what is held, and names a code; the same command, for the same reason, with --confirm CODE does it.
    """
    return await _order(run, "customers", customer, reason, confirm)


@command(
    app,
    "order",
    needs=Needs.KEY,
    example="kehu erasure order li-wei --table people --reason left --as admin",
    json_keys=_ORDER_KEYS,
    exits=SIGNED,
)
async def order_erasure(run: Run, record: Record, table: Table, reason: Reason, confirm: Confirm = None) -> Answer:
    """Erase a record of any table, in two steps as `kehu customer erase`. People are revoked first."""
    return await _order(run, table, record, reason, confirm)


async def _order(run: Run, table: str, record: str, reason: str, confirm: str | None) -> Answer:
    from cli.erasing import order

    async with run.client() as client:
        data = await order(client, table, record, reason, confirm)

    def show(screen: Screen) -> None:
        facts = ((name, value) for name, value in data.items() if value is not None and name != "together")
        screen.facts((name, _named_or_nobody(value)) for name, value in facts)
        rows = [_together_row(one) for one in data["together"]]
        screen.table(("table", "record", "fields", "vaults of", "held"), rows, title=f"{len(rows)} records go together")
        if data["is_ordered"]:
            return
        if any(one["held"] is not None for one in data["together"]):
            screen.line("A legal hold keeps it from being erased, until kehu erasure release.")
        else:
            screen.line(
                f"Nothing is erased yet. To erase it for good: the same command with --confirm {data['confirm']}"
            )

    return Answer(data, show)


def _together_row(one: dict[str, Any]) -> tuple[object, ...]:
    vaults = sorted({department for departments in one["fields"].values() for department in departments})
    return one["table"], one["record"], ", ".join(one["fields"]), ", ".join(vaults), one["held"]


@command(
    customers.app,
    "erasures",
    needs=Needs.KEY,
    example="kehu customer erasures --open --as admin",
    json_keys=("erasures",),
    exits=SIGNED,
)
async def list_erasures(
    run: Run,
    is_open: Annotated[bool, typer.Option("--open", help="Only those that somebody has not confirmed.")] = False,
    is_overdue: Annotated[bool, typer.Option("--overdue", help="Only those that somebody is late with.")] = False,
) -> Answer:
    """List what was erased, when and why, and which departments have not confirmed, as the node says it."""
    from cli.erasing import standing_of

    async with run.client() as client:
        items = await client.pages("/v1/erasures")
    rows = [{**_named(item["id"]), **standing_of(item["facts"])} for item in items]
    wanted = ("waiting", "overdue") if is_open else ("overdue",) if is_overdue else ("complete", "waiting", "overdue")
    rows = sorted((row for row in rows if row["state"] in wanted), key=lambda row: row["number"])
    columns = ("number", "table", "record", "state", "reason", "ordered_ms", "due_ms", "waiting")

    def show(screen: Screen) -> None:
        screen.table(columns, [[_named_or_nobody(row[column]) for column in columns] for row in rows])

    return Answer({"erasures": rows}, show)


def _named(key: str) -> dict[str, str]:
    table, _, record = key.partition(".")
    return {"table": table, "record": record}


@command(
    app,
    "status",
    needs=Needs.KEY,
    example="kehu erasure status c-1f… --as admin",
    json_keys=("table", "record", "state", *_ROW_KEYS, "held", "held_on", "height"),
    exits=SIGNED,
)
async def show_erasure(run: Run, record: Record, table: Table = "customers") -> Answer:
    """Show a record's erasure and each department's receipt, proven; or the hold that keeps it from being erased."""
    from cli.erasing import hold_on, standing_of
    from contracts.errors import ERASURE_UNKNOWN

    async with run.client() as client:
        row, height = await client.state("erasures", f"{table}.{record}")
        held, place = await hold_on(client, table, record) or (None, None)
    if row is None and held is None:
        raise KehuError(ERASURE_UNKNOWN, table=table, record=record, height=height)
    standing: dict[str, Any] = {"state": "held", **dict.fromkeys(_ROW_KEYS)} if row is None else standing_of(row)
    data = {"table": table, "record": record, **standing, "held": held, "held_on": place, "height": height}
    return Answer(data, lambda screen: _show_status(screen, data))


def _show_status(screen: Screen, data: dict[str, Any]) -> None:
    screen.facts((name, _named_or_nobody(value)) for name, value in data.items() if name != "confirmed")
    if data["confirmed"]:
        rows = [
            (department, receipt["values"], time_text(receipt["time_ms"]), receipt["late"], receipt["transaction"])
            for department, receipt in data["confirmed"].items()
        ]
        screen.table(("department", "values destroyed", "confirmed", "late", "transaction"), rows)


@command(
    app,
    "hold",
    needs=Needs.KEY,
    example="kehu erasure hold c-1f… --reason lawsuit --as admin",
    json_keys=("table", "record", "reason", "held", "transaction", "height"),
    exits=SIGNED,
)
async def hold_record(run: Run, record: Record, reason: Reason, table: Table = "customers") -> Answer:
    """Put a legal hold on a record: neither an order nor a retention period erases it.

    From protocol 4 on one on a customer is on the customer's demands, feedback and participations too.
    """
    return await _call(run, "erasure.hold", table, record, reason)


@command(
    app,
    "release",
    needs=Needs.KEY,
    example="kehu erasure release c-1f… --reason settled --as admin",
    json_keys=("table", "record", "reason", "held", "transaction", "height"),
    exits=SIGNED,
)
async def release_record(run: Run, record: Record, reason: Reason, table: Table = "customers") -> Answer:
    """Lift a legal hold."""
    return await _call(run, "erasure.release", table, record, reason)


async def _call(run: Run, name: str, table: str, record: str, reason: str) -> Answer:
    from chain.transaction import Call

    args = {"table": table, "record": record, "reason": reason}
    async with run.client() as client:
        committed = await client.execute([Call(name, args)])
    return answered(committed, {**args, "held": committed.result()["held"]})


def _named_or_nobody(value: object) -> object:
    return "nobody" if value == [] else value
