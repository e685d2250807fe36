"""`kehu people`: who takes part, and with which keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.calling import answered, call
from cli.command import Needs, command
from cli.commands.reading import add_search, read_one
from cli.commands.work_options import Expect
from cli.exits import SIGNED, Exit
from cli.options import PURPOSE_DEFAULT, FieldsFile, Person, Purpose, Region
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("people", "Enrol people, list them, change and revoke their keys.")

Fields = Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="name, phone, email.")]
Key = Annotated[str | None, typer.Option("--key", metavar="HEX", help="The public key.")]
Possession = Annotated[str | None, typer.Option("--possession", metavar="HEX", help="The new key's proof.")]
Request = Annotated[
    Path | None,
    typer.Option("--request", metavar="FILE", help="What `kehu key new --json` printed, in place of these."),
]

REQUEST_MALFORMED = define(
    "usage.enrolment",
    "an enrolment needs the department, the public key and the proof of possession",
    "give --request FILE with the output of `kehu key new --json`, or --department, --key and --possession",
)


def _read_request(file: Path | None, given: dict[str, str | None]) -> dict[str, Any]:
    """The options over what the file says; bytes decoded. Errors: usage.enrolment."""
    found: dict[str, Any] = {}
    if file is not None:
        try:
            found = dict(json.loads(file.read_text(encoding="utf-8-sig")))
        except (OSError, ValueError, TypeError) as error:
            raise KehuError(REQUEST_MALFORMED, file=str(file), problem=type(error).__name__) from None
    merged = {name: value if value is not None else found.get(name) for name, value in given.items()}
    for name, value in merged.items():
        if not isinstance(value, str):
            raise KehuError(REQUEST_MALFORMED, missing=name)
    if found.get("person", merged["person"]) != merged["person"]:
        raise KehuError(REQUEST_MALFORMED, problem="the request is for somebody else", person=merged["person"])
    try:
        return {**merged, "possession": bytes.fromhex(str(merged["possession"]))}
    except ValueError:
        raise KehuError(REQUEST_MALFORMED, malformed="possession") from None


@command(
    app,
    "enrol",
    needs=Needs.KEY,
    example="kehu people enrol li-wei --role operator --request li-wei.json name=李伟 --as admin",
    json_keys=("person", "department", "role", "key", "version", "transaction", "height"),
    exits=SIGNED,
)
async def enrol(
    run: Run,
    person: Person,
    fields: Fields = None,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="administrator, operator or auditor.")
    ] = "operator",
    department: Annotated[str | None, typer.Option("--department", metavar="DEPARTMENT", help="Whose person.")] = None,
    key: Key = None,
    possession: Possession = None,
    request: Request = None,
    fields_file: FieldsFile = None,
    region: Region = "CN",
) -> Answer:
    """Enrol somebody whose key was made with `kehu key new`. For administrators."""
    from chain.transaction import Call
    from cli.records import seal_fields

    texts = _texts(fields, fields_file, region)
    given = {"person": person, "department": department, "key": key, "possession": possession}
    args = _read_request(request, given)
    async with run.client() as client:
        digests, values = seal_fields(client.genesis.chain_id, "people", person, texts)
        committed = await client.execute([Call("people.enrol", {**args, "role": role, "fields": digests})], values)
    told = {"person": person, "department": args["department"], "role": role, "key": args["key"]}
    return answered(committed, {**told, "version": committed.result()["version"]})


def _texts(given: list[str] | None, file: Path | None, region: str | None) -> dict[str, str]:
    """The fields. A number gets the form by which it is found; an extension within the house stays as it is."""
    from cli.working import given_fields, require_texts
    from node.carrier.numbers import PHONE_REGION, parse_number

    texts = given_fields(given, file)
    require_texts("people", texts)
    try:
        return texts | ({"phone": parse_number(texts["phone"], region)} if "phone" in texts else {})
    except KehuError as error:
        if error.spec is PHONE_REGION:
            raise
        return texts


@command(
    app,
    "update",
    needs=Needs.KEY,
    example="kehu people update li-wei phone=13800138000 email= --as admin",
    json_keys=("person", "version", "transaction", "height"),
    exits=(*SIGNED, Exit.CONFLICT),
)
async def update(
    run: Run,
    person: Person,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    expect: Expect = None,
    region: Region = "CN",
) -> Answer:
    """Change somebody's name, phone or email. Customers' own data are their customer record's: `kehu customer update`.

    A conflict is exit code 3 and changes nothing.
    """
    from chain.transaction import Call
    from cli.records import seal_fields
    from cli.working import present, require_change

    texts = _texts(fields, fields_file, region)
    require_change(texts)
    async with run.client() as client:
        version = expect or (await present(client, "people", person))["version"]
        digests, values = seal_fields(client.genesis.chain_id, "people", person, texts)
        args = {"person": person, "version": version, "fields": digests}
        committed = await client.execute([Call("people.update", args)], values)
    data = {**committed.result(), "transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "list",
    needs=Needs.KEY,
    example="kehu people list --as admin",
    json_keys=("people",),
    exits=SIGNED,
)
async def list_people(run: Run) -> Answer:
    """List people by work id, department, role and status, as the node says them.

    The status is active, revoked, or ended: with the department, which was removed.
    """
    async with run.client() as client:
        items, former = await client.pages("/v1/people"), await client.former_departments()
    people = [{"person": item["id"], **item["facts"]} for item in items]
    for row in people:
        if row.get("status") == "active" and row.get("department") in former:
            row["status"] = "ended"
    columns = ("person", "department", "role", "status", "keys")

    def show(screen: Screen) -> None:
        screen.table(columns, [[", ".join(row[c]) if c == "keys" else row.get(c) for c in columns] for row in people])

    return Answer({"people": people}, show)


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu people show li-wei --as admin",
    json_keys=("person", "version", "facts", "fields", "transaction", "height"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def show(run: Run, person: Person, purpose: Purpose = PURPOSE_DEFAULT) -> Answer:
    """Read somebody's record; like every read it goes on the ledger."""
    return await read_one(run, {"person": person}, "people", person, None, purpose)


