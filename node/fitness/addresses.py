"""Whether a node's own addresses can be listened on, or are served by this very node already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from node.fitness.findings import Finding, found
from node.folder.config import Listen, split_address

_CODES: Final = {
    errno.EADDRINUSE: "address.in_use",
    errno.EADDRNOTAVAIL: "address.not_here",
    errno.EACCES: "address.forbidden",
}


def look_at_addresses(listen: Listen, *, is_running: bool) -> Iterator[Finding]:
    """`is_running`: this folder's node runs, so that it is the one that holds them."""
    for name in ("peer", "api", "metrics"):
        address = getattr(listen, name)
        code = None if address is None else listen_refusal(address)
        if code is None or (is_running and code == "address.in_use"):
            continue
        yield found(code, f"listen.{name} = {address}", key=f"listen.{name}", address=address)


def listen_refusal(address: str) -> str | None:
    """The code of the finding, None if one could listen there now."""
    host, port = split_address(address)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except (socket.gaierror, UnicodeError):  # the latter of what no name can be, such as one with two dots in a row
        return "address.not_here"
    except OSError as error:
        return _CODES.get(error.errno or 0, "address.not_here")
    return None
