"""Names of hosts, looked up without holding up the end of the process.

asyncio looks names up in a pool of threads that a process waits for when it ends. A name server that does not answer
keeps such a thread for many seconds (resolv.conf(5): 5 s, twice, for each server), and an orderly stop with it. Here
the thread is one that nobody waits for.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any


async def open_connection(host: str, port: int, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `asyncio.open_connection`, to each address of `host` in turn. Errors: OSError of the last of them."""
    failure = OSError("the name has no address")
    for address in await look_up(host, port):
        try:
            return await asyncio.open_connection(address, port, **options)
        except OSError as error:
            failure = error
    raise failure


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system orders them. Errors: OSError."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str], error: OSError | None) -> None:
        if not found.done():
            found.set_result(addresses) if error is None else found.set_exception(error)

    def ask() -> None:
        addresses: list[str] = []
        failure: OSError | None = None
        try:
            addresses = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            failure = error
        except UnicodeError:  # a label that no name can have
            failure = OSError("this is no name")
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(tell, addresses, failure)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return await found
