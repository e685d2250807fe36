"""`kehu member`: departments that take part, and changes of them: looked at, proposed, approved, active at a height."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError
from cli.calling import call
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

if TYPE_CHECKING:
    from cli.membership import Proposed

app = group("member", "See who takes part in the agreement, and change it by agreement of the departments.")

Department = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="The department's id.")]
ProposalId = Annotated[str, typer.Argument(metavar="PROPOSAL", help="The proposal's id.")]
NewId = Annotated[str | None, typer.Option("--proposal", metavar="ID", help="An id for it (default: drawn).")]
Request = Annotated[
    Path, typer.Option("--request", metavar="FILE", help="What the department's own machine printed with --json.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the effect; nothing is signed.")]
PROPOSED = ("proposal", "change", "effect", "code", "approvals_needed", "transaction", "height")


@command(
    app,
    "list",
    needs=Needs.NODE,
    example="kehu member list",
    json_keys=("height", "epoch", "n", "f", "quorum", "members", "next", "proposal", "changes"),
    exits=(Exit.UNKNOWN, Exit.MACHINE),
)
async def list_members(run: Run) -> Answer:
    """List the departments, faults tolerated, quorum, and the change under way, as the node says them."""
    async with run.reader() as client:
        told = await client.membership()

    def show(screen: Screen) -> None:
        columns = ("department", "name", "address", "key")
        screen.facts((name, told[name]) for name in ("height", "epoch", "n", "f", "quorum"))
        screen.table(columns, [[row[name] for name in columns] for row in told["members"]])
        if told["next"] is not None:
            names = ", ".join(row["department"] for row in told["next"]["members"])
            screen.line(f"From height {told['next']['activation_height']} on: {names}")
        if told["proposal"] is not None:
            row = told["proposal"]
            screen.line(f"{row['proposal']}: {row['status']}, approved by {', '.join(row['approvals']) or 'nobody'}")

    return Answer(told, show)


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu member show m-1f… --as admin",
    json_keys=("proposal", "change", "effect", "code", "status", "approvals", "lapsed", "activation_height"),
    exits=SIGNED,
)
async def show_proposal(run: Run, proposal: ProposalId) -> Answer:
    """Show a proposal, proven: the change, its effect, who has approved, when it is active.

    `lapsed` names departments that approved an effect which is another one now: they have to approve again.
    """
    from cli.membership import look_up

    async with run.client() as client:
        proposed, standing = await look_up(client, proposal)
    data = {**proposed.to_json(), **asdict(standing)}

    def show(screen: Screen) -> None:
        proposed.show(screen)
        screen.facts((name, data[name]) for name in ("status", "approvals", "lapsed", "activation_height", "code"))

    return Answer(data, show)


async def _propose(run: Run, proposal: str | None, change: dict[str, Any], *, is_dry_run: bool) -> Answer:
    from cli.membership import look_ahead, new_proposal, propose

    chosen = proposal if is_dry_run else proposal or new_proposal()
    async with run.client() as client:
        proposed = await look_ahead(client, chosen, change)
        done = {} if is_dry_run else await propose(client, proposed)
    return answer_of(proposed, done)


def answer_of(proposed: Proposed, done: dict[str, Any]) -> Answer:
    """What a change would do; `done`: what its proposal brought, or nothing where it was only looked at."""
    data = {**proposed.to_json(), **{name: done.get(name) for name in ("approvals_needed", "transaction", "height")}}

    def show(screen: Screen) -> None:
        proposed.show(screen)
        if done:
            screen.line(f"Proposed at height {done['height']}; {done['approvals_needed']} departments have to approve:")
            screen.line(f"kehu member approve {proposed.proposal} --effect {proposed.code} --as PERSON")

    return Answer(data, show)


@command(
    app,
    "propose-add",
    needs=Needs.KEY,
    example="kehu member propose-add legal --request legal.json --as admin",
    json_keys=PROPOSED,
    exits=SIGNED,
)
async def propose_add(
    run: Run, department: Department, request: Request, proposal: NewId = None, is_dry_run: DryRun = False
) -> Answer:
    """Propose a department more. The request is what `kehu node init --json` printed. For administrators."""
    from cli.membership import read_request

    change = {"kind": "add", "department": department, **read_request(request, department)}
    return await _propose(run, proposal, change, is_dry_run=is_dry_run)


@command(
    app,
    "replace",
    needs=Needs.KEY,
    example="kehu member replace sales --by sales_north --request north.json --as admin",
    json_keys=PROPOSED,
    exits=SIGNED,
)
async def replace(
    run: Run,
    department: Department,
    by: Annotated[str, typer.Option("--by", metavar="DEPARTMENT", help="The new department's id.")],
    request: Request,
    proposal: NewId = None,
    is_dry_run: DryRun = False,
) -> Answer:
    """Propose that another department comes in one's place. For administrators."""
    from cli.membership import read_request

    change = {"kind": "replace", "department": department, "by": by, **read_request(request, by)}
    return await _propose(run, proposal, change, is_dry_run=is_dry_run)


