"""Commands that list what belongs to a record, the same for all tables; a group adds its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.commands.reading import AsOf, Field, list_json, show_rows
from cli.exits import SIGNED, Exit
from cli.options import PURPOSE_DEFAULT, Purpose
from cli.output import Answer, Screen
from cli.run import Run

MEMBERS = ("of", "record", "table", "as_of", "code", "records", "transactions", "height")


def add_members(
    app: typer.Typer, name: str, of: str, table: str, facts: tuple[str, ...], owner_name: str, example: str,
    *, is_versioned: bool = True, fields: tuple[str, ...] = ("*",),
) -> None:  # fmt: skip
    """`NAME OWNER`: the members of one record of table `of`; where versions are kept, with --as-of. `fields`: those
    that are read unless others are asked for."""
    owner_argument = Annotated[str, typer.Argument(metavar=owner_name, help="To which they belong.")]

    async def then(
        run: Run, owner: str, field: Field = None, as_of: AsOf = None, purpose: Purpose = PURPOSE_DEFAULT
    ) -> Answer:
        """List what belongs to a record, all of it, now or as of a height; the reading goes on the ledger."""
        return await list_members(run, (of, owner, table), facts, field or fields, purpose, as_of)

    async def now(run: Run, owner: str, field: Field = None, purpose: Purpose = PURPOSE_DEFAULT) -> Answer:
        """List what belongs to a record, all of it; the reading goes on the ledger."""
        return await list_members(run, (of, owner, table), facts, field or fields, purpose, None)

    body = then if is_versioned else now
    body.__annotations__["owner"] = owner_argument
    exits = (*SIGNED, Exit.PARTIAL)
    command(app, name, needs=Needs.KEY, example=example, json_keys=MEMBERS, exits=exits)(body)


async def list_members(
    run: Run,
    whose: tuple[str, str, str],
    facts: tuple[str, ...],
    fields: Sequence[str],
    purpose: str,
    as_of: int | None,
) -> Answer:
    """`whose`: (table of the owner, owner, table of the members)."""
    from cli.working import Question, exit_of, read_members

    async with run.client() as client:
        found = await read_members(client, Question(*whose, tuple(fields), as_of), purpose)
    data: dict[str, Any] = {"of": whose[0], "record": whose[1], "table": whose[2], "as_of": as_of, "code": found.code}
    data |= {"records": [list_json(record) for record in found.records], "transactions": found.transactions}
    data["height"] = found.height

    def show(screen: Screen) -> None:
        from cli.shown import show_refusal

        if found.records or found.code == "ok":
            show_rows(screen, found.records, facts, has_origin=as_of is None)
        if found.code != "ok":
            show_refusal(screen, found.code)

    return Answer(data, show, exit_of(found.records, found.code))
