"""`kehu key`: keys on this machine. Nothing here talks to a node."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli.command import Needs, command
from cli.exits import Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("key", "Make and look at keys on this machine.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A work id.")]
Department = Annotated[str, typer.Option("--department", metavar="DEPARTMENT", help="Whose person it is.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", envvar="KEHU_PASSPHRASE_FILE", metavar="FILE", help="The first line is it."),
]
PassphraseFd = Annotated[int | None, typer.Option("--passphrase-fd", metavar="N", help="An open descriptor.")]
REQUEST_KEYS = ("person", "department", "key", "possession", "file")


@command(
    app,
    "new",
    needs=Needs.NETWORK,
    example="kehu key new li-wei --department sales --json > li.json",
    json_keys=REQUEST_KEYS,
    exits=(Exit.USAGE, Exit.KEY, Exit.MACHINE),
)
def new(
    run: Run,
    name: Name,
    department: Department,
    is_next: Annotated[
        bool, typer.Option("--next", help="A second key beside the present one, to change over to.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> Answer:
    """Make a sealed key, and show what an administrator needs to enrol it: the public half and a proof.

    With --json the output is the request that `kehu people enrol --request` takes; it holds nothing secret.
    """
    from chain.crypto import SigningKey
    from chain.errors import KehuError
    from cli.founding import possession_of
    from cli.profile import PROFILE_DEPARTMENT
    from node.keys.files import create_key_file

    run.passphrase_file, run.passphrase_fd = passphrase_file, passphrase_fd
    profile = run.profile
    known_here = {*profile.genesis.validators.departments, *profile.nodes}
    if department not in known_here:
        known = ",".join(sorted(known_here))
        raise KehuError(PROFILE_DEPARTMENT, department=department, known=known)
    path = profile.key_path(department, name)
    if is_next:
        path = path.with_suffix(".next")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(path, "person", name, run.passphrase(f"New passphrase of {name}", is_new=True), key.seed)
    data = {
        "person": name,
        "department": department,
        "key": key.public.hex(),
        "possession": possession_of(key, profile.genesis.chain_id, name).hex(),
        "file": str(path),
    }

    def show(screen: Screen) -> None:
        screen.facts(data.items())
        if is_next:
            screen.line(f"To change over to it: kehu people rotate-key {name} --as {name}")
            return
        screen.line(
            "An administrator enrols it: kehu people enrol "
            f"{name} --department {department} --role ROLE --key {data['key']} --possession {data['possession']}"
        )

    return Answer(data, show)


@command(
    app,
    "show",
    needs=Needs.NETWORK,
    example="kehu key show li-wei",
    json_keys=("keys",),
    exits=(Exit.KEY, Exit.MACHINE),
)
def show_key(
    run: Run, name: Annotated[str | None, typer.Argument(metavar="NAME", help="One key only.")] = None
) -> Answer:
    """Show the public half of the keys in the network folder; no passphrase is needed."""
    from node.keys.files import read_public

    profile = run.profile
    paths = [profile.find_key(name).path] if name else sorted(profile.keys.glob("*/*.key"))
    keys = []
    for path in paths:
        public = read_public(path)
        keys.append(
            {
                "name": public.name,
                "department": path.parent.name,
                "kind": public.kind,
                "key": public.public.hex(),
                "file": str(path),
            }
        )
    columns = ("department", "name", "kind", "key")

    def show(screen: Screen) -> None:
        screen.table(columns, [[key[column] for column in columns] for key in keys])

    return Answer({"keys": keys}, show)


@command(
    app,
    "change-passphrase",
    needs=Needs.NETWORK,
    example="kehu key change-passphrase li-wei --passphrase-file old --new-passphrase-file new",
    json_keys=("name", "file"),
    exits=(Exit.KEY, Exit.MACHINE),
)
def change_passphrase(
    run: Run,
    name: Name,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    new_file: Annotated[Path | None, typer.Option("--new-passphrase-file", metavar="FILE", help="The new one.")] = None,
    new_fd: Annotated[int | None, typer.Option("--new-passphrase-fd", metavar="N", help="The new one.")] = None,
) -> Answer:
    """Seal a key under another passphrase; the key stays the same."""
    from node.keys import files as keys

    path = run.profile.find_key(name).path
    run.passphrase_file, run.passphrase_fd = passphrase_file, passphrase_fd
    old = run.passphrase("Present passphrase")
    run.passphrase_file, run.passphrase_fd = new_file, new_fd
    keys.change_passphrase(path, old, run.passphrase("New passphrase", is_new=True))
    data = {"name": name, "file": str(path)}
    return Answer(data, lambda screen: screen.line(f"{name} has a new passphrase."))
