"""`kehu audit`: trust nobody, check everything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import Exit
from cli.layout import time_text
from cli.output import Answer, Screen, progress
from cli.root import app
from cli.run import Run

if TYPE_CHECKING:
    from cli.auditing import AuditReport

SOURCE_NEEDED = define("usage.audit_source", "an audit reads one file or one node", "give FILE, or --node URL")
JOBS_MAX = 1_024
"""More than any machine has cores for; all of them are started at once."""
KEYS = (
    "source", "network", "chain_id", "height", "block_id", "state_root", "time_ms", "resumed_from", "complete", "clean",
    "finding", "seconds", "jobs", "blocks", "batches", "transactions", "failed", "signatures", "by_department",
    "failed_by_code",
    "evidence",
)  # fmt: skip


@command(
    app,
    "audit",
    needs=Needs.NOTHING,
    example="kehu audit chain.kehu --genesis demo/genesis.json",
    json_keys=KEYS,
    exits=(Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.MACHINE, Exit.INTERRUPTED),
)
def audit(
    run: Run,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="An export.")] = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NODE", help="A node's API in place of a file: a department or a URL."),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            "--network", envvar="KEHU_NETWORK", metavar="DIR", help="Whose genesis it must be, and where nodes are."
        ),
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option("--genesis", metavar="FILE", help="A genesis file you trust; the chain must begin with it."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="FILE", help="Go on from this checkpoint, and write it when done."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            max=JOBS_MAX,
            help="Processes: one replays, the others check signatures (default: one per core).",
        ),
    ] = None,
) -> Answer:
    """Replay a chain from genesis and check every header, certificate, signature, receipt and root.

    It needs no key and no personal data. Without --genesis, --network or a department after --node compare the chain id
    that it shows with the departments' yourself: a forged chain with a genesis of its own is consistent too.

    Exit code 5 names the first thing that is wrong, or says that the export is a part and which heights it has; 130 if
    interrupted.
    """
    from cli.auditing import AuditProgress, run_audit

    run.network = network
    source = _source(run, file, node)
    with progress("audit", None, is_wanted=not run.is_json) as advance:
        seen = 0

        def on_progress(at: AuditProgress) -> None:
            nonlocal seen
            advance(at.height - seen, at.target_height)
            seen = at.height

        report = run_audit(
            source, genesis=_genesis(run, genesis, node), checkpoint=resume, jobs=jobs, on_progress=on_progress
        )
    return Answer(report.to_value(), lambda screen: _show(screen, report.to_value()), _exit_of(report))


def _exit_of(report: AuditReport) -> Exit:
    if report.finding is not None:
        return Exit.UNVERIFIED
    return Exit.OK if report.is_complete else Exit.INTERRUPTED


def _source(run: Run, file: Path | None, node: str | None) -> Any:
    from cli.audit_sources import FileSource, HttpSource

    if (file is None) == (node is None):
        raise KehuError(SOURCE_NEEDED)
    if file is not None:
        return FileSource(file)
    return HttpSource(str(node) if _is_url(node) else run.profile.node_url(str(node)))


def _is_url(node: str | None) -> bool:
    return node is not None and node.startswith(("http://", "https://"))


def _genesis(run: Run, given: Path | None, node: str | None) -> bytes | None:
    """Of the network folder too where it only said where the department's node is."""
    from node.folder.config import read_genesis

    if given is not None:
        return read_genesis(given).raw
    is_from_folder = run.network is not None or (node is not None and not _is_url(node))
    return run.profile.genesis.raw if is_from_folder else None


def _show(screen: Screen, report: dict[str, Any]) -> None:
    keys = ("source", "network", "chain_id", "height", "block_id", "state_root", "resumed_from")
    screen.facts((key.replace("_", " "), report[key]) for key in keys)
    counts = ("blocks", "batches", "transactions", "failed", "signatures")
    screen.facts((key, report[key]) for key in counts)
    screen.facts((("newest block", time_text(report["time_ms"])), ("seconds", report["seconds"])))
    finding = report["finding"]
    if finding is None:
        screen.line("Everything checks." if report["complete"] else "Interrupted; what was read so far checks.")
        return
    screen.line(_headline(finding))
    screen.facts(
        (key.replace("_", " "), value) for key, value in finding.items() if value is not None and key != "height"
    )


def _headline(finding: dict[str, Any]) -> str:
    """What is wrong, or that the export is a part: not all of the chain, which need not be damage."""
    heights = "heights {first} to {last}".format(**finding["details"]) if "last" in finding["details"] else None
    if finding["code"] == "audit.part":
        there = heights or "no heights"
        return f"A PART: the export has {there}; the audit would go on from {finding['height']}. Nothing was checked."
    if finding["code"] == "audit.behind":
        end, checkpoint = finding["actual"], finding["expected"]
        return f"A PART: the export ends at {end}, and the checkpoint is of {checkpoint}. Nothing was checked."
    if heights is not None:
        return f"A PART: the export has {heights} and not its end. What it has checks."
    return f"WRONG at height {finding['height']}: {finding['code']}"
