"""`kehu own`: what customers see of themselves. Their key's name is the id of their record."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.asking import read_stdin
from cli.calling import look_back
from cli.command import Needs, command
from cli.commands.reading import SHOWN, read_one
from cli.exits import SIGNED, Exit
from cli.layout import time_text
from cli.options import Purpose
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

if TYPE_CHECKING:
    from cli.own_projects import OwnProject

app = group("own", "For customers: your own record and projects, who has read your data, and feedback.")


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu own show --as c-1f…",
    json_keys=("customer", "version", "facts", "fields", "transaction", "height"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def show(
    run: Run,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it (default: all).")
    ] = None,
    purpose: Purpose = "own",
) -> Answer:
    """Show what is recorded of you, as far as the administration has granted it; exit code 1 if nothing is."""
    customer = run.key_file.name
    return await read_one(run, {"customer": customer}, "customers", customer, field, purpose)


@command(
    app,
    "accesses",
    needs=Needs.KEY,
    example="kehu own accesses --as c-1f…",
    json_keys=("customer", "accesses", "next", "transaction", "height"),
    exits=SIGNED,
)
async def accesses(
    run: Run,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this entry.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")] = 50,
) -> Answer:
    """Show who has read your data: which department, when, for what purpose, and which fields they got."""
    customer = run.key_file.name
    committed = await look_back(run, customer, "accesses", after, limit, "own")
    result = committed.result()
    data = {
        "customer": customer,
        "accesses": result["rows"],
        "next": result["next"],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: _show_accesses(screen, data), Exit.OK if result["allowed"] else Exit.REFUSED)


def _show_accesses(screen: Screen, data: dict[str, Any]) -> None:
    rows = [
        (
            time_text(row["time_ms"]),
            "yourself" if row["own"] else row["department"],
            row["action"],
            row["purpose"],
            ", ".join(row["allowed"]),
            ", ".join(row["refused"]),
        )
        for row in data["accesses"]
    ]
    screen.table(("when", "who", "what", "purpose", "fields read", "refused"), rows)
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")


@command(
    app,
    "projects",
    needs=Needs.KEY,
    example="kehu own projects --as c-1f…",
    json_keys=("customer", "projects", "transaction", "height"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def projects(run: Run, purpose: Purpose = "own") -> Answer:
    """Show the projects you take part in and their progress, as far as the administration has granted it."""
    from cli.own_projects import read_own_projects
    from cli.working import exit_of

    async with run.client() as client:
        committed, found = await read_own_projects(client, purpose)
    data = {
        "customer": run.key_file.name,
        "projects": [project.to_json() for project in found],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    records = [record for project in found for record in (project.record, *project.progress)]
    return Answer(data, lambda screen: _show_projects(screen, found), exit_of(records, "ok"))


def _show_projects(screen: Screen, found: Sequence[OwnProject]) -> None:
    from cli.shown import cell

    for project in found:
        name = project.record.fields.get("name")
        title = f"{project.record.record} {cell(name) if name else ''}: {project.record.facts.get('stage')}"
        rows = [
            (time_text(step.facts["registered"]["time_ms"]), step.facts["stage"], cell(step.fields["text"]))
            for step in project.progress
        ]
        screen.table(("when", "department", "progress"), rows, title=title)
    if not found:
        screen.line("No project of yours is open to you yet.")


@command(
    app,
    "feedback",
    needs=Needs.KEY,
    example="kehu own feedback - --correction --as c-1f…",
    json_keys=("customer", "feedback", "project", "state", "transaction", "height"),
    exits=SIGNED,
)
async def feedback(
    run: Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What you want to say; - reads it from stdin.")],
    project: Annotated[
        str | None, typer.Option("--project", metavar="PROJECT", help="Which project it is about.")
    ] = None,
    is_correction: Annotated[bool, typer.Option("--correction", help="Something recorded of you is wrong.")] = False,
) -> Answer:
    """Send feedback, or ask for a correction; the administration resolves it (`kehu own answer`). The text goes to no
    other department than those that may read feedback, and not on the chain."""
    from chain.transaction import Call
    from cli.records import seal_fields
    from cli.working import require_texts

    customer, id_ = run.key_file.name, f"f-{secrets.token_hex(8)}"
    said = {"text": read_stdin().strip() if text == "-" else text}
    require_texts("feedback", said)
    async with run.client() as client:
        digests, values = seal_fields(client.genesis.chain_id, "feedback", id_, said)
        about = {"feedback": id_, "customer": customer, "project": project, "correction": is_correction}
        committed = await client.execute([Call("feedback.send", {**about, "fields": digests})], values)
    data = {
        "customer": customer,
        "feedback": id_,
        "project": project,
        "state": committed.result()["state"],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }

    def show(screen: Screen) -> None:
        screen.facts(data.items())
        screen.line(f"What becomes of it: kehu own answer {id_} --as {customer}")

    return Answer(data, show)


@command(
    app,
    "answer",
    needs=Needs.KEY,
    example="kehu own answer f-2b… --as c-1f…",
    json_keys=SHOWN,
    exits=(*SIGNED, Exit.PARTIAL),
)
async def answer(
    run: Run,
    feedback_id: Annotated[str, typer.Argument(metavar="FEEDBACK", help="Its id, as `kehu own feedback` showed it.")],
    purpose: Purpose = "own",
) -> Answer:
    """Show what became of feedback of yours: its state, and what the administration answered, as far as it is
    granted."""
    named = {"table": "feedback", "record": feedback_id}
    return await read_one(run, named, "feedback", feedback_id, None, purpose)
