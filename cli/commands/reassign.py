"""`kehu reassign`: all that is assigned to one goes to another, as when somebody leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.commands.permissions import require_subject
from cli.exits import SIGNED, Exit
from cli.output import Advance, Answer, progress
from cli.root import app
from cli.run import Run

if TYPE_CHECKING:
    from cli.client import NodeClient, Outcome

RECORDS_PER_TRANSACTION: Final = 20
TRANSACTIONS_AT_ONCE: Final = 10
_OF_A_RECORD: Final = ("record.", "assignment.", "erasure.")

SAME_SUBJECT = define(
    "usage.same_subject", "what is assigned would go to whom it is assigned", "name another one to whom it goes"
)


@command(
    app,
    "reassign",
    needs=Needs.KEY,
    example="kehu reassign person:li-wei person:wang-lei --as admin",
    json_keys=("from", "to", "is_dry_run", "found", "moved", "failed"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def reassign(
    run: Run,
    from_: Annotated[str, typer.Argument(metavar="FROM", help="person:ID or department:ID.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="person:ID or department:ID.")],
    table: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="Only records of this table (default: all).")
    ] = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many records it is about.")] = False,
) -> Answer:
    """Assign to somebody else all that is assigned to one, as when that one leaves. For administrators.

    Run it again after an interruption: it goes on with what is left. Exit code 9 names what could not be moved.
    """
    for subject in (from_, to):
        require_subject(subject)
    if from_ == to:
        raise KehuError(SAME_SUBJECT)
    async with run.client() as client:
        items = await client.pages("/v1/assignments")
        found = [item for item in items if from_ in item["facts"]["subjects"] and _is_of(item, table)]
        failed: list[dict[str, Any]] = []
        if not is_dry_run:
            with progress("reassign", len(found), is_wanted=not run.is_json) as advance:
                failed = await _move(client, found, (from_, to), advance)
    moved = 0 if is_dry_run else len(found) - len(failed)
    data = {"from": from_, "to": to, "is_dry_run": is_dry_run, "found": len(found), "moved": moved, "failed": failed}
    return Answer(data, lambda screen: screen.facts(data.items()), Exit.PARTIAL if failed else Exit.OK)


def _is_of(item: dict[str, Any], table: str | None) -> bool:
    return table is None or item["id"].partition(".")[0] == table


async def _move(
    client: NodeClient, items: Sequence[dict[str, Any]], way: tuple[str, str], advance: Advance
) -> list[dict[str, Any]]:
    """Those that could not be moved, with the code. The first transaction goes alone: what refuses that one, whoever
    signed it or gets the records, refuses all. Errors: refusals that are about no record, unknown outcome."""
    failed = []
    first, left = items[:RECORDS_PER_TRANSACTION], items[RECORDS_PER_TRANSACTION:]
    for some in filter(None, (first, *_parts(left, RECORDS_PER_TRANSACTION * TRANSACTIONS_AT_ONCE))):
        parts = list(_parts(some, RECORDS_PER_TRANSACTION))
        outcomes = await client.submit([await client.draft(_calls(part, way)) for part in parts])
        for part, outcome in zip(parts, outcomes, strict=True):
            code = _code_of(outcome)
            if code is not None and len(part) > 1:  # which of them it is about: each by itself
                singly = await client.submit([await client.draft(_calls([item], way)) for item in part])
                failed += [_failure(item, one) for item, one in zip(part, map(_code_of, singly), strict=True) if one]
            elif code is not None:
                failed.append(_failure(part[0], code))
            advance(len(part))
    return failed


def _parts(items: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def _calls(items: Sequence[dict[str, Any]], way: tuple[str, str]) -> list[Any]:
    """First to the new one: no record is anybody's for a moment."""
    from chain.transaction import Call

    from_, to = way
    calls = []
    for item in items:
        table, _, record = item["id"].partition(".")
        named = {"table": table, "record": record}
        if to not in item["facts"]["subjects"]:
            calls.append(Call("permissions.assign", {**named, "subject": to}))
        calls.append(Call("permissions.unassign", {**named, "subject": from_}))
    return calls


def _code_of(outcome: Outcome) -> str | None:
    """Why it failed, if that is about a record."""
    if isinstance(outcome, KehuError):
        raise outcome
    code = outcome.receipt.code
    if not (outcome.receipt.is_ok or code.startswith(_OF_A_RECORD)):
        outcome.require_ok()
    return None if outcome.receipt.is_ok else code


def _failure(item: dict[str, Any], code: str) -> dict[str, Any]:
    table, _, record = item["id"].partition(".")
    return {"table": table, "record": record, "code": code}
