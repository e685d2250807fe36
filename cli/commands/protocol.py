"""`kehu protocol`: which version of the rules counts, who speaks which, and the change to the next one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.commands.member import PROPOSED, DryRun, NewId, answer_of
from cli.exits import SIGNED, Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("protocol", "See which version of the rules counts and whose software speaks it, and propose the next one.")


@command(
    app,
    "show",
    needs=Needs.NODE,
    example="kehu protocol show",
    json_keys=("height", "version", "next", "department", "speaks", "quorum", "nodes", "software", "left_behind"),
    exits=(Exit.UNKNOWN, Exit.MACHINE, Exit.PARTIAL),
)
async def show_protocol(run: Run) -> Answer:
    """Show the version that counts, the one agreed on, and what each department's node speaks, as the node says.

    Exit code 9 if a version is agreed on that some node is not known to speak.
    """
    from chain.protocol import NEWEST, OLDEST
    from cli.upgrading import lacking

    async with run.reader() as client:
        told = await client.protocol()
    behind = lacking(told, told["next"]["version"]) if told["next"] else []
    data = {**told, "software": [OLDEST, NEWEST], "left_behind": behind}

    def show(screen: Screen) -> None:
        screen.facts((("height", told["height"]), ("version", told["version"]), ("quorum", told["quorum"])))
        rows = [[row["department"], _range(row["speaks"])] for row in told["nodes"]]
        screen.table(("department", "speaks"), [*rows, ["(this command)", _range([OLDEST, NEWEST])]])
        if told["next"]:
            screen.line(f"From height {told['next']['activation_height']} on: version {told['next']['version']}")
        if behind:
            screen.line(f"Will stop there unless upgraded: {', '.join(behind)}")

    return Answer(data, show, Exit.PARTIAL if behind else Exit.OK)


def _range(speaks: list[int] | None) -> str:
    if speaks is None:
        return "not known"
    return str(speaks[0]) if speaks[0] == speaks[1] else f"{speaks[0]} to {speaks[1]}"


@command(
    app,
    "propose",
    needs=Needs.KEY,
    example="kehu protocol propose --dry-run --as admin",
    json_keys=(*PROPOSED, "left_behind"),
    exits=(*SIGNED, Exit.PARTIAL),
)
async def propose_protocol(
    run: Run,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", min=1, help="The version (default: the one after the newest).")
    ] = None,
    is_unready: Annotated[
        bool, typer.Option("--even-if-unready", help="Although some nodes would stop; never below a quorum.")
    ] = False,
    proposal: NewId = None,
    is_dry_run: DryRun = False,
) -> Answer:
    """Propose that the rules of the next version count. For administrators; `kehu member approve` approves.

    Refused while a quorum of nodes is not known to speak it, and while any is not, unless --even-if-unready.
    Exit code 9 names who would stop.
    """
    from cli.membership import look_ahead, new_proposal, propose
    from cli.upgrading import require_able

    chosen = proposal if is_dry_run else proposal or new_proposal()
    async with run.client() as client:
        told = await client.protocol()
        wanted = version or (told["next"] or told)["version"] + 1
        proposed = await look_ahead(client, chosen, {"kind": "protocol", "version": wanted})
        behind = require_able(told, wanted, is_unready=is_unready or is_dry_run, is_forced=is_dry_run)
        done: dict[str, Any] = {} if is_dry_run else await propose(client, proposed)
    answer = answer_of(proposed, done)

    def show(screen: Screen) -> None:
        answer.show(screen)
        if behind:
            screen.line(f"Will stop at the activation height unless upgraded: {', '.join(behind)}")

    return Answer({**answer.data, "left_behind": behind}, show, Exit.PARTIAL if behind else Exit.OK)
