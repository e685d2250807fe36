"""`kehu carrier`: the carrier simulator, for practice and demonstrations."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import Exit
from cli.options import Region
from cli.output import Answer
from cli.root import group
from cli.run import Run

app = group("carrier", "Run the carrier simulator, and do to its numbers what carriers do.")

LISTEN = define("usage.listen", "an address is HOST:PORT", "write 127.0.0.1:9000; port 0 is any free one")
ACTION = define(
    "usage.carrier_action",
    "there is no such action",
    "one of activate, suspend, resume, return, reassign, port-out, port-in",
)
DAY = define("usage.day", "this is not a day of the calendar", "write it as 2026-11-22")
NO_CARRIER = define(
    "profile.no_carrier",
    "this network folder has no carrier simulator",
    "run the command in the folder that `kehu network init` made",
)
CARRIER_DOWN = define(
    "carrier.simulator_down", "the carrier simulator does not answer", "start it: `kehu network up carrier`"
)
NUMBERS_NEEDED = define("usage.numbers", "no number was given", "give numbers, or --from FILE.csv")


@command(
    app,
    "run",
    needs=Needs.NOTHING,
    example="kehu carrier run --listen 127.0.0.1:9000 --data carrier/numbers.json",
    json_keys=("listen",),
    exits=(Exit.USAGE, Exit.MACHINE),
)
def run_carrier(
    _run: Run,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="Its numbers; tokens are kept beside it.")],
    seed: Annotated[str | None, typer.Option("--seed", help="Makes a new file's identifiers reproducible.")] = None,
    per_second: Annotated[
        float | None, typer.Option("--per-second", min=0.001, help="Rate limit (default: none).")
    ] = None,
) -> Answer:
    """Run the carrier simulator until SIGTERM."""
    from node.carrier.simulator import SimulatorConfig, run_simulator

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise KehuError(LISTEN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run_simulator(SimulatorConfig(host.strip("[]"), int(port), data, seed, per_second))
    return Answer({"listen": listen}, lambda screen: screen.line("The carrier simulator stopped."))


@command(
    app,
    "set",
    needs=Needs.NETWORK,
    example="kehu carrier set reassign 13800138000",
    json_keys=("action", "numbers", "already"),
    exits=(Exit.REFUSED, Exit.USAGE, Exit.CARRIER, Exit.MACHINE),
)
async def set_numbers(
    run: Run,
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="activate, suspend, resume, return, reassign, port-out or port-in.")
    ],
    numbers: Annotated[list[str] | None, typer.Argument(metavar="NUMBER", help="E.164 or national form.")] = None,
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE.csv", help="The phone column of a customers' file.")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DAY", help="The day it happens, as 2026-11-22 (default: today).")
    ] = None,
    region: Region = "CN",
) -> Answer:
    """Change numbers at the simulated carrier: give them out, suspend them, give them to somebody else.

    Number Recycling counts in whole days: a number that changes hands today is the same since today, and changed with
    --on a later day.
    """
    from node.carrier.numbers import parse_number
    from node.carrier.simulator.book import ACTIONS

    if action not in ACTIONS:
        raise KehuError(ACTION)
    wanted = [parse_number(text, region) for text in numbers or ()]
    if file is not None:
        from cli.intake.rows import read_sheet

        wanted += [row.fields["phone"] for row in read_sheet(file, region).rows]
    if not wanted:
        raise KehuError(NUMBERS_NEEDED)
    data = {"action": action, "numbers": len(wanted), "already": await _act(run, action, wanted, _day(on))}
    return Answer(data, lambda screen: screen.facts(data.items()))


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise KehuError(DAY, given=text) from None


async def _act(run: Run, action: Any, numbers: list[str], on: date | None) -> int:
    """How many were in that state before (only activating many can tell)."""
    import aiohttp

    from node.carrier.simulator.admin import SimulatorAdmin
    from node.carrier.simulator.process import ADMIN_TOKEN_FILE

    profile = run.profile
    token = profile.carrier_home / ADMIN_TOKEN_FILE
    if profile.carrier_url is None:
        raise KehuError(NO_CARRIER, folder=str(profile.folder))
    if not token.is_file():
        raise KehuError(CARRIER_DOWN, url=profile.carrier_url)
    try:
        async with SimulatorAdmin(profile.carrier_url, token.read_text(encoding="ascii").strip()) as admin:
            if action == "activate" and len(numbers) > 1:
                return int((await admin.activate_many(numbers, on))["already"])
            for number in numbers:
                await admin.act(action, number, on)
    except (aiohttp.ClientError, TimeoutError):
        raise KehuError(CARRIER_DOWN, url=profile.carrier_url) from None
    return 0