@command(
    app,
    "rotate-key",
    needs=Needs.KEY,
    example="kehu people rotate-key li-wei --as li-wei",
    json_keys=("person", "key", "revoked", "transaction", "height"),
    exits=SIGNED,
)
async def rotate_key(
    run: Run, person: Person, key: Key = None, possession: Possession = None, request: Request = None
) -> Answer:
    """Change somebody over to a new key; the old ones are revoked.

    Without a request it is the key made here by `kehu key new NAME --department D --next`, under the same passphrase:
    once the change is committed, its file takes the old one's place.
    """
    from chain.transaction import Call
    from cli.keychange import next_key, take_over

    change = None if (request or key) else next_key(run, person)
    if change is not None:
        args: dict[str, Any] = {"person": person, "key": change.key_hex, "possession": change.possession}
    else:
        args = _read_request(request, {"person": person, "key": key, "possession": possession})
    async with run.client() as client:
        committed = await client.execute([Call("people.rotate_key", args)])
    if change is not None:
        take_over(change)
    return answered(committed, {"person": person, "key": args["key"], "revoked": committed.result()["revoked"]})


@command(
    app,
    "revoke-key",
    needs=Needs.KEY,
    example="kehu people revoke-key 9c1f… --as admin",
    json_keys=("person", "key", "transaction", "height"),
    exits=SIGNED,
)
async def revoke_key(
    run: Run, key: Annotated[str, typer.Argument(metavar="KEY", help="The public key, hex.")]
) -> Answer:
    """End a key: your own, or as an administrator anybody's."""
    return await call(run, "people.revoke_key", {"key": key})


@command(
    app,
    "revoke",
    needs=Needs.KEY,
    example="kehu people revoke li-wei --as admin",
    json_keys=("person", "transaction", "height"),
    exits=SIGNED,
)
async def revoke(run: Run, person: Person) -> Answer:
    """End somebody's part in the network, with all keys. For administrators."""
    return await call(run, "people.revoke", {"person": person})


add_search(app, "people", "name", ("department", "role", "status"), ("name",), "kehu people search 李 --as admin")
