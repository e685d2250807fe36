"""`kehu node`: one department's node, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.command import Needs, command, group
from cli.exits import Exit
from cli.output import Answer
from cli.run import Run

app = group("Run a department's node.")


@command(
    app,
    "run",
    needs=Needs.NOTHING,
    example="kehu node run /var/lib/kehu",
    json_keys=("home", "exit"),
    exits=(Exit.KEY, Exit.MACHINE),
)
def run_home(_run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]) -> Answer:
    """Run a node until SIGTERM. Its folder is all it needs."""
    from node.process import run_node

    code = run_node(home)
    text = "stopped in order" if code == 0 else "stopped; its log says why"
    answer = {"home": str(home), "exit": code}
    return Answer(answer, lambda screen: screen.line(f"The node {text}."), Exit.MACHINE if code else Exit.OK)


@command(
    app,
    "join",
    needs=Needs.NODE,
    example="kehu node join nodes/legal legal --name 法务 --peer 10.0.0.7:7001 --api 10.0.0.7:8001",
    json_keys=("home", "department", "name", "key", "possession", "address"),
    exits=(Exit.USAGE, Exit.UNKNOWN, Exit.KEY, Exit.MACHINE),
)
async def join(
    run: Run,
    home: Annotated[Path, typer.Argument(metavar="HOME", help="A new folder.")],
    department: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="The new department's id.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The department's name.")],
    peer: Annotated[str, typer.Option("--peer", metavar="HOST:PORT", help="Where its peers reach it.")],
    api: Annotated[str, typer.Option("--api", metavar="HOST:PORT", help="Where its people reach it.")],
) -> Answer:
    """Make the folder of a new department's node, and what `kehu member propose-add` needs of it.

    Once the change is accepted, `kehu node run HOME` follows the chain from genesis or a snapshot, and votes from the
    activation height on. The department is entered in network.json.
    """
    from cli.joining import Place, make_node_folder
    from cli.profile import require_name

    require_name(department, "department")
    profile = run.profile
    async with run.reader() as client:
        told = await client.membership()
    place = Place(department, name, peer, api)
    made = make_node_folder(home, profile.folder / "genesis.json", profile.genesis, place, told)
    profile.nodes[department] = f"http://{api}"
    profile.write()
    data = {"home": str(home), **made}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "introduce",
    needs=Needs.NODE,
    example="kehu node introduce nodes/legal --node finance",
    json_keys=("home", "members"),
    exits=(Exit.UNKNOWN, Exit.MACHINE),
)
async def introduce_home(
    run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]
) -> Answer:
    """Tell a node that was away for long where the members are now, and their keys; it is believed for links only."""
    from cli.joining import introduce
    from node.config import Home

    async with run.reader() as client:
        told = await client.membership()
    introduce(Home(home), told)
    data = {"home": str(home), "members": [row["department"] for row in told["members"]]}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "next-key",
    needs=Needs.NETWORK,
    example="kehu node next-key /var/lib/kehu --json > sales-key.json",
    json_keys=("home", "department", "key", "possession", "old"),
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def next_key(run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]) -> Answer:
    """Make the key that a node changes over to, and what `kehu member rotate-key` needs of it.

    The node takes it by itself at the activation height; the old key file stays beside it.
    """
    from cli.joining import make_next_key

    data = {"home": str(home), **make_next_key(home, run.profile.genesis)}
    return Answer(data, lambda screen: screen.facts(data.items()))
