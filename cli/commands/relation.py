"""`kehu relation` and `kehu customer place`: who stands where with whom at the client."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.customer import app as customer
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_show
from cli.commands.work_options import Expect, Fields, Id, Relation, Weight
from cli.exits import SIGNED, Exit
from cli.options import Customer, FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import WRITTEN, change, given_fields, new_id, present, write, write_with

app = group(
    "relation", "Relations between customers 客户关系: who reports to, assists, influences, is at odds with whom."
)

_TABLE = "relations"
_CHANGES = (*SIGNED, Exit.CONFLICT)


@command(
    app, "add", needs=Needs.KEY, example="kehu relation add c-1f… reports_to c-9a… --weight 80 --as li-wei",
    json_keys=WRITTEN, exits=SIGNED,
)  # fmt: skip
async def add(
    run: Run,
    one: Annotated[str, typer.Argument(metavar="FROM", help="A customer's id.")],
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="reports_to, assists, influences, supports, at_odds_with.")
    ],
    other: Annotated[str, typer.Argument(metavar="TO", help="Another customer's id.")],
    fields: Fields = None,
    fields_file: FieldsFile = None,
    weight: Weight = None,
    record_id: Id = None,
) -> Answer:
    """Record a relation. A circle of superiors, or a reporting line out of it, is refused. Field: note."""
    args = {"from": one, "to": other, "kind": kind, "weight": weight}
    given = given_fields(fields, fields_file)
    return await write(run, "relations.register", _TABLE, record_id or new_id("l"), args, given)


@command(
    app, "update", needs=Needs.KEY, example="kehu relation update l-5b… --weight 60 --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def update(
    run: Run, relation: Relation, fields: Fields = None, fields_file: FieldsFile = None, weight: Weight = None,
    expect: Expect = None,
) -> Answer:  # fmt: skip
    """Change weight or note; what is not given stays."""
    given = given_fields(fields, fields_file)
    return await change(run, "relations.update", _TABLE, relation, expect, given, {"weight": weight})


@command(
    app, "close", needs=Needs.KEY, example="kehu relation close l-5b… --as li-wei", json_keys=WRITTEN, exits=_CHANGES
)
async def close(run: Run, relation: Relation, expect: Expect = None) -> Answer:
    """End a relation; earlier maps keep it."""
    return await change(run, "relations.close", _TABLE, relation, expect)


_FACTS = ("from", "kind", "to", "weight", "status")
add_show(app, _TABLE, "kehu relation show l-5b… --as li-wei", is_versioned=True)
add_list(app, _TABLE, _FACTS, ("*",), "kehu relation list --as li-wei")
add_members(app, "of", "customers", _TABLE, _FACTS, "CUSTOMER", "kehu relation of c-1f… --as li-wei")


@command(
    customer, "place", needs=Needs.KEY,
    example="kehu customer place c-1f… --organisation o-1f… --department d-2c… --as li-wei",
    json_keys=("table", "record", "version", "organisation", "client_department", "transaction", "height"),
    exits=_CHANGES,
)  # fmt: skip
async def place(
    run: Run,
    customer_id: Customer,
    organisation: Annotated[
        str | None,
        typer.Option(
            "--organisation", metavar="ID", help="Where the customer works (default: the department's, or nowhere)."
        ),
    ] = None,
    department: Annotated[
        str | None, typer.Option("--department", metavar="ID", help="The client department (default: none).")
    ] = None,
    expect: Expect = None,
) -> Answer:
    """Put a customer into an organisation and a department of it; earlier charts stay as they were."""
    async with run.client() as client:
        if organisation is None and department is not None:
            organisation = (await present(client, "client_departments", department))["organisation"]
        row = await present(client, "customers", customer_id)
        place = {"organisation": organisation, "client_department": department}
        args = {"version": expect or row["version"], **place}
        return await write_with(client, "customers.place", "customers", customer_id, args, extra=tuple(place))
