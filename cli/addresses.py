"""Where the nodes of a new network listen, and where they and people reach them.

On one machine everything has a port of its own. In containers (docker/compose.yaml) every department is a host named
after it, with the same two ports on each; people reach the APIs on ports that the machine publishes.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import Final

from chain.errors import KehuError, define

_PORT_FIRST: Final = 20_000
_PORT_LAST: Final = 30_000
"""Below the range from which systems take ports for outgoing connections (32768 on Linux, 49152 by RFC 6335)."""

PEER_PORT: Final = 7000
API_PORT: Final = 8000
METRICS_PORT: Final = 9101
CARRIER_PORT: Final = 9000
PUBLISHED_FIRST: Final = 8001
"""docker/compose.yaml publishes the APIs from here on, in the order of the departments, and then the simulator."""
CARRIER_HOST: Final = "carrier"

NETWORK_PORTS = define(
    "network.no_ports",
    "there are not enough free ports in a row",
    "name the first of them with --base-port, or stop what holds them",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A department's node: host:port where it listens, host:port for other departments, URL for people.

    `listen_metrics` is for Prometheus, None for nobody.
    """

    listen_peer: str
    listen_api: str
    peer: str
    url: str
    listen_metrics: str | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """`carrier_url` is the simulator's for people, `carrier_from_nodes` for nodes."""

    places: dict[str, Place]
    carrier_url: str
    carrier_from_nodes: str


def on_one_machine(departments: list[str], host: str, base_port: int | None) -> Addresses:
    """A row of ports of `host`: peers, APIs, simulator. `base_port` None: any free row. Errors: network.no_ports."""
    first = _first_port(host, base_port, 2 * len(departments) + 1)
    shown = f"[{host}]" if ":" in host else host
    places: dict[str, Place] = {}
    for number, id_ in enumerate(departments):
        peer, api = f"{shown}:{first + number}", f"{shown}:{first + len(departments) + number}"
        places[id_] = Place(peer, api, peer, f"http://{api}")
    carrier = f"http://{shown}:{first + 2 * len(departments)}"
    return Addresses(places, carrier, carrier)


def in_containers(departments: list[str], host: str, base_port: int | None) -> Addresses:
    """One host per department; `host` is where the machine publishes the APIs. Errors: network.no_ports."""
    count = len(departments) + 1
    first = _in_range(PUBLISHED_FIRST if base_port is None else base_port, count)
    shown = f"[{host}]" if ":" in host else host
    listen = (f"0.0.0.0:{PEER_PORT}", f"0.0.0.0:{API_PORT}")
    places = {
        id_: Place(*listen, f"{id_}:{PEER_PORT}", f"http://{shown}:{first + number}", f"0.0.0.0:{METRICS_PORT}")
        for number, id_ in enumerate(departments)
    }
    return Addresses(places, f"http://{shown}:{first + len(departments)}", f"http://{CARRIER_HOST}:{CARRIER_PORT}")


def _first_port(host: str, base_port: int | None, count: int) -> int:
    return _in_range(base_port if base_port is not None else free_row(host, count), count)


def _in_range(first: int, count: int) -> int:
    if not 1024 <= first <= 65_535 - count:
        raise KehuError(NETWORK_PORTS, base_port=first, ports=count)
    return first


def free_row(host: str, count: int) -> int:
    """The first of `count` ports in a row that nobody holds now. Errors: network.no_ports."""
    for _ in range(50):
        first = _PORT_FIRST + secrets.randbelow(_PORT_LAST - _PORT_FIRST - count)
        if all(_is_free(host, first + place) for place in range(count)):
            return first
    raise KehuError(NETWORK_PORTS, ports=count)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
