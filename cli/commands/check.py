"""`kehu check`: is a stopped node's folder what it should be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import Needs, command
from cli.exits import Exit
from cli.output import Answer, Screen, progress
from cli.root import app
from cli.run import Run

if TYPE_CHECKING:
    from node.soundness.findings import CheckReport

KEYS = (
    "home", "department", "chain_id", "height", "sound", "complete", "meaning_checked", "counts", "findings", "missing",
)  # fmt: skip


@command(
    app,
    "check",
    needs=Needs.NOTHING,
    example="kehu check /var/lib/kehu",
    json_keys=KEYS,
    exits=(Exit.UNVERIFIED, Exit.MACHINE, Exit.PARTIAL, Exit.INTERRUPTED),
)
def check(
    run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The folder of a node that is stopped.")]
) -> Answer:
    """Check a stopped node's folder, without changing it: first that its bytes are intact, then that they mean what
    they should.

    Bytes: every file known, databases read with their checksums, the vote log's frames, configuration, genesis, keys.
    Meaning: the chain replayed from genesis and compared row by row, every sealed value opened and held against the
    chain and the department's entitlement, the vote log not behind the chain.

    Exit code 5 if something is damaged, 9 if it is sound and lacks something that the node will fetch.
    """
    from node.soundness.check import check_home

    with progress("check", None, is_wanted=not run.is_json) as advance:
        report = check_home(home, lambda _what, done, total: advance(done, total))
    return Answer(report.to_value(), lambda screen: _show(screen, report.to_value()), _exit_of(report))


def _exit_of(report: CheckReport) -> Exit:
    from node.soundness.findings import Weight

    if report.has(Weight.DAMAGE):
        return Exit.UNVERIFIED
    return Exit.PARTIAL if report.has(Weight.LACKING) else Exit.OK


def _show(screen: Screen, report: dict[str, Any]) -> None:
    screen.facts((key.replace("_", " "), report[key]) for key in ("home", "department", "chain_id", "height"))
    screen.facts(report["counts"].items())
    for finding in report["findings"]:
        screen.line(f"{finding['weight']}: {finding['what']}: {finding['code']}")
        screen.facts((("cause", finding["cause"]), *finding["details"].items(), ("cure", finding["cure"])))
    if report["missing"]["records"]:
        rows = [(row["table"], row["record"], row["values"]) for row in report["missing"]["records"]]
        screen.table(("table", "record", "values missing"), rows)
    if not report["sound"]:
        screen.line("The folder is damaged.")
    elif not report["meaning_checked"]:
        screen.line("The bytes are intact; there is no chain to check.")
    else:
        screen.line("Everything checks." if report["complete"] else "What is here checks; something is lacking.")