@command(
    app,
    "remove",
    needs=Needs.KEY,
    example="kehu member remove legal --dry-run --as admin",
    json_keys=PROPOSED,
    exits=SIGNED,
)
async def remove(run: Run, department: Department, proposal: NewId = None, is_dry_run: DryRun = False) -> Answer:
    """Propose that a department takes part no more. For administrators."""
    return await _propose(run, proposal, {"kind": "remove", "department": department}, is_dry_run=is_dry_run)


@command(
    app,
    "rotate-key",
    needs=Needs.KEY,
    example="kehu member rotate-key sales --request sales-key.json --as admin",
    json_keys=PROPOSED,
    exits=SIGNED,
)
async def rotate_key(
    run: Run, department: Department, request: Request, proposal: NewId = None, is_dry_run: DryRun = False
) -> Answer:
    """Propose a new key for a department's node: where the old one is lost or in wrong hands. For administrators.

    The request is what `kehu node next-key --json` printed.
    """
    from cli.membership import read_request

    parts = read_request(request, department)
    change = {"kind": "rotate", "department": department, "key": parts["key"], "possession": parts["possession"]}
    return await _propose(run, proposal, change, is_dry_run=is_dry_run)


@command(
    app,
    "move",
    needs=Needs.KEY,
    example="kehu member move sales --address 10.0.0.9:7001 --as admin",
    json_keys=PROPOSED,
    exits=SIGNED,
)
async def move(
    run: Run,
    department: Department,
    address: Annotated[str, typer.Option("--address", metavar="HOST:PORT", help="Where its peers reach it.")],
    proposal: NewId = None,
    is_dry_run: DryRun = False,
) -> Answer:
    """Propose another address for a department's node. For administrators."""
    change = {"kind": "move", "department": department, "address": address}
    return await _propose(run, proposal, change, is_dry_run=is_dry_run)


@command(
    app,
    "approve",
    needs=Needs.KEY,
    example="kehu member approve m-1f… --effect 5c0f11aa --as li-wei",
    json_keys=(
        "proposal",
        "effect",
        "status",
        "approvals",
        "approvals_needed",
        "activation_height",
        "transaction",
        "height",
    ),
    exits=SIGNED,
)
async def approve(
    run: Run,
    proposal: ProposalId,
    code: Annotated[str | None, typer.Option("--effect", metavar="CODE", help="The code that `show` named.")] = None,
    is_dry_run: DryRun = False,
) -> Answer:
    """Approve a proposal for your department. What is signed is the effect as the proven state gives it now."""
    from chain.transaction import Call
    from cli.membership import MEMBER_CODE, look_up

    async with run.client() as client:
        proposed, standing = await look_up(client, proposal)
        if not is_dry_run and code != proposed.code:
            raise KehuError(MEMBER_CODE, proposal=proposal, actual=code)
        result: dict[str, Any] = {
            "status": standing.status,
            "approvals": standing.approvals,
            "transaction": None,
            "height": None,
        }
        if not is_dry_run:
            call = Call("governance.approve", {"proposal": proposal, "effect": proposed.effect})
            committed = await client.execute([call])
            result = {**committed.result(), "transaction": committed.transaction_id, "height": committed.height}
    shown = proposed.to_json()
    data = {"proposal": proposal, "effect": shown["effect"], "activation_height": None, "approvals_needed": None} | {
        name: value for name, value in result.items() if name not in ("accepted_set", "effect")
    }

    def show(screen: Screen) -> None:
        proposed.show(screen)
        screen.facts((name, data[name]) for name in ("status", "approvals", "approvals_needed", "activation_height"))

    return Answer(data, show)


@command(
    app,
    "withdraw",
    needs=Needs.KEY,
    example="kehu member withdraw m-1f… --as admin",
    json_keys=("proposal", "status", "transaction", "height"),
    exits=SIGNED,
)
async def withdraw(run: Run, proposal: ProposalId) -> Answer:
    """Withdraw a proposal that is still open. For administrators."""
    return await call(run, "governance.withdraw", {"proposal": proposal})
