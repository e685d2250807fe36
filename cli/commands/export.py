"""`kehu export`: the chain as one file, for auditors and for keeping."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import Exit
from cli.files import require_new_file
from cli.output import Advance, Answer, progress
from cli.root import app
from cli.run import Run
from node.storage.unfinished import Unfinished, unfinished

EXPORT_OTHER = define(
    "export.other_network",
    "the node's export begins with another genesis than the one here",
    "check the URL in network.json or --node",
)
EXPORT_HEIGHTS = define(
    "export.other_heights",
    "the node's export has other heights than were asked for",
    "take it from another department's node",
)


@command(
    app,
    "export",
    needs=Needs.NODE,
    example="kehu export chain.kehu --node finance",
    json_keys=("file", "bytes", "first", "last", "chain_id", "digest"),
    exits=(Exit.REFUSED, Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.MACHINE),
)
async def export(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    first: Annotated[int, typer.Option("--from", metavar="HEIGHT", min=1, help="First height.")] = 1,
    last: Annotated[
        int | None, typer.Option("--to", metavar="HEIGHT", min=1, help="Last height (default: all).")
    ] = None,
) -> Answer:
    """Write blocks, certificates and receipts to a file. It holds no personal values, and `kehu audit` checks it.

    The file gets its name when it is complete; its frames and digest are checked on the way, and that it has the
    heights that were asked for.
    """
    require_new_file(file)
    async with run.reader() as client:
        until = last or (await client.status())["height"]
        async with client.export(first, last) as pieces:
            told = progress("export", until - first + 1, is_wanted=not run.is_json)
            with unfinished(file, mode=0o666) as output, told as advance:
                found = await _copy(pieces, output, advance, client.genesis.raw)
                _require_heights(found, first, until, last)
                output.sync()
                output.finish()
    data = {"file": str(file), "bytes": file.stat().st_size, "first": first, **found}
    data["chain_id"] = run.profile.genesis.chain_id
    return Answer(data, lambda screen: screen.facts(data.items()))


def _require_heights(found: dict[str, Any], first: int, until: int, last: int | None) -> None:
    """From `first` to `last`, or at least to the height that the node said it had. Errors: export.other_heights."""
    begin, end = found.pop("first"), found["last"]
    if begin != first:
        raise KehuError(EXPORT_HEIGHTS, field="first", expected=first, actual=begin)
    if end < until or (last is not None and end > last):
        raise KehuError(EXPORT_HEIGHTS, field="last", expected=until, actual=end)


async def _copy(pieces: AsyncIterator[bytes], output: Unfinished, advance: Advance, genesis: bytes) -> dict[str, Any]:
    """Writes the stream while its form is checked. Errors: export.*."""
    from chain.export import ExportBlock, ExportEnd, ExportGenesis, ExportReader

    reader, blocks = ExportReader(), 0
    found: dict[str, Any] = {}
    async for piece in pieces:
        for item in reader.feed(piece):
            if isinstance(item, ExportGenesis) and item.raw != genesis:
                raise KehuError(EXPORT_OTHER)
            if isinstance(item, ExportBlock):
                blocks += 1
                advance(1)
            if isinstance(item, ExportEnd):
                found = {"first": item.height - blocks + 1, "last": item.height, "digest": item.digest}
        output.write(piece)
    reader.close()
    return found
