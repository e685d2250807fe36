"""One node as a process: logging, signals, exit code. `python -m node HOME` and `kehu node run HOME` end up here."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from chain.errors import InvariantError, KehuError
from chain.protocol import PROTOCOL_TOO_NEW
from chain.stored_state import StateUnreadableError
from node.allocator import keep_little
from node.api.app import make_app
from node.api.metrics import LIMITS as METRICS_LIMITS
from node.api.metrics import make_metrics_app
from node.api.server import listen, serve
from node.folder.config import Config, Home, listening_on, split_address
from node.folder.opening import open_home
from node.folder.reading import origins
from node.logs import begin_logging, configure_logging
from node.members.farewell import MEMBERSHIP_REMOVED
from node.service import Node
from node.soundness.setting_aside import heal
from node.storage.durable import StorageFailure
from node.surroundings import wall_ms

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 2
"""The folder, its keys or its configuration don't allow a start; the error says why."""
EXIT_STORAGE: Final = 3
"""The disk failed; nothing that was acknowledged is lost. Free or repair the disk, then start again."""
EXIT_INVARIANT: Final = 4
"""Something that can't be has happened. Keep the folder and report it."""
EXIT_OUTDATED: Final = 5
"""The chain goes on by a version of the protocol that this software does not speak: install one that does."""
EXIT_REMOVED: Final = 6
"""The departments have removed this node's department and proved it. Starting again changes nothing."""
_EXIT_OF: Final = {PROTOCOL_TOO_NEW.code: EXIT_OUTDATED, MEMBERSHIP_REMOVED.code: EXIT_REMOVED}

API_STOP_S: Final = 1.5
"""How long running requests may take when the node stops; `service.STOP_S` comes on top, and all of it is below 5 s."""

COLLECTOR_THRESHOLDS: Final = (5_000, 20, 20)
"""A request makes thousands of objects that live until its block and form no cycles. With the default, 700 and 10, the
collector goes through them dozens of times. It may not wait much longer either: a TLS connection that breaks off leaves
256 KiB in a cycle, and a flood of them leaves that for as many as fit between two collections."""

log = logging.getLogger("kehu.process")


def run_node(home: Path) -> int:
    """Runs until SIGTERM or SIGINT, or until something that a node must not survive; the exit code."""
    begin_logging()
    keep_little()
    _leave_no_core()
    with suppress(KehuError):  # said with everything else that is wrong, once the folder is opened
        _configure_logging(Home(home).read_config())
    while (code := _run_process(Home(home))) is None:
        log.warning("starting again without what was set aside")
    return code


def _leave_no_core() -> None:
    """A memory image on the disk would have values and keys in the clear, also of records that are erased later."""
    with suppress(OSError, ValueError):  # a sandbox that allows no change has its own bound (packaging/kehu@.service)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run_process(home: Home) -> int | None:
    """The exit code; None after damage that a running node found was set aside: a new start makes it good."""
    try:
        try:
            asyncio.run(_run(home))
        except (KehuError, StateUnreadableError) as error:
            failure = error.failure if isinstance(error, StateUnreadableError) else error
            if not heal(home.path, failure):
                raise failure from error
            return None
    except StorageFailure as error:
        log.critical("%s -- %s", error, error.spec.cure)
        return EXIT_STORAGE
    except KehuError as error:
        log.critical("%s -- %s", error, error.spec.cure)
        return _EXIT_OF.get(error.code, EXIT_REFUSED)
    except InvariantError:
        log.exception("a broken invariant; the node stops so that nothing is lost or forked")
        return EXIT_INVARIANT
    return EXIT_OK


async def _run(home: Home) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while await _run_once(home, stop):
        log.info("the node opens its folder again, with the snapshot it has taken")


async def _run_once(home: Home, stop: asyncio.Event) -> bool:
    """Whether the folder is to be opened again."""
    opened = open_home(home)
    _tell_configuration(opened.config)
    # What was loaded stays; the collector need not look at it again and again.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    gc.enable()
    with opened.closing:
        node = Node(opened)
        try:
            await _serve(node, opened.config, stop)
        finally:
            await node.stop()
    return node.must_reopen and not stop.is_set()


def _configure_logging(config: Config) -> None:
    log_ = config.log
    configure_logging(config.department, log_.format, log_.level, has_access_log=log_.access)


def _tell_configuration(config: Config) -> None:
    for key, value, origin in origins(config):
        log.info("configuration: %s = %s (%s)", key, json.dumps(value, ensure_ascii=False), origin)


async def _serve(node: Node, config: Config, stop: asyncio.Event) -> None:
    addresses = config.listen
    await node.start()
    async with AsyncExitStack() as serving:
        if addresses.metrics is not None:
            with listening_on(addresses.metrics):
                app = make_metrics_app(node.metrics.render)
                metrics = await listen(app, *split_address(addresses.metrics), METRICS_LIMITS)
            serving.push_async_callback(metrics.close, API_STOP_S)
        with listening_on(addresses.api):
            app = make_app(node, wall_ms, config.api, observe=node.metrics.http_answered)
            api = await serve(app, *split_address(addresses.api))
        serving.push_async_callback(api.close, API_STOP_S)
        log.info("API listens on http://%s", addresses.api)
        await node.run(stop)
