"""`kehu project map`: who at the client decides what, and who stands where with whom, at any height."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.commands.project import app
from cli.commands.work_options import Project
from cli.exits import SIGNED, Exit
from cli.options import PURPOSE_DEFAULT, Purpose
from cli.output import Answer, Screen
from cli.run import Run

_KEYS = (
    "project",
    "as_of",
    "stage",
    "fields",
    "organisation",
    "departments",
    "people",
    "relations",
    "compared_with",
    "changes",
    "code",
    "transactions",
    "height",
)


@command(
    app, "map", needs=Needs.KEY, example="kehu project map p-3d… --as-of 120 --compare 240 --as li-wei",
    json_keys=_KEYS, exits=(*SIGNED, Exit.PARTIAL),
)  # fmt: skip
async def show_map(
    run: Run,
    project: Project,
    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="HEIGHT", min=0, help="At this height (default: the last one).")
    ] = None,
    compare: Annotated[
        int | None, typer.Option("--compare", metavar="HEIGHT", min=0, help="And what differs at this other height.")
    ] = None,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show the client's org chart, who reports to and influences whom, and each person's part in the project.

    Structure, roles, rights, weights and stances are shown as they were at the height. A name or position that was
    changed since then is destroyed in every vault and shown as superseded. Every read goes on the ledger.
    """
    from cli.mapping import differences, map_json, read_map

    async with run.client() as client:
        height = as_of if as_of is not None else int((await client.status())["height"])
        found = await read_map(client, project, height, purpose)
        other = None if compare is None else await read_map(client, project, compare, purpose)
    maps = [found] if other is None else [found, other]
    changes = [] if other is None else differences(found, other)
    data = {**map_json(found), "compared_with": compare, "changes": changes}
    data |= {"code": found.code, "transactions": [id_ for one in maps for id_ in one.transactions]}
    data["height"] = max(one.height for one in maps)
    return Answer(data, lambda screen: _show(screen, found, compare, changes), _exit(maps))


def _exit(maps: list[Any]) -> Exit:
    if any(found.code != "ok" for found in maps):
        return Exit.REFUSED
    records = [record for found in maps for record in (*found.people.values(), *found.departments.values())]
    return Exit.PARTIAL if any(record.has_missing for record in records) else Exit.OK


def _show(screen: Screen, found: Any, compare: int | None, changes: list[dict[str, Any]]) -> None:
    from cli.mapping import chart_lines, name_of, relation_rows
    from cli.shown import show_refusal

    screen.line(f"{name_of(found.project)}, at {found.project.facts['stage']}, as of height {found.as_of}")
    for line in chart_lines(found):
        screen.line(line)
    rows = relation_rows(found)
    if rows:
        screen.table(("from", "relation", "to", "weight"), rows)
    if found.code != "ok":
        show_refusal(screen, found.code)
    if compare is not None:
        title = f"From height {found.as_of} to {compare}"
        cells = [(entry["what"], entry["record"], _text(entry["before"]), _text(entry["after"])) for entry in changes]
        screen.table(("what", "id", "before", "after"), cells, title=title)


def _text(facts: dict[str, Any] | None) -> str | None:
    if facts is None:
        return None
    return ", ".join(f"{name} {'—' if value is None else value}" for name, value in facts.items())
