"""`kehu network`: a network on this machine, from nothing to running processes and back."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError
from cli.command import Needs, command
from cli.exits import Exit
from cli.files import require_place
from cli.layout import shown
from cli.output import Answer, Screen, problem_of, progress
from cli.root import group
from cli.run import Run

app = group("network", "Make, start, stop and look at a network on this machine.")

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Departments, or carrier (default: all).")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait.")]


@command(
    app,
    "init",
    needs=Needs.NOTHING,
    example="kehu network init demo --passphrase-file admin.pass",
    json_keys=("network", "folder", "chain_id", "departments", "administrator", "nodes", "carrier"),
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def init(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    name: Annotated[str, typer.Option("--name", help="The network's name.")] = "kehu",
    department: Annotated[
        list[str] | None,
        typer.Option("--department", metavar="ID[=NAME]", help="A department; repeat it (default: the six)."),
    ] = None,
    administrator: Annotated[
        str, typer.Option("--administrator", metavar="NAME", help="Work id of the first administrator.")
    ] = "admin",
    host: Annotated[str, typer.Option("--host", help="Address that everything listens on.")] = "127.0.0.1",
    base_port: Annotated[
        int | None, typer.Option("--base-port", metavar="PORT", help="First of a row of ports (default: any free row).")
    ] = None,
    is_containers: Annotated[
        bool, typer.Option("--containers", help="For docker/compose.yaml: a host for each department.")
    ] = False,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", envvar="KEHU_PASSPHRASE_FILE", metavar="FILE", help="For the new key."),
    ] = None,
    passphrase_fd: Annotated[
        int | None, typer.Option("--passphrase-fd", metavar="N", help="For the new key: an open descriptor.")
    ] = None,
) -> Answer:
    """Make a network folder: keys, genesis, a folder per department, a carrier simulator.

    The passphrase is the first administrator's. The nodes' own are drawn and kept in their folders' secrets/. For
    containers they lie in the network folder's secrets/DEPARTMENT/, and --base-port is the first that is published.
    """
    from cli.founding import Plan, found_network, read_departments

    run.passphrase_file, run.passphrase_fd = passphrase_file, passphrase_fd
    plan = Plan(folder, name, read_departments(department or []), administrator, host, base_port, is_containers)
    profile = found_network(plan, run.passphrase("New passphrase of the administrator", is_new=True))
    data = {
        "network": name,
        "folder": str(profile.folder),
        "chain_id": profile.genesis.chain_id.hex(),
        "departments": plan.departments,
        "administrator": administrator,
        "nodes": profile.nodes,
        "carrier": profile.carrier_url,
    }

    def show(screen: Screen) -> None:
        screen.line(f"Made the network {name} in {profile.folder}")
        screen.table(
            ("department", "name", "API"), [(id_, text, profile.nodes[id_]) for id_, text in plan.departments.items()]
        )
        screen.facts((("chain id", data["chain_id"]), ("administrator", administrator)))
        screen.line(
            "Start it: see docs/containers.md"
            if is_containers
            else f"Start it: kehu network up --carrier --network {folder}"
        )

    return Answer(data, show)


@command(
    app,
    "up",
    needs=Needs.NETWORK,
    example="kehu network up --network demo --carrier",
    json_keys=("processes",),
    exits=(Exit.USAGE, Exit.MACHINE, Exit.PARTIAL),
)
async def up(
    run: Run,
    names: Names = None,
    has_carrier: Annotated[bool, typer.Option("--carrier", help="Start the carrier simulator too.")] = False,
    timeout_s: Timeout = 60.0,
) -> Answer:
    """Start the nodes whose folders are here, as processes that go on after this command, and wait until ready."""
    from cli.processes import processes, wait_ready

    wanted = processes(run.profile, names or (), has_carrier=has_carrier)
    started = {process.name: process.start() for process in wanted}
    with progress("nodes", len(wanted), is_wanted=not run.is_json) as advance:
        troubles = await wait_ready(wanted, timeout_s, advance)
    rows = [
        {
            "name": process.name,
            "pid": process.pid(),
            "was_started": started[process.name],
            "is_ready": process.name not in troubles,
            "problem": problem_of(troubles[process.name]) if process.name in troubles else None,
        }
        for process in wanted
    ]
    return _answer(rows, troubles, ("name", "pid", "was_started", "is_ready"))


@command(
    app,
    "down",
    needs=Needs.NETWORK,
    example="kehu network down --network demo",
    json_keys=("processes",),
    exits=(Exit.USAGE, Exit.MACHINE, Exit.PARTIAL),
)
async def down(
    run: Run,
    names: Names = None,
    is_kill: Annotated[
        bool, typer.Option("--kill", help="SIGKILL at once: a practice for what nodes must survive.")
    ] = False,
    timeout_s: Timeout = 30.0,
) -> Answer:
    """Stop nodes and the simulator in order (SIGTERM), wait until they have ended, and report."""
    from cli.processes import PROCESS_STAYS, processes, wait_ended

    wanted = processes(run.profile, names or ())
    pids = {process.name: process.pid() for process in wanted}
    for process in wanted:
        process.signal(signal.SIGKILL if is_kill else signal.SIGTERM)
    left = {process.name for process in await wait_ended(wanted, timeout_s)}
    troubles = {name: KehuError(PROCESS_STAYS, process=name, pid=pids[name]) for name in sorted(left)}
    rows = [
        {
            "name": process.name,
            "pid": pids[process.name],
            "was_running": pids[process.name] is not None,
            "is_stopped": process.name not in left,
        }
        for process in wanted
    ]
    return _answer(rows, troubles, ("name", "pid", "was_running", "is_stopped"))


def _answer(rows: list[dict[str, Any]], troubles: dict[str, KehuError], columns: tuple[str, ...]) -> Answer:
    def show(screen: Screen) -> None:
        screen.table(
            [column.replace("_", " ") for column in columns], [[row[name] for name in columns] for row in rows]
        )
        for error in troubles.values():
            problem = problem_of(error)
            details = ", ".join(f"{name}={shown(value)}" for name, value in problem["details"].items())
            screen.line(f"{problem['code']}: {problem['cause']} ({details}). {problem['cure']}")

    return Answer({"processes": rows}, show, Exit.PARTIAL if troubles else Exit.OK)


@command(
    app,
    "status",
    needs=Needs.NETWORK,
    example="kehu network status --network demo",
    json_keys=("network", "chain_id", "nodes", "carrier"),
    exits=(Exit.MACHINE, Exit.PARTIAL),
)
async def status(run: Run) -> Answer:
    """Show every node: does its process live, does it answer, how high is its chain.

    Exit code 9 unless all nodes of network.json answer and are ready.
    """
    from cli.fleet import look_at

    profile = run.profile
    nodes, carrier = await look_at(profile)
    data = {
        "network": profile.name,
        "chain_id": profile.genesis.chain_id.hex(),
        "nodes": nodes,
        "carrier": carrier,
    }
    columns = ("department", "name", "url", "pid", "is_ready", "height", "block_id", "problem")

    def show(screen: Screen) -> None:
        screen.facts((("network", profile.name), ("chain id", data["chain_id"])))
        screen.table(
            [column.replace("_", " ") for column in columns],
            [[_short(column, node[column]) for column in columns] for node in nodes],
        )
        if carrier is not None:
            screen.facts((("carrier simulator", carrier["url"]), ("answers", carrier["is_ready"])))

    is_whole = all(node["is_ready"] for node in nodes)
    return Answer(data, show, Exit.OK if is_whole else Exit.PARTIAL)


def _short(column: str, value: object) -> object:
    """What tells nodes apart on one line: where it is, and the beginning of a block id."""
    if column == "url":
        return str(value).removeprefix("http://")
    return value[:8] if column == "block_id" and isinstance(value, str) else value


@command(
    app,
    "introduce",
    needs=Needs.NODE,
    example="kehu network introduce crm.json --node sales",
    json_keys=("file", "network", "fingerprint", "members"),
    exits=(Exit.UNKNOWN, Exit.MACHINE),
)
async def introduce(
    run: Run, file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")]
) -> Answer:
    """Write what a department needs that is to join: genesis, the members, where the nodes are. Nothing is secret.

    Tell it the fingerprint by another way than the file, as on the telephone: `kehu node init` asks for it.
    """
    from cli.introduction import Introduction
    from cli.joining import newest_members

    require_place(file)
    async with run.reader() as client:
        members = newest_members(await client.membership())
    profile = run.profile
    introduction = Introduction(profile.genesis, members, profile.nodes)
    introduction.write(file)
    names = [row["department"] for row in members]
    data = {"file": str(file), "network": profile.name, "fingerprint": introduction.fingerprint, "members": names}
    return Answer(data, lambda screen: screen.facts(data.items()))
