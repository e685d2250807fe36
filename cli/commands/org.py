"""`kehu org` and `kehu dept`: client organisations and the tree of their departments."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.command import Needs, command
from cli.commands.members import add_members
from cli.commands.reading import add_list, add_search, add_show
from cli.commands.taking import add_export
from cli.commands.work_options import Department, Expect, Fields, Id, Organisation
from cli.exits import SIGNED, Exit
from cli.options import FieldsFile
from cli.output import Answer
from cli.root import group
from cli.run import Run
from cli.working import WRITTEN, change, given_fields, new_id, present, write, write_with

app = group("org", "Client organisations 客户机构.")
dept = group("dept", "Departments of a client organisation 客户部门: a tree.")

Parent = Annotated[
    str | None, typer.Option("--parent", metavar="DEPARTMENT", help="The department above (default: none, the top).")
]
_CHANGES = (*SIGNED, Exit.CONFLICT)


@command(app, "add", needs=Needs.KEY, example="kehu org add name=东方公司 --as li-wei", json_keys=WRITTEN, exits=SIGNED)
async def add(run: Run, fields: Fields = None, fields_file: FieldsFile = None, record_id: Id = None) -> Answer:
    """Register a client organisation. Fields: name (needed), address, note."""
    record = record_id or new_id("o")
    given = given_fields(fields, fields_file, "name")
    return await write(run, "organisations.register", "organisations", record, {}, given)


@command(
    app, "update", needs=Needs.KEY, example="kehu org update o-1f… address=上海 --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def update(
    run: Run, organisation: Organisation, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """Change an organisation's texts."""
    given = given_fields(fields, fields_file)
    return await change(run, "organisations.update", "organisations", organisation, expect, given)


@command(app, "close", needs=Needs.KEY, example="kehu org close o-1f… --as li-wei", json_keys=WRITTEN, exits=_CHANGES)
async def close(run: Run, organisation: Organisation, expect: Expect = None) -> Answer:
    """Close an organisation in which nothing is open any more."""
    return await change(run, "organisations.close", "organisations", organisation, expect)


add_show(app, "organisations", "kehu org show o-1f… --as li-wei", is_versioned=True)
add_list(app, "organisations", ("status",), ("name",), "kehu org list --as li-wei")
add_search(app, "organisations", "name", ("status",), ("name",), "kehu org search 东方 --as li-wei")
add_members(
    app, "people", "organisations", "customers", ("client_department", "status"), "ORGANISATION",
    "kehu org people o-1f… --as li-wei", fields=("name", "phone", "position"),
)  # fmt: skip
add_members(
    app, "projects", "organisations", "projects", ("stage", "status"), "ORGANISATION",
    "kehu org projects o-1f… --as li-wei", fields=("name",),
)  # fmt: skip
add_export(app, "organisations", ("status",), ("name", "address", "note"), "kehu org export 机构.csv --as admin")


@command(
    dept, "add", needs=Needs.KEY, example="kehu dept add o-1f… name=采购部 --parent d-07… --as li-wei",
    json_keys=WRITTEN, exits=SIGNED,
)  # fmt: skip
async def add_department(
    run: Run,
    organisation: Organisation,
    fields: Fields = None,
    fields_file: FieldsFile = None,
    parent: Parent = None,
    record_id: Id = None,
) -> Answer:
    """Register a department of an organisation, at the top or below another. Fields: name (needed), note."""
    args = {"organisation": organisation, "parent": parent}
    given = given_fields(fields, fields_file, "name")
    return await write(run, "client_departments.register", "client_departments", record_id or new_id("d"), args, given)


@command(
    dept, "update", needs=Needs.KEY, example="kehu dept update d-2c… name=采购中心 --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def update_department(
    run: Run, department: Department, fields: Fields = None, fields_file: FieldsFile = None, expect: Expect = None
) -> Answer:
    """Change a department's texts."""
    given = given_fields(fields, fields_file)
    return await change(run, "client_departments.update", "client_departments", department, expect, given)


@command(
    dept, "move", needs=Needs.KEY, example="kehu dept move d-2c… --parent d-07… --as li-wei", json_keys=WRITTEN,
    exits=_CHANGES,
)  # fmt: skip
async def move(run: Run, department: Department, parent: Parent = None, expect: Expect = None) -> Answer:
    """Hang a department, with all below it, under another one. Earlier charts stay as they were."""
    async with run.client() as client:
        row = await present(client, "client_departments", department)
        args = {"version": expect or row["version"], "parent": parent}
        return await write_with(client, "client_departments.move", "client_departments", department, args)


@command(dept, "close", needs=Needs.KEY, example="kehu dept close d-2c… --as li-wei", json_keys=WRITTEN, exits=_CHANGES)
async def close_department(run: Run, department: Department, expect: Expect = None) -> Answer:
    """Close a department in which nobody is any more."""
    return await change(run, "client_departments.close", "client_departments", department, expect)


add_show(dept, "client_departments", "kehu dept show d-2c… --as li-wei", is_versioned=True)
add_members(
    dept, "list", "organisations", "client_departments", ("parent", "status"), "ORGANISATION",
    "kehu dept list o-1f… --as li-wei",
)  # fmt: skip
