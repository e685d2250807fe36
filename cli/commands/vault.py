"""`kehu vault status`: what the department's vault holds, what it lacks, and who could give it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("vault", "Look after the department's vault.")


@command(
    app,
    "status",
    needs=Needs.KEY,
    example="kehu vault status --as li-wei",
    json_keys=(
        "department",
        "height",
        "is_examined",
        "tables",
        "live_values",
        "staged_transactions",
        "staged_values",
        "erased_records",
        "missing",
        "next",
    ),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def show_status(
    run: Run,
    after: Annotated[
        str | None, typer.Option("--after", metavar="KEY", help="Go on after this missing value, as `next` names it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=200, help="How many at most.")] = 50,
) -> Answer:
    """Show what your department's vault holds, what it lacks though it may hold it, and which departments hold that.

    As the node says it. Exit code 9 while something is missing; the node fetches it by itself.
    """
    async with run.client() as client:
        data = await client.vault_status(after, limit)
    return Answer(data, lambda screen: _show(screen, data), Exit.PARTIAL if data["missing"] else Exit.OK)


def _show(screen: Screen, data: dict[str, Any]) -> None:
    counts = ("department", "height", "is_examined", "staged_values", "erased_records")
    screen.facts((name, data[name]) for name in counts)
    columns = ("live", "missing", "surplus")
    tables = [(table, *(count[name] for name in columns)) for table, count in data["tables"].items()]
    screen.table(("table", *columns), tables)
    if data["missing"]:
        names = ("table", "record", "field", "version", "entitled", "held_by", "silent")
        screen.table(names, [[row[name] for name in names] for row in data["missing"]])
