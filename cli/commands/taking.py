"""`export FILE.csv`, the same for every table: records taken away, which is an action of its own and on the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.files import require_new_file
from cli.options import Purpose
from cli.output import Answer, Screen, print_note, progress
from cli.run import Run

HEADERS_UNKNOWN = define("usage.headers", "column names are in en or zh", "write --headers zh for Chinese ones")

KEYS = ("file", "rows", "fields", "refused", "missing", "pages", "bytes", "is_resumed")
Field = Annotated[list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it.")]
File = Annotated[Path, typer.Argument(metavar="FILE.csv", help="A new file.")]
Headers = Annotated[str, typer.Option("--headers", metavar="LANGUAGE", help="en or zh.")]
Marked = Annotated[bool, typer.Option("--bom", help="With a byte order mark, which Excel needs.")]


def add_export(app: typer.Typer, table: str, facts: tuple[str, ...], fields: tuple[str, ...], example: str) -> None:
    """`export FILE.csv`: columns are the id, `facts`, and `fields` unless others are asked for."""

    async def export(
        run: Run,
        file: File,
        field: Field = None,
        purpose: Purpose = "export",
        headers: Headers = "en",
        is_marked: Marked = False,
    ) -> Answer:
        """Write the records that you may export to a CSV file, in the clear; the export goes on the ledger page by
        page.

        Fields that you may not export stay empty. Cells that a spreadsheet would run as formulas are marked as text.
        Run it again after an interruption: it goes on where it stopped. Exit code 1 if there was nothing for you, 9 if
        your node's vault lacks values.
        """
        from cli.taking_away import Layout

        if headers not in ("en", "zh"):
            raise KehuError(HEADERS_UNKNOWN)
        require_new_file(file)
        return await _take(run, file, Layout(table, facts, tuple(field or fields), purpose, headers == "zh", is_marked))

    command(app, "export", needs=Needs.KEY, example=example, json_keys=KEYS, exits=(*SIGNED, Exit.PARTIAL))(export)


async def _take(run: Run, file: Path, layout: Any) -> Answer:
    from cli.taking_away import Exporter

    async with run.client() as client:
        last = await _records(client, layout.table)
        with progress("export", last, is_wanted=not run.is_json) as advance:
            done = await _export(run, Exporter(client, file, layout, advance))
    data = {
        "file": str(file) if done.rows else None,
        "rows": done.rows,
        "fields": list(layout.fields),
        "refused": done.refused,
        "missing": done.missing,
        "pages": done.pages,
        "bytes": done.bytes if done.rows else 0,
        "is_resumed": done.is_resumed,
    }
    exit_ = Exit.REFUSED if not done.rows else Exit.PARTIAL if done.missing else Exit.OK
    return Answer(data, lambda screen: _show(screen, data), exit_)


def _show(screen: Screen, data: dict[str, Any]) -> None:
    screen.facts(data.items())
    if not data["rows"]:
        screen.line(
            "There is nothing here that you may export. Reading does not include it: ask for a grant of export."
        )


async def _export(run: Run, exporter: Any) -> Any:
    try:
        return await exporter.run()
    except KehuError:
        if not run.is_json:
            print_note(f"Stopped after {exporter.progress.rows} rows. Run the same command again to go on.")
        raise


async def _records(client: Any, table: str) -> int | None:
    """How many numbers there are to go through."""
    counter, _ = await client.state("counters", table)
    return None if counter is None else int(counter["value"])
