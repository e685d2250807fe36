"""`kehu project`: projects and how they travel from department to department. The map is in `project_map`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_search, add_show
from cli.commands.taking import add_export
from cli.commands.work_options import Expect, Fields, Id, Organisation, Project
from cli.exits import SIGNED, Exit
from cli.options import FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import WRITTEN, change, given_fields, new_id, present, write, write_with

app = group("project", "Projects 项目: begin them, hand them on, see who decides what at the client.")

_TABLE = "projects"
_CHANGES = (*SIGNED, Exit.CONFLICT)
_MOVED = ("project", "project_version", "stage", "kind")
To = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="The department that gets it.")]


@command(
    app, "add", needs=Needs.KEY, example="kehu project add o-1f… name=智慧工厂 goal=年底上线 --as li-wei",
    json_keys=("table", "record", "version", "stage", "transaction", "height"), exits=SIGNED,
)  # fmt: skip
async def add(
    run: Run, organisation: Organisation, fields: Fields = None, fields_file: FieldsFile = None, record_id: Id = None
) -> Answer:
    """Begin a project for an organisation, at the first department of the order. Fields: name (needed), goal, note."""
    args, given = {"organisation": organisation}, given_fields(fields, fields_file, "name")
    return await write(run, "projects.register", _TABLE, record_id or new_id("p"), args, given, ("stage",))


@command(
    app, "update", needs=Needs.KEY, example="kehu project update p-3d… goal=明年上线 --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def update(
    run: Run, project: Project, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """Change a project's texts."""
    return await change(run, "projects.update", _TABLE, project, expect, given_fields(fields, fields_file))


@command(app, "close", needs=Needs.KEY, example="kehu project close p-3d… --as wu", json_keys=WRITTEN, exits=_CHANGES)
async def close(run: Run, project: Project, expect: Expect = None) -> Answer:
    """Close a project that is in your hands, once no demand and no payment is open."""
    return await change(run, "projects.close", _TABLE, project, expect)


@command(
    app, "hand-over", needs=Needs.KEY, example="kehu project hand-over p-3d… finance note=合同已签 --as li-wei",
    json_keys=("table", "record", "version", *_MOVED, "transaction", "height"), exits=_CHANGES,
)  # fmt: skip
async def hand_over(
    run: Run, project: Project, to: To, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """Hand a project of your department to a neighbour in the order, forward or back. Field: note (needed)."""
    return await _move(run, "handovers.make", project, to, given_fields(fields, fields_file, "note"), expect)


@command(
    app, "correct", needs=Needs.KEY, example="kehu project correct p-3d… sales note=误交 --as admin",
    json_keys=("table", "record", "version", *_MOVED, "transaction", "height"), exits=_CHANGES,
)  # fmt: skip
async def correct(
    run: Run, project: Project, to: To, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """Set a project's stage right; it is on the record as a correction. For administrators. Field: note (needed)."""
    return await _move(run, "handovers.correct", project, to, given_fields(fields, fields_file, "note"), expect)


async def _move(run: Run, call: str, project: str, to: str, fields: dict[str, str], expect: int | None) -> Answer:
    async with run.client() as client:
        row = await present(client, _TABLE, project)
        args = {"project": project, "version": expect or row["version"], "to": to}
        return await write_with(client, call, "handovers", new_id("h"), args, fields, _MOVED)


_FACTS = ("organisation", "stage", "status")
add_show(app, _TABLE, "kehu project show p-3d… --as li-wei", is_versioned=True)
add_list(app, _TABLE, _FACTS, ("name",), "kehu project list --filter stage=finance --sort name --as qian")
add_search(app, _TABLE, "name", _FACTS, ("name",), "kehu project search 智慧 --filter organisation=o-1f… --as li-wei")
add_export(app, _TABLE, _FACTS, ("name", "goal", "note"), "kehu project export 项目.csv --headers zh --as admin")
add_members(
    app, "feedback", _TABLE, "feedback", ("customer", "correction", "own", "state"), "PROJECT",
    "kehu project feedback p-3d… --as admin", is_versioned=False,
)  # fmt: skip
add_members(
    app, "history", _TABLE, "handovers", ("from", "to", "kind"), "PROJECT", "kehu project history p-3d… --as li-wei",
    is_versioned=False,
)  # fmt: skip
