"""`kehu node`: one department's node, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chain.errors import KehuError, define
from cli.calling import answered
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("node", "Run a department's node.")

NODE_EXITS = (0, 2, 3, 4, 5, 6)
"""What `node.process` ends with; whoever restarts nodes goes by it."""

DEPARTMENT_THERE = define(
    "usage.department_there",
    "the network folder says already where this department's node is, and that is elsewhere",
    "name the new department otherwise; for a node that moves, correct network.json once it has moved",
)


@command(
    app,
    "run",
    needs=Needs.NOTHING,
    example="kehu node run /var/lib/kehu",
    json_keys=("home", "exit"),
    exits=tuple(map(Exit, NODE_EXITS)),
)
def run_home(_run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]) -> Answer:
    """Run a node until SIGTERM. Its folder is all it needs.

    The exit codes are the node's own, not those of other commands: docs/node.md.
    """
    from node.process import run_node

    code = run_node(home)
    text = "stopped in order" if code == 0 else "stopped; its log says why"
    answer = {"home": str(home), "exit": code}
    return Answer(answer, lambda screen: screen.line(f"The node {text}."), Exit(code))


@command(
    app,
    "init",
    needs=Needs.NETWORK,
    example="kehu node init /var/lib/kehu/legal legal --name 法务 --peer 10.0.0.7:7001 --api 10.0.0.7:8001 "
    "--introduction crm.json --fingerprint 5c0f-… --json > legal.json",
    json_keys=("home", "department", "name", "key", "possession", "address", "fingerprint"),
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def init(
    run: Run,
    home: Annotated[Path, typer.Argument(metavar="HOME", help="A new or empty folder.")],
    department: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="The new department's id.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The department's name.")],
    peer: Annotated[str, typer.Option("--peer", metavar="HOST:PORT", help="Where its peers reach it.")],
    api: Annotated[str, typer.Option("--api", metavar="HOST:PORT", help="Where its people reach it.")],
    introduction: Annotated[
        Path, typer.Option("--introduction", metavar="FILE", help="What `kehu network introduce` wrote.")
    ],
    fingerprint: Annotated[
        str, typer.Option("--fingerprint", metavar="CODE", help="The network's, as its people tell it.")
    ],
    listen_peer: Annotated[
        str | None, typer.Option("--listen-peer", metavar="HOST:PORT", help="Where it listens, if not at --peer.")
    ] = None,
    listen_api: Annotated[
        str | None, typer.Option("--listen-api", metavar="HOST:PORT", help="Where it listens, if not at --api.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="HOST:PORT", help="Where Prometheus reads /metrics.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="A secret that seals the key (default: one is drawn)."),
    ] = None,
) -> Answer:
    """Make the folder of a new department's node, and what `kehu member propose-add` needs of it.

    The key is sealed by the passphrase, and node.toml names its file. With --network, the department is entered in
    that network folder, which is made if there is none. Needs no node; nothing secret is shown.
    """
    from cli.introduction import Introduction
    from cli.joining import Place, make_node_folder
    from cli.profile import require_name

    require_name(department, "department")
    told = Introduction.read(introduction)
    told.require(fingerprint)
    place = Place(department, name, peer, api, listen_peer, listen_api, metrics, passphrase_file)
    profile = None if run.network is None else told.profile_in(run.network)
    if profile is not None and profile.nodes.get(department, f"http://{api}") != f"http://{api}":
        raise KehuError(DEPARTMENT_THERE, department=department, url=profile.nodes[department])
    made = make_node_folder(home, place, told)
    if profile is not None:
        told.enter(profile, department, f"http://{api}")
    data = {"home": str(home), **made, "fingerprint": told.fingerprint}
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
    from cli.joining import introduce, newest_members
    from node.folder.config import Home

    async with run.reader() as client:
        told = await client.membership()
    introduce(Home(home), newest_members(told), run.profile.nodes)
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

    The node takes it by itself at the activation height; the old key file stays beside it. Where the old key is lost,
    `old` is null and the node starts with this one once `kehu node introduce` or its chain says that it counts.
    """
    from cli.joining import make_next_key

    data = {"home": str(home), **make_next_key(home, run.profile.genesis)}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "gateway-key",
    needs=Needs.NETWORK,
    example="kehu node gateway-key /var/lib/kehu --json > gateway.json",
    json_keys=("home", "department", "gateway", "key", "possession"),
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def gateway_key(
    run: Run,
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")],
    gateway: Annotated[
        str | None, typer.Option("--gateway", metavar="ID", help="Its id (default: gateway-DEPARTMENT).")
    ] = None,
) -> Answer:
    """Make the key with which a node's answers from the carrier are signed, and what `kehu gateway enrol` needs of it.

    For a department that joined, and where gateway.key is lost: then under another id, as none is given out twice. The
    node takes it at its next start.
    """
    from cli.joining import make_gateway_key

    data = {"home": str(home), **make_gateway_key(home, run.profile.genesis, gateway)}
    return Answer(data, lambda screen: screen.facts(data.items()))


