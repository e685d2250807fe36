"""Looking a name up: each address is tried, and a name server that is silent holds up nobody's end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from node.peers.resolving import look_up, open_connection

SILENT = """
import asyncio, socket, threading
from node.peers.resolving import look_up

def never(*_arguments, **_options):
    threading.Event().wait()

socket.getaddrinfo = never

async def main():
    task = asyncio.create_task(look_up("away.example", 7000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
print("ended")
"""


async def test_addresses_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr("node.peers.resolving.socket.getaddrinfo", lambda *_a, **_o: entries)
    async with server:
        _reader, writer = await open_connection("department.example", port)
        assert writer.get_extra_info("peername")[0] == "127.0.0.1"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("host", ["no-such-department.invalid", "a" * 64 + ".example", "."])
async def test_name_without_an_address_is_an_os_error(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host.endswith(".invalid"):
        monkeypatch.setattr("node.peers.resolving.socket.getaddrinfo", _unknown)
    with pytest.raises(OSError):
        await look_up(host, 7000)


def _unknown(*_arguments: object, **_options: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_process_ends_while_a_name_server_is_silent() -> None:
    """With asyncio's own look-up this would wait until the end of the test's patience."""
    done = subprocess.run(
        [sys.executable, "-c", SILENT], capture_output=True, encoding="utf-8", timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
