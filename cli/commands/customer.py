"""`kehu customer add|update`: what is written of customers; reading is in `customer_read`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.options import Customer, FieldsFile, Region
from cli.output import Answer
from cli.root import group
from cli.run import Run

app = group("customer", "Record, read, change and contact customers.")

Fields = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FIELD=VALUE", help="name, phone, organisation, department, position, email, address, note."
    ),
]
Temporary = Annotated[
    bool, typer.Option("--temporary", help="Record the number even if no carrier knows an identifier for it.")
]
AllowDuplicate = Annotated[
    bool, typer.Option("--allow-duplicate", help="Record it even if another customer that you may see has the number.")
]

NAME_AND_PHONE = define("usage.name_and_phone", "a customer needs a name and a phone", "add name=… and phone=…")
CUSTOMER_UNKNOWN = define(
    "record.absent", "the chain has no customer of this id; its absence is proven", "check the id: `kehu customer list`"
)


def new_customer_id() -> str:
    """A random id: ids stand on the chain, so they say nothing about the customer."""
    return f"c-{secrets.token_hex(8)}"


def _plain_fields(given: list[str] | None, file: Path | None, region: str | None) -> dict[str, str]:
    from cli.records import read_fields
    from cli.working import require_texts
    from node.carrier.numbers import parse_number

    fields = read_fields(given or [], file)
    require_texts("customers", fields)
    if "phone" in fields:
        fields["phone"] = parse_number(fields["phone"], region)
    return fields


@command(
    app,
    "add",
    needs=Needs.KEY,
    example="kehu customer add name=王芳 phone=13800138000 organisation=东方公司 --as li-wei",
    json_keys=("customer", "version", "status", "reason", "sequence", "outcome", "transaction", "height"),
    exits=(*SIGNED, Exit.CARRIER),
)
async def add(
    run: Run,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    customer_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The customer's id (default: a random one).")
    ] = None,
    is_temporary: Temporary = False,
    region: Region = "CN",
    allows_duplicate: AllowDuplicate = False,
) -> Answer:
    """Record a customer: the carrier is asked about the number, then the departments agree.

    If a customer that you may see has the number already, nothing is recorded unless you allow it.
    """
    from cli.phones import register_call, require_known_fields, require_new_number
    from cli.profile import require_name

    given = _plain_fields(fields, fields_file, region)
    if not (given.get("name", "").strip() and given.get("phone")):
        raise KehuError(NAME_AND_PHONE)
    customer = require_name(customer_id, "customer") if customer_id else new_customer_id()
    async with run.client() as client:
        if not allows_duplicate:
            await require_new_number(client, customer, given["phone"])
        await require_known_fields(client, given)
        call, values, outcome = await register_call(client, customer, given, is_temporary=is_temporary)
        committed = await client.execute([call], values)
    result = committed.result()
    data = {
        **{key: result[key] for key in ("customer", "version", "status", "reason", "sequence")},
        "outcome": outcome,
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "update",
    needs=Needs.KEY,
    example="kehu customer update c-1f… position=经理 --expect 3 --as li-wei",
    json_keys=("customer", "version", "status", "reason", "transaction", "height"),
    exits=(*SIGNED, Exit.CONFLICT, Exit.CARRIER),
)
async def update(
    run: Run,
    customer: Customer,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    expect: Annotated[
        int | None,
        typer.Option(
            "--expect",
            metavar="VERSION",
            min=1,
            help="The version your change is made from (default: the present one).",
        ),
    ] = None,
    is_temporary: Temporary = False,
    region: Region = "CN",
    allows_duplicate: AllowDuplicate = False,
) -> Answer:
    """Change fields of a customer, if nobody else has changed the record since the version you name.

    A new phone goes to the carrier first, unless another customer that you may see has it: then nothing is changed
    unless you allow it. A conflict is exit code 3 and changes nothing.
    """
    from cli.phones import require_known_fields, require_new_number, update_calls
    from cli.working import require_change

    given = _plain_fields(fields, fields_file, region)
    require_change(given)
    async with run.client() as client:
        version = expect if expect is not None else await _present_version(client, customer)
        if "phone" in given:
            if not allows_duplicate:
                await require_new_number(client, customer, given["phone"])
            await require_known_fields(client, given)
        calls, values = await update_calls(client, customer, version, given, is_temporary=is_temporary)
        committed = await client.execute(calls, values)
    result = committed.receipt.results[-1]
    data = {key: result[key] for key in ("customer", "version", "status", "reason")}
    data |= {"transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: screen.facts(data.items()))


async def _present_version(client: Any, customer: str) -> int:
    """Proven, not just said; the contract compares it once more."""
    record, height = await client.state("customers", customer)
    if record is None:
        raise KehuError(CUSTOMER_UNKNOWN, customer=customer, height=height)
    return int(record["version"])