@command(
    app,
    "rotate-key",
    needs=Needs.NODE,
    example="kehu node rotate-key /var/lib/kehu",
    json_keys=("home", "department", "key", "old", "proposal", "activation_height", "transaction", "height"),
    exits=SIGNED,
)
async def rotate_own_key(
    run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]
) -> Answer:
    """Change a node over to a new key, signed by its present one: nobody has to approve.

    On the node's own machine. The node goes on with the present key and takes the new one by itself at the activation
    height. Where the key is lost or in wrong hands, the departments agree instead: `kehu member rotate-key`.
    """
    import secrets

    from chain.transaction import Call
    from cli.client import NodeClient
    from cli.joining import own_rotation

    department, present, parts = own_rotation(home, run.profile.genesis)
    url = run.profile.node_url(run.node or department)
    async with NodeClient(url, run.profile.genesis, run.node or department, present) as client:
        committed = await client.execute(
            [Call("governance.rotate", {"proposal": f"m-{secrets.token_hex(5)}", **parts})]
        )
    told = {"home": str(home), "department": department, "key": parts["key"], "old": present.public.hex()}
    result = committed.result()
    return answered(
        committed, {**told, "proposal": result["proposal"], "activation_height": result["activation_height"]}
    )


@command(
    app,
    "change-passphrase",
    needs=Needs.NOTHING,
    example="kehu node change-passphrase /var/lib/kehu",
    json_keys=("home", "keys", "passphrase_file", "written"),
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def change_passphrase(
    _run: Run,
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")],
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="The present one (default: as node.toml says)."),
    ] = None,
    new_file: Annotated[
        Path | None, typer.Option("--new-passphrase-file", metavar="FILE", help="The new one (default: one is drawn).")
    ] = None,
) -> Answer:
    """Seal a node's keys under another passphrase; the keys stay the same, and the node may run meanwhile.

    The passphrase file that node.toml names is written anew if it lies in the folder; a mounted secret is yours to
    replace, and needs --new-passphrase-file. If it is interrupted, give the same command again: the new passphrase is
    in the file of that name with .next until then. Backups that were made before open with the old passphrase.
    """
    from node.folder.config import Home
    from node.keys.passphrase import read_passphrase
    from node.keys.resealing import reseal_home

    folder = Home(home)
    named = folder.path / folder.read_config().passphrase_file
    old = read_passphrase(file=passphrase_file or named)
    made = reseal_home(folder, named, old, None if new_file is None else read_passphrase(file=new_file))
    data = {"home": str(home), "keys": made.keys, "passphrase_file": str(named), "written": made.is_written}
    note = "and it is in" if made.is_written else "put it, before the next start, into"
    return Answer(data, lambda screen: screen.line(f"{', '.join(made.keys)}: a new passphrase; {note} {named}"))


@command(
    app,
    "doctor",
    needs=Needs.NETWORK,
    example="kehu node doctor /var/lib/kehu",
    json_keys=("home", "department", "chain_id", "fingerprint", "running", "members_from", "findings"),
    exits=(Exit.MACHINE, Exit.PARTIAL),
)
async def doctor(run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]) -> Answer:
    """Say what keeps a node from starting or taking part: files, keys, ports, peers, clock, genesis, disk, limits.

    Before a node is started, and while it runs; nothing is changed. The other nodes' APIs, if network.json or
    members.json names them, tell the time and who takes part now. Exit code 0 if it is fit, 9 if something is to be
    done, 8 if it can't start or can't take part.
    """
    from cli.introduction import fingerprint_of
    from node.fitness.examination import examine
    from node.folder.config import Home

    urls = run.profile.nodes if run.network is not None else {}
    found = await examine(Home(home), urls)
    levels = {finding.level for finding in found.findings}
    data = {
        "home": str(home),
        "department": found.department,
        "chain_id": found.chain_id,
        "fingerprint": None if found.chain_id is None else fingerprint_of(found.chain_id),
        "running": found.is_running,
        "members_from": found.source,
        "findings": [finding.to_value() for finding in found.findings],
    }

    def show(screen: Screen) -> None:
        screen.facts((name.replace("_", " "), data[name]) for name in ("home", "department", "fingerprint", "running"))
        marks = {"still": "!!", "act": "! ", "note": "  "}
        for finding in found.findings:
            screen.line(f"{marks[finding.level]} {finding.text} ({finding.code})")
            if finding.level != "note":
                screen.line(f"     {finding.cure}")

    return Answer(data, show, Exit.MACHINE if not found.can_take_part else Exit.PARTIAL if "act" in levels else Exit.OK)
