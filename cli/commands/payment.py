"""`kehu payment`: what is due when, and whether it is paid. For finance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_show
from cli.commands.taking import add_export
from cli.commands.work_options import Expect, Fields, Id, Project
from cli.exits import SIGNED, Exit
from cli.options import FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.times import read_expiry, read_moment
from cli.working import given_fields, new_id, present, require_change, require_texts, write, write_with

PAID_LATER = define(
    "usage.paid_later",
    "money that has come did not come in the future",
    "give the day or the time at which it came, or leave --paid out for now; is this machine's clock right?",
)

app = group("payment", "Payments 付费情况: due, paid, overdue.")

_TABLE = "payments"
_STATED = ("table", "record", "version", "state", "transaction", "height")
_CHANGES = (*SIGNED, Exit.CONFLICT)
Payment = Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id.")]
_DATE = "A date (its end), a time, or 7d, 12h from now."


@command(
    app, "add", needs=Needs.KEY,
    example="kehu payment add p-3d… --amount 12500.00 --currency CNY --due 2026-12-31 --as qian",
    json_keys=_STATED, exits=SIGNED,
)  # fmt: skip
async def add(
    run: Run,
    project: Project,
    amount: Annotated[str, typer.Option("--amount", metavar="AMOUNT", help="With a point before the minor units.")],
    due: Annotated[str, typer.Option("--due", metavar="WHEN", help=_DATE)],
    currency: Annotated[str, typer.Option("--currency", metavar="CODE", help="ISO 4217.")] = "CNY",
    fields: Fields = None,
    fields_file: FieldsFile = None,
    record_id: Id = None,
) -> Answer:
    """Record what is to be paid, and when. The amount is confidential and kept in vaults. Field: note."""
    from cli.amounts import in_minor_units

    given = in_minor_units({**given_fields(fields, fields_file), "amount": amount}, currency)
    args = {"project": project, "currency": currency, "due_ms": read_expiry(due)}
    return await write(run, "payments.register", _TABLE, record_id or new_id("y"), args, given, ("state",))


@command(
    app, "update", needs=Needs.KEY, example="kehu payment update y-7c… --due 2027-01-31 note=客户请求延期 --as qian",
    json_keys=_STATED, exits=_CHANGES,
)  # fmt: skip
async def update(
    run: Run,
    payment: Payment,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    due: Annotated[str | None, typer.Option("--due", metavar="WHEN", help=_DATE)] = None,
    expect: Expect = None,
) -> Answer:
    """Change due date, amount or note of an open payment; what is not given stays. Fields: amount, note."""
    due_ms = None if due is None else read_expiry(due)
    given = given_fields(fields, fields_file)
    require_change(given, due_ms)

    def facts(row: dict[str, Any]) -> dict[str, Any]:
        return {"due_ms": row["due_ms"] if due_ms is None else due_ms}

    return await _change(run, "payments.update", payment, expect, given, facts)


@command(
    app, "settle", needs=Needs.KEY, example="kehu payment settle y-7c… --amount 12500.00 --as qian", json_keys=_STATED,
    exits=_CHANGES,
)  # fmt: skip
async def settle(
    run: Run,
    payment: Payment,
    amount: Annotated[
        str | None, typer.Option("--amount", metavar="AMOUNT", help="What came, in the payment's currency.")
    ] = None,
    paid: Annotated[
        str | None, typer.Option("--paid", metavar="WHEN", help="A date, a time, or 7d, 12h ago (default: now).")
    ] = None,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    expect: Expect = None,
) -> Answer:
    """Record that the money has come. Field: note."""
    import time

    given = given_fields(fields, fields_file) | ({} if amount is None else {"paid": amount})
    paid_ms = read_paid(paid, time.time_ns() // 1_000_000)
    return await _change(run, "payments.settle", payment, expect, given, lambda _: {"paid_ms": paid_ms})


async def _change(
    run: Run,
    call: str,
    payment: str,
    expect: int | None,
    given: dict[str, str],
    facts: Callable[[dict[str, Any]], dict[str, Any]],
) -> Answer:
    """One call that changes a payment. `given`: its fields, amounts as people write them in the payment's currency;
    `facts`: what the call sets, from the payment as it is."""
    from cli.amounts import in_minor_units

    require_texts(_TABLE, given)
    async with run.client() as client:
        row = await present(client, _TABLE, payment)
        args = {"version": expect or row["version"], **facts(row)}
        kept = in_minor_units(given, row["currency"])
        return await write_with(client, call, _TABLE, payment, args, kept, ("state",))


def read_paid(text: str | None, now_ms: int) -> int:
    """Unix milliseconds; of a date its end, but of today now. Errors: usage.time, usage.paid_later."""
    begin_ms = read_moment(text, now_ms=now_ms) or now_ms
    if begin_ms > now_ms:
        raise KehuError(PAID_LATER, paid_ms=begin_ms, now_ms=now_ms)
    return min(read_moment(text, is_end=True, now_ms=now_ms) or now_ms, now_ms)


@command(
    app, "cancel", needs=Needs.KEY, example="kehu payment cancel y-7c… note=重复登记 --as qian", json_keys=_STATED,
    exits=_CHANGES,
)  # fmt: skip
async def cancel(
    run: Run, payment: Payment, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """End a payment that is not awaited any more. Field: note."""
    return await _change(run, "payments.cancel", payment, expect, given_fields(fields, fields_file), lambda _: {})


_FACTS = ("project", "currency", "due_ms", "paid_ms", "state", "overdue")
add_show(app, _TABLE, "kehu payment show y-7c… --as qian")
add_list(app, _TABLE, _FACTS, ("*",), "kehu payment list --filter overdue=true --sort due --as qian")
add_export(app, _TABLE, _FACTS, ("amount", "paid", "note"), "kehu payment export 付款.csv --headers zh --as admin")
add_members(app, "of", "projects", _TABLE, _FACTS, "PROJECT", "kehu payment of p-3d… --as qian", is_versioned=False)
