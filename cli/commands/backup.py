"""`kehu backup` and `kehu restore`: a running node as two files, and a folder made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError
from cli.command import Needs, command
from cli.exits import Exit
from cli.files import require_new_file
from cli.output import Answer, progress
from cli.root import app
from cli.run import Run
from node.storage.unfinished import Unfinished, unfinished

_HEAD_BYTES = 5
_END = 2
_PIECE_BYTES = 1 << 20


@command(
    app,
    "backup",
    needs=Needs.KEY,
    example="kehu backup sales.kehu-backup --as li-1",
    json_keys=("file", "bytes", "keys_file", "keys_bytes", "has_vault"),
    exits=(Exit.REFUSED, Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.KEY, Exit.MACHINE),
)
async def backup(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the data.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="A new file for the keys (default: FILE.keys).")
    ] = None,
    no_vault: Annotated[bool, typer.Option("--no-vault", help="Without personal values and their keys.")] = False,
) -> Answer:
    """Take a backup of the department's node while it runs: chain and sealed values in one file, keys in another.

    The keys are sealed under the node's passphrase; keep the two files apart. The vote log is never in a backup.
    """
    keys = keys or file.with_name(file.name + ".keys")
    require_new_file(file, keys)
    async with run.client() as client:
        with ExitStack() as files:
            outputs = [files.enter_context(unfinished(path)) for path in (file, keys)]
            async with client.backup(with_vault=not no_vault) as pieces:
                await _split(run, pieces, outputs)
            for output in outputs:
                output.sync()
            for output in outputs:
                output.finish()
    sizes = {"bytes": file.stat().st_size, "keys_file": str(keys), "keys_bytes": keys.stat().st_size}
    data = {"file": str(file), **sizes, "has_vault": not no_vault}
    return Answer(data, lambda screen: screen.facts(data.items()))


async def _split(run: Run, pieces: AsyncIterator[bytes], outputs: Sequence[Unfinished]) -> None:
    """Each frame into its file. Errors: backup.damaged if the stream ends early."""
    from node.backup.format import BACKUP_DAMAGED

    held = bytearray()
    with progress("backup, MiB", None, is_wanted=not run.is_json) as advance:
        written = 0
        async for piece in pieces:
            held += piece
            while len(held) >= _HEAD_BYTES:
                target, length = held[0], int.from_bytes(held[1:_HEAD_BYTES], "big")
                if target == _END:
                    return
                if len(held) < _HEAD_BYTES + length or target > _END:
                    break
                outputs[target].write(held[_HEAD_BYTES : _HEAD_BYTES + length])
                del held[: _HEAD_BYTES + length]
                before, written = written, written + length
                advance(written // _PIECE_BYTES - before // _PIECE_BYTES)
    raise KehuError(BACKUP_DAMAGED, problem="the stream ends early")


@command(
    app,
    "restore",
    needs=Needs.NOTHING,
    example="kehu restore sales.kehu-backup /var/lib/kehu --verify",
    json_keys=(
        "home", "department", "height", "block_id", "state_root", "values", "dropped", "blocks_verified",
    ),
    exits=(Exit.USAGE, Exit.UNVERIFIED, Exit.KEY, Exit.MACHINE),
)  # fmt: skip
def restore(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The data of a backup.", exists=True, dir_okay=False)],
    home: Annotated[Path, typer.Argument(metavar="HOME", help="The new folder; missing or empty.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="The backup's keys (default: FILE.keys).")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Execute every block again, from genesis.")] = False,
    passphrase: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="The node's passphrase (default: a prompt)."),
    ] = None,
    passphrase_fd: Annotated[
        int | None, typer.Option("--passphrase-fd", metavar="N", help="The node's passphrase: an open descriptor.")
    ] = None,
) -> Answer:
    """Make a node's folder of a backup. The folder appears when it is whole and checked, or not at all.

    Put the node's passphrase file and other secrets into it, then start the node: it observes before it votes, and
    serves no value before it has followed what the chain erased since.
    """
    from node.backup.restoring import restore as restore_files

    run.passphrase_file, run.passphrase_fd = passphrase, passphrase_fd
    secret = run.passphrase("Passphrase of the node")
    keys = keys or file.with_name(file.name + ".keys")
    with progress("blocks", None, is_wanted=verify and not run.is_json) as advance:
        found = restore_files(file, keys, home.absolute(), secret, verify=verify, advance=advance)
    data: dict[str, Any] = {
        "home": str(home),
        "department": found.department,
        "height": found.height,
        "block_id": found.block_id.hex(),
        "state_root": found.state_root.hex(),
        "values": found.values,
        "dropped": found.dropped,
        "blocks_verified": found.blocks_verified,
    }
    return Answer(data, lambda screen: screen.facts(data.items()))
