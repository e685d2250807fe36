"""`kehu participation`: what part customers have in a project, and how they stand to it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_show
from cli.commands.work_options import Expect, Fields, Id, Participation, Project, Weight
from cli.exits import SIGNED, Exit
from cli.options import Customer, FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import WRITTEN, change, given_fields, new_id, write

app = group("participation", "Customers' parts in projects 项目决策: role, decision right, weight, stance.")

_TABLE = "participations"
_CHANGES = (*SIGNED, Exit.CONFLICT)
_RIGHTS = "decides, approves, advises, vetoes or uses."
_STANCES = "supports, neutral, opposes or unknown."
_ROLE = "A word, such as sponsor, buyer, user."


@command(
    app, "add", needs=Needs.KEY,
    example="kehu participation add p-3d… c-1f… --role sponsor --right decides --stance supports --as li-wei",
    json_keys=WRITTEN, exits=SIGNED,
)  # fmt: skip
async def add(
    run: Run,
    project: Project,
    customer: Customer,
    role: Annotated[str, typer.Option("--role", metavar="WORD", help=_ROLE)],
    right: Annotated[str, typer.Option("--right", metavar="RIGHT", help=_RIGHTS)],
    stance: Annotated[str, typer.Option("--stance", metavar="STANCE", help=_STANCES)] = "unknown",
    weight: Weight = None,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    record_id: Id = None,
) -> Answer:
    """Bring a customer of the project's organisation into the project. Field: note."""
    part = {"role": role, "right": right, "weight": weight, "stance": stance}
    args, given = {"project": project, "customer": customer, **part}, given_fields(fields, fields_file)
    return await write(run, "participations.register", _TABLE, record_id or new_id("t"), args, given)


@command(
    app, "update", needs=Needs.KEY, example="kehu participation update t-8e… --stance opposes --as li-wei",
    json_keys=WRITTEN, exits=_CHANGES,
)  # fmt: skip
async def update(
    run: Run,
    participation: Participation,
    role: Annotated[str | None, typer.Option("--role", metavar="WORD", help=_ROLE)] = None,
    right: Annotated[str | None, typer.Option("--right", metavar="RIGHT", help=_RIGHTS)] = None,
    stance: Annotated[str | None, typer.Option("--stance", metavar="STANCE", help=_STANCES)] = None,
    weight: Weight = None,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    expect: Expect = None,
) -> Answer:
    """Change a customer's part; what is not given stays, and how it was stays in the history."""
    part = {"role": role, "right": right, "weight": weight, "stance": stance}
    given = given_fields(fields, fields_file)
    return await change(run, "participations.update", _TABLE, participation, expect, given, part)


@command(
    app, "close", needs=Needs.KEY, example="kehu participation close t-8e… --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def close(run: Run, participation: Participation, expect: Expect = None) -> Answer:
    """Take a customer out of a project."""
    return await change(run, "participations.close", _TABLE, participation, expect)


_FACTS = ("project", "customer", "role", "right", "weight", "stance", "status")
add_show(app, _TABLE, "kehu participation show t-8e… --as li-wei", is_versioned=True)
add_list(app, _TABLE, _FACTS, ("*",), "kehu participation list --as li-wei")
add_members(app, "of", "projects", _TABLE, _FACTS, "PROJECT", "kehu participation of p-3d… --as li-wei")
