"""`kehu grant|revoke|grants|assign|unassign|assignments`: what the administration allows beyond the policy."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.calling import call
from cli.command import Needs, command
from cli.exits import SIGNED
from cli.layout import time_text
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run
from cli.times import EXPIRY_MALFORMED, read_expiry, read_span

if TYPE_CHECKING:
    from cli.client import NodeClient

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="person:ID or department:ID.")]
Record = Annotated[str, typer.Argument(metavar="RECORD", help="The record's id.")]
Table = Annotated[str, typer.Option("--table", metavar="TABLE", help="The record's table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change for whom.")]
_TERMS = ("department", "by", "height", "time_ms")
_DIFFERENCE = ("person", "department", "table", "action", "field", "gained", "lost")

SUBJECT_MALFORMED = define(
    "usage.subject", "a subject is a person or a department, and says which", "write person:li-wei or department:sales"
)

SCOPE_TWICE = define(
    "usage.scope", "a grant has one scope", "give one of --record, --project and --assigned, or none for all records"
)


@command(
    app,
    "grant",
    needs=Needs.KEY,
    example="kehu grant department:technical --action read --project p-7a… --table '*' --expires 30d --as admin",
    json_keys=(
        "grant",
        "subject",
        "actions",
        "table",
        "scope",
        "fields",
        "purpose",
        "expires_ms",
        "differences",
        "left_out",
        "transaction",
        "height",
    ),
    exits=SIGNED,
)
async def grant(
    run: Run,
    subject: Subject,
    action: Annotated[
        list[str], typer.Option("--action", metavar="ACTION", help="read, change, contact or export; repeat it.")
    ],
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="Only this field; repeat it (default: all).")
    ] = None,
    record: Annotated[str | None, typer.Option("--record", metavar="RECORD", help="Only this record.")] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="PROJECT", help="Only what belongs to this project.")
    ] = None,
    is_assigned: Annotated[
        bool, typer.Option("--assigned", help="Only what is assigned to SUBJECT, now or later.")
    ] = False,
    table: Annotated[
        str, typer.Option("--table", metavar="TABLE", help="Records of this table, or * for all.")
    ] = "customers",
    purpose: Annotated[str, typer.Option("--purpose", metavar="WORD", help="One purpose, or * for any.")] = "*",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="A date, a time, or 7d, 12h, 30m from now.")
    ] = None,
    grant_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The grant's id (default: random).")
    ] = None,
    is_dry_run: DryRun = False,
) -> Answer:
    """Allow a person or a department what the policy does not: for all records of a table, or those of one scope.

    With --dry-run nothing is granted: the node says who would gain what, in how many records.
    """
    args: dict[str, Any] = {
        "grant": grant_id or f"g-{secrets.token_hex(6)}",
        "subject": subject,
        "actions": action,
        "table": table,
        "scope": _scope(record, project, is_assigned),
        "fields": list(field or ["*"]),
        "purpose": purpose,
        "expires_ms": None if expires is None else read_expiry(expires),
    }
    return await (try_out if is_dry_run else change)(run, "permissions.grant", args)


def _scope(record: str | None, project: str | None, is_assigned: bool) -> str:
    """A grant's scope. Errors: usage.scope."""
    scopes = [f"{kind}:{id_}" for kind, id_ in (("record", record), ("project", project)) if id_ is not None]
    scopes += ["assigned"] * is_assigned
    if len(scopes) > 1:
        raise KehuError(SCOPE_TWICE)
    return scopes[0] if scopes else "all"


async def change(run: Run, name: str, args: dict[str, Any]) -> Answer:
    """Makes the call that `try_out` tries, with the same keys."""
    answer = await call(run, name, args, args)
    return replace(answer, data={**answer.data, "differences": None, "left_out": None})


async def try_out(run: Run, name: str, args: dict[str, Any]) -> Answer:
    """What the node says that the call would change; `height` is the state it looked at."""
    from chain.transaction import Call
    from contracts.registry import require_arguments

    require_arguments(Call(name, args))
    async with run.client() as client:
        said = await client.post("/v1/permissions/preview", {"calls": [{"name": name, "args": args}]})
    rows = said["differences"]
    data = {**args, "differences": rows, "left_out": said["left_out"], "transaction": None, "height": said["height"]}

    def show(screen: Screen) -> None:
        screen.table(_DIFFERENCE, [[row[column] for column in _DIFFERENCE] for row in rows], title="Would change")
        screen.line(f"People looked at: {said['people']}, left out: {said['left_out']}. Nothing was changed.")

    return Answer(data, show)


@command(
    app,
    "revoke",
    needs=Needs.KEY,
    example="kehu revoke g-7 --as admin",
    json_keys=("grant", "differences", "left_out", "transaction", "height"),
    exits=SIGNED,
)
async def revoke(
    run: Run,
    grant_id: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")],
    is_dry_run: DryRun = False,
) -> Answer:
    """End a grant.

    With --dry-run nothing is ended: the node says who would lose what, in how many records.
    """
    return await (try_out if is_dry_run else change)(run, "permissions.revoke", {"grant": grant_id})


