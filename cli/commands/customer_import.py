"""`kehu customer import`: a CSV file, as people have it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.commands.customer import AllowDuplicate, Temporary, app, new_customer_id
from cli.exits import SIGNED, Exit
from cli.options import Region
from cli.output import Answer, Screen, print_error, print_note, progress
from cli.run import Run

if TYPE_CHECKING:
    from cli.intake.importer import Result

KEYS = (
    "file", "encoding", "columns", "ignored_columns", "rows", "imported", "already", "planned", "left_out", "unknown",
    "not_reached", "faults", "customers", "journal",
)  # fmt: skip
INTERRUPTED = define(
    "import.interrupted",
    "the import was interrupted; what was recorded by then stays",
    "run the same command again: it goes on where it stopped, and records nobody twice",
)


@command(
    app,
    "import",
    needs=Needs.KEY,
    example="kehu customer import 客户.csv --as li-wei --report report.json",
    json_keys=KEYS,
    exits=(*SIGNED, Exit.PARTIAL),
)
async def import_customers(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="UTF-8, GB18030, or UTF-16 with a mark.")],
    region: Region = "CN",
    is_temporary: Temporary = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Each row's outcome; .csv, or else the --json object."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="What is in already (default: FILE.csv.journal).")
    ] = None,
    given_map: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Which column it is; repeat it.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", metavar="FILE", help="The same as a JSON object {field: column}.")
    ] = None,
    allows_duplicate: AllowDuplicate = False,
    is_check: Annotated[bool, typer.Option("--check", help="Read and check the file only; send nothing.")] = False,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of each row; record nothing.")
    ] = False,
) -> Answer:
    """Record the customers of a CSV file; faulty rows are reported by number and code, and the rest goes in.

    Run it again to go on after an interruption, or after correcting rows: nobody is recorded twice. A dry run asks the
    node for duplicates, and not the carrier. Exit code 9 if rows were left out, 4 if somebody still has to say what
    became of some, 130 if interrupted: what was done by then is shown.
    """
    from cli.files import require_place
    from cli.intake.columns import read_mapping
    from cli.intake.importer import Result
    from cli.intake.report import require_apart, write_report
    from cli.intake.rows import read_sheet

    journal_path = journal or file.with_name(file.name + ".journal")
    if report is not None:
        require_place(report)
        require_apart(report, file, journal_path, mapping)
    sheet = read_sheet(file, region, read_mapping(given_map or [], mapping))
    options = _Options(is_temporary, allows_duplicate, is_dry_run)
    result = Result() if is_check else await _bring(run, sheet, journal_path, options)
    faults = sorted([*sheet.faults, *result.faults], key=lambda fault: fault.row)
    data: dict[str, Any] = {
        "file": str(file),
        "encoding": sheet.encoding,
        "columns": sheet.columns,
        "ignored_columns": sheet.ignored,
        "rows": sheet.total,
        "imported": len(result.taken),
        "already": len(result.already),
        "planned": result.planned,
        "left_out": len(faults),
        "unknown": result.unknown,
        "not_reached": result.not_reached,
        "faults": [fault.to_json() for fault in faults],
        "customers": [taken.to_json() for taken in sorted([*result.taken, *result.already], key=lambda item: item.row)],
        "journal": None if is_check or is_dry_run else str(journal_path),
    }
    if report is not None:
        write_report(report, data)
    return Answer(data, lambda screen: _show(screen, data), _exit_of(result, has_faults=bool(faults)))


def _exit_of(result: Result, *, has_faults: bool) -> Exit:
    if result.is_interrupted:
        return Exit.INTERRUPTED
    if result.unknown:
        return Exit.UNKNOWN
    return Exit.PARTIAL if has_faults else Exit.OK


@dataclass(frozen=True, slots=True)
class _Options:
    is_temporary: bool
    allows_duplicates: bool
    is_dry_run: bool


async def _bring(run: Run, sheet: Any, journal_path: Path, options: _Options) -> Any:
    from cli.intake.importer import Importer
    from cli.intake.journal import Journal, ensure_secret

    secret = ensure_secret(run.profile.folder / "secrets" / "import.key")
    async with run.client() as client:
        with (
            _journal(Journal, journal_path, client.genesis.chain_id, options) as journal,
            progress("import", len(sheet.rows), is_wanted=not run.is_json) as advance,
        ):
            importer = Importer(
                client,
                journal,
                secret,
                new_customer_id,
                is_temporary=options.is_temporary,
                allows_duplicates=options.allows_duplicates,
                advance=advance,
            )
            try:
                return await (importer.rehearse if options.is_dry_run else importer.run)(sheet.rows)
            except asyncio.CancelledError:  # Ctrl-C: what is known by now is the answer
                _go_on()
                print_error(KehuError(INTERRUPTED, journal=str(journal_path)), is_json=run.is_json)
                return importer.interrupted(sheet.rows)
            except KehuError:
                done = len(importer.result.taken) + len(importer.result.already)
                if not run.is_json and not options.is_dry_run:  # the problem stands alone on stderr there
                    print_note(f"Stopped after {done} of {len(sheet.rows)} rows. Run the same command again to go on.")
                raise


def _go_on() -> None:
    """The interruption is dealt with: nothing that is awaited from here on is to end by it."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


@contextmanager
def _journal(kind: Any, path: Path, chain_id: bytes, options: _Options) -> Iterator[Any]:
    """The journal; for a dry run that has none yet, one that is gone afterwards."""
    is_passing = options.is_dry_run and not path.exists()
    try:
        with kind(path, chain_id) as journal:
            yield journal
    finally:
        if is_passing:
            path.unlink(missing_ok=True)


def _show(screen: Screen, data: dict[str, Any]) -> None:
    from cli.verify import known_error

    screen.facts((key, data[key]) for key in ("file", "encoding", "rows", "imported", "already", "left_out"))
    if data["not_reached"]:
        screen.line(f"Interrupted: {data['not_reached']} rows were not reached.")
    if data["planned"]:
        screen.line(f"{len(data['planned'])} rows would be imported, if the carrier knows their numbers.")
    if data["faults"]:
        rows = [(fault["row"], fault["column"], fault["code"], _details(fault["details"])) for fault in data["faults"]]
        screen.table(("row", "column", "code", "details"), rows, title="Rows left out")
        for code in dict.fromkeys(fault["code"] for fault in data["faults"]):
            spec = known_error(code)
            screen.line(f"{code}: {spec.cause}. Cure: {spec.cure}")
    if data["unknown"]:
        lost = [(item["row"], item["customer"], item["transaction"]) for item in data["unknown"]]
        screen.table(("row", "customer", "transaction"), lost, title="Outcome unknown; run the command again")


def _details(details: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in details.items())
