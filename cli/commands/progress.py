"""`kehu progress` and `kehu demand`: how a project gets on, and what customers asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_search, add_show
from cli.commands.taking import add_export
from cli.commands.work_options import Expect, Fields, Id, OfProject, Project
from cli.exits import SIGNED, Exit
from cli.options import Customer, FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import change, given_fields, new_id, write

app = group("progress", "Progress of projects 项目进程: recorded, confirmed and answered.")
demand = group("demand", "Demands of customers 客户需求.")

_STATED = ("table", "record", "version", "state", "transaction", "height")


@command(
    app, "add", needs=Needs.KEY, example="kehu progress add p-3d… text=设备已到现场 --as zhao",
    json_keys=("table", "record", "version", "project", "stage", "transaction", "height"), exits=SIGNED,
)  # fmt: skip
async def add(
    run: Run, project: Project, fields: Fields = None, fields_file: FieldsFile = None, record_id: Id = None
) -> Answer:
    """Record a project's progress; by default for finance and process. Field: text (needed)."""
    args, given = {"project": project}, given_fields(fields, fields_file, "text")
    return await write(run, "progress.record", "progress", record_id or new_id("r"), args, given, ("project", "stage"))


@command(
    app, "answer", needs=Needs.KEY, example="kehu progress answer r-4a… confirmed --as sun",
    json_keys=("table", "record", "version", "progress", "project", "verdict", "transaction", "height"), exits=SIGNED,
)  # fmt: skip
async def answer(
    run: Run,
    progress: Annotated[str, typer.Argument(metavar="PROGRESS", help="The id of what is answered.")],
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="confirmed, answered or disputed.")],
    fields: Fields = None,
    fields_file: FieldsFile = None,
    record_id: Id = None,
) -> Answer:
    """Confirm, answer or dispute another department's progress; service results come this way. Field: text."""
    args, given = {"progress": progress, "verdict": verdict}, given_fields(fields, fields_file)
    extra = ("progress", "project", "verdict")
    return await write(run, "progress_answers.give", "progress_answers", record_id or new_id("a"), args, given, extra)


_PROGRESS = ("stage",)
_ANSWERS = ("progress", "verdict")
add_show(app, "progress", "kehu progress show r-4a… --as zhao")
add_list(app, "progress", ("project", *_PROGRESS), ("*",), "kehu progress list --as zhao")
add_search(app, "progress", "text", ("project", *_PROGRESS), ("*",), "kehu progress search 设备 --as zhao")
add_export(app, "progress", ("project", *_PROGRESS), ("text",), "kehu progress export 进程.csv --as admin")
add_members(
    app, "of", "projects", "progress", _PROGRESS, "PROJECT", "kehu progress of p-3d… --as zhao", is_versioned=False
)
add_members(
    app, "answers", "projects", "progress_answers", _ANSWERS, "PROJECT", "kehu progress answers p-3d… --as zhao",
    is_versioned=False,
)  # fmt: skip


@command(
    demand, "add", needs=Needs.KEY, example="kehu demand add c-1f… text=需要培训 --project p-3d… --as sun",
    json_keys=_STATED, exits=SIGNED,
)  # fmt: skip
async def add_demand(
    run: Run,
    customer: Customer,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    project: OfProject = None,
    record_id: Id = None,
) -> Answer:
    """Register what a customer asked for. Fields: text (needed), answer."""
    args, given = {"customer": customer, "project": project}, given_fields(fields, fields_file, "text")
    return await write(run, "demands.register", "demands", record_id or new_id("n"), args, given, ("state",))


@command(
    demand, "update", needs=Needs.KEY, example="kehu demand update n-6f… --state accepted answer=下周上门 --as sun",
    json_keys=_STATED, exits=(*SIGNED, Exit.CONFLICT),
)  # fmt: skip
async def update_demand(
    run: Run,
    demand_id: Annotated[str, typer.Argument(metavar="DEMAND", help="The demand's id.")],
    fields: Fields = None,
    fields_file: FieldsFile = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="accepted, rejected, done, or open again.")
    ] = None,
    expect: Expect = None,
) -> Answer:
    """Take a demand on, answer or finish it; what is not given stays."""
    given = given_fields(fields, fields_file)
    return await change(run, "demands.update", "demands", demand_id, expect, given, {"state": state}, ("state",))


_DEMANDS = ("customer", "project", "state")
add_show(demand, "demands", "kehu demand show n-6f… --as sun")
add_list(demand, "demands", _DEMANDS, ("*",), "kehu demand list --filter state=open --as sun")
add_search(demand, "demands", "text", _DEMANDS, ("*",), "kehu demand search 需要 --filter state=open --as sun")
add_export(demand, "demands", _DEMANDS, ("text", "answer"), "kehu demand export 需求.csv --headers zh --as admin")
add_members(
    demand, "of", "projects", "demands", _DEMANDS, "PROJECT", "kehu demand of p-3d… --as sun", is_versioned=False
)