@command(
    app,
    "limit-grants",
    needs=Needs.KEY,
    example="kehu limit-grants 90d --as admin",
    json_keys=("duration_ms_max", "transaction", "height"),
    exits=SIGNED,
)
async def limit_grants(
    run: Run,
    duration: Annotated[
        str, typer.Argument(metavar="DURATION", help="The longest that a grant may last: 90d, 12h, 30m; or none.")
    ],
) -> Answer:
    """Limit for how long a grant may be given. Grants that are there keep their terms. Needs protocol 2 or later.

    From then on a grant without an expiry, or with a later one, is refused; `none` takes the limit away again.
    """
    limit = None if duration == "none" else read_span(duration)
    if limit is None and duration != "none":
        raise KehuError(EXPIRY_MALFORMED)
    args = {"duration_ms_max": limit}
    return await call(run, "permissions.limit_grants", args, args)


@command(
    app,
    "assign",
    needs=Needs.KEY,
    example="kehu assign c-1f… person:li-wei --as admin",
    json_keys=("table", "record", "subject", "transaction", "height"),
    exits=SIGNED,
)
async def assign(run: Run, record: Record, subject: Subject, table: Table = "customers") -> Answer:
    """Tie a record to a person or a department; the policy says what follows from it."""
    args = {"table": table, "record": record, "subject": subject}
    return await call(run, "permissions.assign", args, args)


@command(
    app,
    "unassign",
    needs=Needs.KEY,
    example="kehu unassign c-1f… person:li-wei --as admin",
    json_keys=("table", "record", "subject", "transaction", "height"),
    exits=SIGNED,
)
async def unassign(run: Run, record: Record, subject: Subject, table: Table = "customers") -> Answer:
    """Undo an assignment."""
    args = {"table": table, "record": record, "subject": subject}
    return await call(run, "permissions.unassign", args, args)


@command(
    app,
    "assignments",
    needs=Needs.KEY,
    example="kehu assignments c-1f… --as admin",
    json_keys=("assignments",),
    exits=SIGNED,
)
async def assignments(
    run: Run,
    record: Annotated[
        str | None, typer.Argument(metavar="RECORD", help="Only this record's, proven (default: all).")
    ] = None,
    table: Table = "customers",
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="Only this one's: person:ID or department:ID.")
    ] = None,
) -> Answer:
    """List to whom records of a table are assigned, since when and by whom; without RECORD as the node says it."""
    require_subject(subject)
    async with run.client() as client:
        if record is None:
            found = {item["id"]: item["facts"]["subjects"] for item in await client.pages("/v1/assignments")}
        else:
            row, _ = await client.state("assignments", f"{table}.{record}")
            found = {} if row is None else {f"{table}.{record}": row["subjects"]}
    named = [(id_.partition("."), subjects) for id_, subjects in found.items()]
    rows = [
        {"table": of, "record": id_, "subject": one, **{name: terms[name] for name in _TERMS}}
        for (of, _, id_), subjects in named
        for one, terms in subjects.items()
        if of == table and subject in (None, one)
    ]
    columns = ("record", "subject", "department", "by")

    def show(screen: Screen) -> None:
        cells = [[*(row[column] for column in columns), time_text(row["time_ms"])] for row in rows]
        screen.table((*columns, "since"), cells)

    return Answer({"assignments": rows}, show)


def require_subject(subject: str | None) -> None:
    """Errors: usage.subject."""
    from contracts.base import is_subject

    if subject is not None and not is_subject(subject):
        raise KehuError(SUBJECT_MALFORMED)


@command(
    app,
    "grants",
    needs=Needs.KEY,
    example="kehu grants --as admin",
    json_keys=("grants",),
    exits=SIGNED,
)
async def grants(
    run: Run,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="Only this one's: person:ID or department:ID.")
    ] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
) -> Answer:
    """List grants, as the node says them.

    The status is active, revoked, expired, or ended: with the department that had it, which was removed.
    """
    require_subject(subject)
    async with run.client() as client:
        items, said, ended = await client.pages("/v1/grants"), await client.status(), await _ended(client)
    rows = [
        {"grant": item["id"], **item["facts"], "status": _status(item["facts"], int(said["now_ms"]), ended)}
        for item in items
        if (is_all or item["facts"].get("status") == "active") and subject in (None, item["facts"].get("subject"))
    ]
    columns = ("grant", "subject", "actions", "table", "scope", "fields", "purpose", "expires_ms", "status")

    def show(screen: Screen) -> None:
        screen.table(columns, [[row.get(column) for column in columns] for row in rows])

    return Answer({"grants": rows}, show)


async def _ended(client: NodeClient) -> set[str]:
    """The subjects to whom no grant gives anything any more: departments that were removed, and their people."""
    former = await client.former_departments()
    people = await client.pages("/v1/people") if former else []
    return {f"department:{department}" for department in former} | {
        f"person:{item['id']}" for item in people if item["facts"].get("department") in former
    }


def _status(facts: dict[str, Any], now_ms: int, ended: set[str]) -> str | None:
    """A grant that ran out, or whose department was removed, allows nothing more, though nobody revoked it: the chain
    keeps it as active."""
    expires_ms, status = facts.get("expires_ms"), facts.get("status")
    if status != "active":
        return status
    if facts.get("subject") in ended:
        return "ended"
    return "expired" if expires_ms is not None and expires_ms <= now_ms else status
