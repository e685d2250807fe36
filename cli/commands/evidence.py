"""`kehu evidence`: departments whose nodes said two things where one was due, with the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import SIGNED
from cli.files import require_new_file
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("evidence", "See which departments' nodes equivocated, and take the proof to others.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="DEPARTMENT.HEIGHT.VIEW.KIND, as the list shows it.")]
_ROW_KEYS = ("name", "department", "kind", "epoch", "at_height", "view", "by", "height", "time_ms", "transaction")

EVIDENCE_UNKNOWN = define(
    "evidence.unknown", "the chain has no evidence of this name", "list what there is: `kehu evidence list`"
)


@command(
    app,
    "list",
    needs=Needs.KEY,
    example="kehu evidence list --as admin",
    json_keys=("evidence",),
    exits=SIGNED,
)
async def list_evidence(
    run: Run,
    department: Annotated[
        str | None, typer.Option("--department", metavar="ID", help="Only what is about this department.")
    ] = None,
) -> Answer:
    """List every proven equivocation: who, at which height and view, what kind, and whose node reported it."""
    async with run.client() as client:
        items = await client.pages("/v1/evidence")
    rows = [_row(item["id"], item["facts"]) for item in items]
    rows = [row for row in rows if department in (None, row["department"])]
    columns = ("name", "department", "kind", "at_height", "view", "by", "time_ms")

    def show(screen: Screen) -> None:
        screen.table(columns, [[row[column] for column in columns] for row in rows])

    return Answer({"evidence": rows}, show)


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu evidence show sales.17.0.commit --as admin",
    json_keys=(*_ROW_KEYS, "one", "other"),
    exits=SIGNED,
)
async def show_evidence(run: Run, name: Name) -> Answer:
    """Show one piece: both statements, from the state that a quorum of the departments certified."""
    row, evidence = await _fetch(run, name)
    data = {**_row(name, row), "one": evidence["one"], "other": evidence["other"]}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "export",
    needs=Needs.KEY,
    example="kehu evidence export sales.17.0.commit proof.evidence --as admin",
    json_keys=("file", "bytes", "name", "department"),
    exits=SIGNED,
)
async def export_evidence(
    run: Run, name: Name, file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")]
) -> Answer:
    """Write one piece to a file that anybody can check with the genesis alone: `kehu verify`."""
    from cli.commands.proof import write_new

    require_new_file(file)
    row, evidence = await _fetch(run, name)
    data = {"file": str(file), "bytes": write_new(file, evidence["file"]), "name": name}
    data["department"] = row["department"]
    return Answer(data, lambda screen: screen.facts(data.items()))


async def _fetch(run: Run, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of the chain, proven, and what its evidence says. Errors: evidence.*."""
    from cli.evidence import read_evidence

    async with run.client() as client:
        row, height = await client.state("evidence", name)
        if row is None:
            raise KehuError(EVIDENCE_UNKNOWN, evidence=name, height=height)
        await client.know(row["epoch"])
    return row, read_evidence(row["evidence"], client.known)


def _row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, **{key: row[key] for key in _ROW_KEYS[1:]}}
