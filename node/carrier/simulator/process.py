"""The simulator as a process: its settings, its tokens, its start and its orderly stop."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from node.carrier.simulator.app import Simulator, make_app
from node.carrier.simulator.book import NumberBook
from node.carrier.simulator.faults import RateLimit
from node.carrier.simulator.http import LOG, AccessLog, server_log
from node.storage.durable import write_file

LOOKUP_TOKEN_FILE: Final = "lookup.token"  # noqa: S105 - a file's name
CLIENT_ID_FILE: Final = "client.id"
CLIENT_SECRET_FILE: Final = "client.secret"  # noqa: S105 - a file's name
ADMIN_TOKEN_FILE: Final = "admin.token"  # noqa: S105 - a file's name
STOP_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """host, port: where to listen (port 0: any free one). data: the file of numbers; kept beside it and drawn when
    missing: the bearer tokens in lookup.token and admin.token, the OAuth client in client.id and client.secret.
    seed: makes identifiers reproducible. per_second, burst: the rate limit, None for none."""

    host: str
    port: int
    data: Path
    seed: str | None = None
    per_second: float | None = None
    burst: int = 1


def make_simulator(config: SimulatorConfig) -> Simulator:
    """Opens or makes the files of `config`. Errors: simulator.file_malformed, simulator.seed_mismatch."""
    book = NumberBook.open(config.data, config.seed)
    folder = config.data.parent
    return Simulator(
        book,
        lookup_token=ensure_token(folder / LOOKUP_TOKEN_FILE),
        admin_token=ensure_token(folder / ADMIN_TOKEN_FILE),
        client_id=ensure_token(folder / CLIENT_ID_FILE),
        client_secret=ensure_token(folder / CLIENT_SECRET_FILE),
        limit=RateLimit(config.per_second, config.burst),
    )


def ensure_token(path: Path) -> str:
    """The bearer token in `path`; a new one of 32 random bytes when there is no such file."""
    with suppress(FileExistsError):
        write_file(path, secrets.token_urlsafe(32).encode() + b"\n", replace=False)
    return path.read_text(encoding="ascii").strip()


@asynccontextmanager
async def serving(simulator: Simulator, host: str, port: int) -> AsyncIterator[str]:
    """Serves while the context is open; gives the base URL, such as "http://127.0.0.1:8080"."""
    runner = web.AppRunner(
        make_app(simulator),
        access_log_class=AccessLog,
        access_log=LOG.getChild("access"),
        logger=server_log(),
        handler_cancellation=True,
        shutdown_timeout=STOP_TIMEOUT_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
    finally:
        await runner.cleanup()


async def serve(config: SimulatorConfig) -> None:
    """Runs until SIGTERM or SIGINT; requests under way are answered, hanging ones let go."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(make_simulator(config), config.host, config.port) as url:
        LOG.info("carrier simulator listening at %s", url)
        await stop.wait()
    LOG.info("carrier simulator stopped")


def run_simulator(config: SimulatorConfig) -> None:
    """`serve` with an event loop of its own; returns after an orderly stop."""
    asyncio.run(serve(config))
