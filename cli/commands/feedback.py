"""`kehu feedback`: what customers sent in, and how the administration resolved it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_search, add_show
from cli.commands.taking import add_export
from cli.commands.work_options import Expect, Fields, Id, OfProject
from cli.exits import SIGNED, Exit
from cli.options import Customer, FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import given_fields, new_id, present, write, write_with

app = group("feedback", "Feedback of customers 客户反馈.")

_TABLE = "feedback"
_STATED = ("table", "record", "version", "state", "transaction", "height")


@command(
    app, "send", needs=Needs.KEY, example="kehu feedback send c-1f… text=电话有误 --correction --as admin",
    json_keys=_STATED, exits=SIGNED,
)  # fmt: skip
async def send(
    run: Run,
    customer: Customer,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    project: OfProject = None,
    is_correction: Annotated[bool, typer.Option("--correction", help="It asks for a correction of data.")] = False,
    record_id: Id = None,
) -> Answer:
    """Send feedback: the customer, or the administration on the customer's behalf. Field: text (needed)."""
    args = {"customer": customer, "project": project, "correction": is_correction}
    given = given_fields(fields, fields_file, "text")
    return await write(run, "feedback.send", _TABLE, record_id or new_id("f"), args, given, ("state",))


@command(
    app, "resolve", needs=Needs.KEY, example="kehu feedback resolve f-2b… resolved resolution=已更正 --as admin",
    json_keys=_STATED, exits=(*SIGNED, Exit.CONFLICT),
)  # fmt: skip
async def resolve(
    run: Run,
    feedback: Annotated[str, typer.Argument(metavar="FEEDBACK", help="The feedback's id.")],
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="resolved or rejected.")],
    fields: Fields = None,
    fields_file: FieldsFile = None,
    expect: Expect = None,
) -> Answer:
    """Say what was done about feedback, or why not. For the administration. Field: resolution (needed)."""
    given = given_fields(fields, fields_file, "resolution")
    async with run.client() as client:
        row = await present(client, _TABLE, feedback)
        args = {"version": expect or row["version"], "outcome": outcome}
        return await write_with(client, "feedback.resolve", _TABLE, feedback, args, given, ("state",))


_FACTS = ("customer", "project", "correction", "own", "state")
add_show(app, _TABLE, "kehu feedback show f-2b… --as admin")
add_list(app, _TABLE, _FACTS, ("*",), "kehu feedback list --filter state=open --as admin")
add_search(app, _TABLE, "text", _FACTS, ("*",), "kehu feedback search 电话 --as admin")
add_export(app, _TABLE, _FACTS, ("text", "resolution"), "kehu feedback export 反馈.csv --headers zh --as admin")
add_members(app, "of", "customers", _TABLE, _FACTS, "CUSTOMER", "kehu feedback of c-1f… --as admin", is_versioned=False)
