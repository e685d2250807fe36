"""`kehu phone`: the phone-identity rule by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError
from cli.calling import look_back
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.layout import time_text
from cli.options import PURPOSE_DEFAULT, Customer, Purpose
from cli.output import Answer, Screen, progress
from cli.root import group
from cli.run import Run

if TYPE_CHECKING:
    from cli.client import NodeClient

app = group("phone", "Have customers' numbers checked with the carrier.")
KEYS = (
    "customer", "status", "reason", "version", "checked_ms", "was_asked", "outcome", "no_answer_reason", "transaction",
)  # fmt: skip


@command(
    app,
    "check",
    needs=Needs.KEY,
    example="kehu phone check c-1f… --as li-wei",
    json_keys=KEYS,
    exits=(*SIGNED, Exit.CARRIER),
)
async def check(
    run: Run,
    customer: Customer,
    max_age: Annotated[
        int | None,
        typer.Option(
            "--max-age",
            metavar="SECONDS",
            min=0,
            help="A younger answer will do (default: none will, the carrier is asked).",
        ),
    ] = None,
) -> Answer:
    """Ask the carrier whether a customer's number still belongs to the same subscriber, and record the answer."""
    from cli.transport import NODE_ANSWER_MALFORMED

    body = {"customer": customer} | ({} if max_age is None else {"max_age_ms": max_age * 1000})
    async with run.client() as client:
        said = await client.post("/v1/phone/check", body)
        if not isinstance(said, dict):
            raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path="/v1/phone/check")
        transaction = said.get("transaction_id")
        if isinstance(transaction, str):
            said |= await _proven(client, bytes.fromhex(transaction))
    data = {**{key: said.get(key) for key in KEYS}, "transaction": transaction}
    is_silent = data["outcome"] == "no_answer"
    return Answer(data, lambda screen: screen.facts(data.items()), Exit.CARRIER if is_silent else Exit.OK)


async def _proven(client: NodeClient, transaction: bytes) -> dict[str, Any]:
    """What the departments agreed on, in place of what the node says. Errors: those of the receipt, unknown outcome."""
    from cli.client import OUTCOME_UNKNOWN

    committed = await client.find(transaction)
    if committed is None:
        raise KehuError(OUTCOME_UNKNOWN, transaction=transaction)
    result = committed.require_ok().result()
    return {key: result[key] for key in ("customer", "status", "reason", "version")}


SWEEP_KEYS = (
    "is_dry_run", "due", "asked", "valid", "temporary", "invalid", "no_answer", "recent", "failed", "left",
    "customers", "sweep_age_ms",
)  # fmt: skip


@command(
    app,
    "sweep",
    needs=Needs.KEY,
    example="kehu phone sweep --limit 500 --as admin",
    json_keys=SWEEP_KEYS,
    exits=(*SIGNED, Exit.CARRIER, Exit.PARTIAL),
)
async def sweep(
    run: Run,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="How many at most, those asked about longest ago first."),
    ] = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who is due, and ask nobody.")] = False,
) -> Answer:
    """Have every number checked whose last answer is older than the policy allows, at the carrier's pace.

    It covers the customers that you may have checked and whose numbers your department holds. Run it again to go on
    after an interruption. Exit code 9 if some gave no answer or could not be checked.
    """
    from cli.sweeping import Sweep, check_all, find_due

    async with run.client() as client:
        waiting = await find_due(client)
        chosen = waiting.customers if limit is None else waiting.first(limit)
        swept = Sweep(len(waiting.customers), customers=chosen)
        if not is_dry_run:
            with progress("sweep", len(chosen), is_wanted=not run.is_json) as advance:
                swept = await check_all(client, waiting, chosen, advance)
    counts = {name: swept.counts[name] for name in ("valid", "temporary", "invalid", "no_answer", "recent")}
    data = {
        "is_dry_run": is_dry_run,
        "due": swept.due,
        "asked": 0 if is_dry_run else len(swept.customers) - counts["recent"],
        **counts,
        "failed": swept.failed,
        "left": swept.due - (0 if is_dry_run else len(chosen)),
        "customers": swept.customers,
        "sweep_age_ms": waiting.age_ms,
    }
    is_partial = bool(swept.failed) or counts["no_answer"] > 0
    return Answer(data, lambda screen: _show_sweep(screen, data), Exit.PARTIAL if is_partial else Exit.OK)


def _show_sweep(screen: Screen, data: dict[str, Any]) -> None:
    names = ("due",) if data["is_dry_run"] else ("due", "asked", *SWEEP_KEYS[3:8], "left")
    screen.facts((name, data[name]) for name in names)
    if data["is_dry_run"]:
        rows = [(item["customer"], item["status"], time_text(item["checked_ms"])) for item in data["customers"]]
        screen.table(("customer", "status", "last answer"), rows, title="Due")
        return
    changed = [item for item in data["customers"] if item["status"] == "invalid" or item["no_answer_reason"]]
    if changed:
        rows = [(item["customer"], item["status"], item["reason"] or item["no_answer_reason"]) for item in changed]
        screen.table(("customer", "status", "reason"), rows, title="Invalid, or without an answer")
    if data["failed"]:
        failed = [(item["customer"], item["code"]) for item in data["failed"]]
        screen.table(("customer", "code"), failed, title="Could not be checked")


ANSWER_COLUMNS = (
    "number", "asked_ms", "outcome", "since_day", "agreed", "status", "reason", "carrier", "gateway", "asked_by",
)  # fmt: skip


@command(
    app,
    "history",
    needs=Needs.KEY,
    example="kehu phone history c-1f… --as li-wei",
    json_keys=("customer", "allowed", "code", "answers", "next", "transaction", "height"),
    exits=SIGNED,
)
async def history(
    run: Run,
    customer: Customer,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Go on after this answer.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")] = 50,
    purpose: Purpose = PURPOSE_DEFAULT,
) -> Answer:
    """Show every answer that carriers gave about a customer's number: who asked, which gateway, what followed.

    The reading goes on the ledger. An answer without somebody who asked was by schedule.
    """
    committed = await look_back(run, customer, "answers", after, limit, purpose)
    result = committed.result()
    data = {
        "customer": customer,
        **{key: result[key] for key in ("allowed", "code")},
        "answers": result["rows"],
        "next": result["next"],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    return Answer(data, lambda screen: _show_answers(screen, data), Exit.OK if data["allowed"] else Exit.REFUSED)


def _show_answers(screen: Screen, data: dict[str, Any]) -> None:
    from cli.shown import show_refusal

    if not data["allowed"]:
        show_refusal(screen, data["code"])
        return
    rows = [[_answer_cell(name, row.get(name)) for name in ANSWER_COLUMNS] for row in data["answers"]]
    titles = [name.removesuffix("_ms").removesuffix("_day").replace("_", " ") for name in ANSWER_COLUMNS]
    screen.table(titles, rows)
    if data["next"] is not None:
        screen.line(f"More: --after {data['next']}")


def _answer_cell(name: str, value: Any) -> object:
    if name == "asked_ms":
        return time_text(value)
    if name == "since_day" and value is not None:
        from datetime import UTC, datetime, timedelta

        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=value)).date().isoformat()
    return value
