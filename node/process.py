"""One node as a process: logging, signals, exit code. `python -m node HOME` and `kehu node run HOME` end up here."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path
from typing import Final

from chain.errors import InvariantError, KehuError
from node.api.app import make_app
from node.api.server import serve
from node.config import Home, listening_on, split_address
from node.opening import open_home
from node.service import Node, wall_ms
from node.storage.durable import StorageFailure

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 2
"""The folder, its keys or its configuration don't allow a start; the error says why."""
EXIT_STORAGE: Final = 3
"""The disk failed; nothing that was acknowledged is lost. Free or repair the disk, then start again."""
EXIT_INVARIANT: Final = 4
"""Something that can't be has happened. Keep the folder and report it."""

log = logging.getLogger("kehu.process")


def run_node(home: Path) -> int:
    """Runs until SIGTERM or SIGINT, or until something that a node must not survive; the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kehu.api.access").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(Home(home)))
    except StorageFailure as error:
        log.critical("%s -- %s", error, error.spec.cure)
        return EXIT_STORAGE
    except KehuError as error:
        log.critical("%s -- %s", error, error.spec.cure)
        return EXIT_REFUSED
    except InvariantError:
        log.exception("a broken invariant; the node stops so that nothing is lost or forked")
        return EXIT_INVARIANT
    return EXIT_OK


async def _run(home: Home) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opened = open_home(home)
    # What was loaded stays; the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    with opened.closing:
        node = Node(opened)
        try:
            await _serve(node, opened.config.listen.api, stop)
        finally:
            await node.stop()


async def _serve(node: Node, address: str, stop: asyncio.Event) -> None:
    await node.start()
    with listening_on(address):
        api = await serve(make_app(node, wall_ms), *split_address(address))
    log.info("API listens on http://%s", address)
    try:
        await node.run(stop)
    finally:
        await api.close()
