"""`kehu customer`: record, read, change and contact customers. Every read is a transaction of its own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command, group
from cli.exits import Exit
from cli.options import PURPOSE_DEFAULT, Customer, Purpose, Region
from cli.output import Answer, Screen, time_text
from cli.run import Run

app = group("Record, read, change and contact customers.")

SIGNED_EXITS = (Exit.REFUSED, Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.KEY, Exit.MACHINE)
Fields = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FIELD=VALUE", help="name, phone, organisation, department, position, email, address, note."
    ),
]
FieldsFile = Annotated[
    Path | None,
    typer.Option(
        "--fields", metavar="FILE", help="The fields as a JSON object, - for stdin: keeps values off the command line."
    ),
]
Temporary = Annotated[
    bool, typer.Option("--temporary", help="Record the number even if no carrier knows an identifier for it.")
]

NAME_AND_PHONE = define("usage.name_and_phone", "a customer needs a name and a phone", "add name=… and phone=…")
NOTHING_TO_CHANGE = define("usage.nothing_to_change", "no field was given", "write FIELD=VALUE, or --fields FILE")
CUSTOMER_UNKNOWN = define(
    "record.absent", "the chain has no customer of this id; its absence is proven", "check the id: `kehu customer list`"
)


def new_customer_id() -> str:
    """A random id: ids stand on the chain, so they say nothing about the customer."""
    return f"c-{secrets.token_hex(8)}"


def _plain_fields(given: list[str] | None, file: Path | None, region: str | None) -> dict[str, str]:
    from cli.records import read_fields
    from node.carrier.numbers import parse_number

    fields = read_fields(given or [], file)
    if "phone" in fields:
        fields["phone"] = parse_number(fields["phone"], region)
    return fields


@command(
    app,
    "add",
    needs=Needs.KEY,
    example="kehu customer add name=王芳 phone=13800138000 organisation=东方公司 --as li-wei",
    json_keys=("customer", "version", "status", "reason", "sequence", "outcome", "transaction", "height"),
    exits=(*SIGNED_EXITS, Exit.CARRIER),
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
) -> Answer:
    """Record a customer: the carrier is asked about the number, then the departments agree."""
    from cli.phones import register_call
    from cli.profile import require_name

    given = _plain_fields(fields, fields_file, region)
    if not {"name", "phone"} <= set(given):
        raise KehuError(NAME_AND_PHONE)
    customer = require_name(customer_id, "customer") if customer_id else new_customer_id()
    async with run.client() as client:
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
    "show",
    needs=Needs.KEY,
    example="kehu customer show c-1f… --as li-wei --purpose follow-up",
    json_keys=("customer", "version", "facts", "fields", "transaction", "height"),
    exits=(*SIGNED_EXITS, Exit.PARTIAL),
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
    from cli.records import read_record

    async with run.client() as client:
        committed, record = await read_record(client, "customers", customer, list(field or ["*"]), purpose)
    data = {"customer": customer, **record_json(record), "transaction": committed.transaction_id}
    data["height"] = committed.height
    return Answer(data, lambda screen: show_record(screen, record), exit_of_record(record))


def record_json(record: Any) -> dict[str, Any]:
    return {"version": record.version, "facts": record.facts, "fields": record.fields_json()}


def exit_of_record(record: Any) -> Exit:
    if record.is_refused:
        return Exit.REFUSED
    return Exit.PARTIAL if record.has_missing else Exit.OK


def show_record(screen: Screen, record: Any) -> None:
    screen.facts((("id", record.record), ("version", record.version), *_facts(record.facts)))
    screen.table(
        ("field", "value", "version"), [(name, cell(item), item.version) for name, item in record.fields.items()]
    )


def _facts(facts: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        (name, time_text(value) if name.endswith("_ms") else value)
        for name, value in facts.items()
        if not isinstance(value, (dict, list)) and value not in ("", None)
    ]


def cell(item: Any) -> str:
    """A field as a table shows it."""
    if item.state == "shown":
        return str(item.value)
    return f"refused ({item.code})" if item.state == "refused" else "not held by this node"


@command(
    app,
    "list",
    needs=Needs.KEY,
    example="kehu customer list --as li-wei --limit 20 --field name --field phone",
    json_keys=("customers", "next", "transaction", "height"),
    exits=SIGNED_EXITS,
)
async def list_customers(
    run: Run,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this sequence number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")] = 50,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Fields to read; repeat it.")
    ] = None,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """List the customers that you may see, one page at a time; the reading goes on the ledger."""
    from chain.transaction import Call
    from cli.records import disclose

    fields = list(field or ["name", "phone", "organisation", "position"])
    args = {"table": "customers", "after": after, "limit": limit, "fields": fields, "purpose": purpose}
    async with run.client() as client:
        committed = await client.execute([Call("access.list", args)])
        result = committed.result()
        records = await disclose(client, committed, result["records"])
    data = {
        "customers": [{"customer": record.record, **record_json(record)} for record in records],
        "next": result["next"],
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
        if result["next"] is not None:
            screen.line(f"More: --after {result['next']}")

    return Answer(data, show_all)


@command(
    app,
    "update",
    needs=Needs.KEY,
    example="kehu customer update c-1f… position=经理 --expect 3 --as li-wei",
    json_keys=("customer", "version", "status", "reason", "transaction", "height"),
    exits=(*SIGNED_EXITS, Exit.CONFLICT, Exit.CARRIER),
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
) -> Answer:
    """Change fields of a customer, if nobody else has changed the record since the version you name.

    A new phone goes to the carrier first. A conflict is exit code 3 and changes nothing.
    """
    from cli.phones import update_calls

    given = _plain_fields(fields, fields_file, region)
    if not given:
        raise KehuError(NOTHING_TO_CHANGE)
    async with run.client() as client:
        version = expect if expect is not None else await _present_version(client, customer)
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


@command(
    app,
    "history",
    needs=Needs.KEY,
    example="kehu customer history c-1f… --kind accesses --as shen-ji",
    json_keys=("customer", "kind", "allowed", "code", "rows", "next", "transaction", "height"),
    exits=SIGNED_EXITS,
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
    from chain.transaction import Call

    args = {"table": "customers", "record": customer, "after": after, "limit": limit, "purpose": purpose, "kind": kind}
    async with run.client() as client:
        committed = await client.execute([Call("access.history", args)])
    result = committed.result()
    data = {
        "customer": customer,
        **{key: result[key] for key in ("kind", "allowed", "code", "rows", "next")},
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: _show_history(screen, data), Exit.OK if result["allowed"] else Exit.REFUSED)


def _show_history(screen: Screen, data: dict[str, Any]) -> None:
    rows = data["rows"]
    columns = ["number", *sorted({key for row in rows for key in row} - {"number", "transaction", "attestation"})]
    screen.table(columns, [[_history_cell(key, row.get(key)) for key in columns] for row in rows], title=data["kind"])
    if not data["allowed"]:
        screen.line(f"Refused: {data['code']}")
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")


def _history_cell(key: str, value: Any) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return time_text(value) if key.endswith("_ms") and value else value


@command(
    app,
    "contact",
    needs=Needs.KEY,
    example="kehu customer contact c-1f… --purpose renewal --as li-wei",
    json_keys=("customer", "outcome", "code", "phone", "version", "was_checked", "transaction", "height"),
    exits=(*SIGNED_EXITS, Exit.CARRIER),
)
async def contact(run: Run, customer: Customer, purpose: Purpose = "contact") -> Answer:
    """Get a customer's number for contact, if it still belongs to the same subscriber.

    The carrier is asked again when its last answer is older than the policy allows. Request and outcome are on
    the ledger, also when the number is not released (exit code 1).
    """
    from cli.contacting import request_contact

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
    return Answer(data, lambda screen: screen.facts(data.items()), Exit.OK if asked.phone is not None else Exit.REFUSED)
