"""The other departments as this machine reaches them: port, key, chain; and what their APIs say of time and members."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from chain.errors import KehuError
from node.fitness.findings import Finding, found
from node.peers.resolving import look_up
from node.peers.transport import PEER_DIRECTION, PEER_WRONG_CHAIN, PEER_WRONG_KEY, Identity, Peer, dial
from node.surroundings import wall_ms

DIAL_S: Final = 3.0
ASK_S: Final = 3.0
ANSWER_BYTES_MAX: Final = 1 << 20
_NUMBERS: Final = 1 << 63


class Probing(Identity):
    """Greets as its department and signs another nonce than it was given. So it gets to know what the other side
    thinks of chain, department and direction, which are judged first, and never becomes a link that would take the
    place of a running node's own."""

    def hello(self, server_department: str, key: bytes, nonce: bytes, version: int = 1) -> bytes:
        return super().hello(server_department, key, bytes(len(nonce)), version)


async def look_at_peer(identity: Probing, department: str, peer: Peer) -> Finding | None:
    """What is in the way of a link to `department`; None if nothing is."""
    where, about = f"{peer.host}:{peer.port}", f"{department} at {peer.host}:{peer.port}"
    details: dict[str, Any] = {"department": department, "address": where}
    try:
        async with asyncio.timeout(DIAL_S):
            await look_up(peer.host, peer.port)
    except (socket.gaierror, TimeoutError):
        return found("peer.unknown_host", about, **details)
    try:
        link = await dial(identity, department, peer, DIAL_S)
    except KehuError as error:
        return _judge(error, about, details)
    await link.close(goodbye=False)
    return None


_BY_CODE: Final = {
    "peer.timeout": "peer.silent",
    "peer.wrong_key": "peer.other_key",
    "peer.own_key": "peer.other_key",
    "peer.greeting": "peer.not_kehu",
}


def _judge(error: KehuError, about: str, details: dict[str, Any]) -> Finding | None:
    if error.code == "peer.refused_us":
        return _judge_refusal(str(error.details.get("reason")), about, details)
    if error.code in _BY_CODE:
        return found(_BY_CODE[error.code], about, **details)
    if error.details.get("problem") == "ConnectionRefusedError":
        return found("peer.closed", about, **details)
    is_tls = "SSL" in str(error.details.get("problem"))
    return found("peer.not_kehu" if is_tls else "peer.silent", about, **details)


def _judge_refusal(reason: str, about: str, details: dict[str, Any]) -> Finding | None:
    """A signature over the wrong nonce is refused as `peer.wrong_key`, after everything else was found good."""
    if reason in {PEER_WRONG_KEY.code, PEER_DIRECTION.code}:
        return None
    if reason == PEER_WRONG_CHAIN.code:
        return found("genesis.other", about, **details)
    return found("peer.refused", f"{about} ({reason})", **details, reason=reason)


@dataclass(frozen=True, slots=True)
class Told:
    """What a node's public API says. `offset_ms`: how far its clock is ahead of this machine's, half the way there
    and back taken off."""

    department: str
    url: str
    chain_id: str
    height: int
    block_time_ms: int
    offset_ms: int
    membership: Mapping[str, Any] | None


async def ask_nodes(urls: Mapping[str, str], clock_ms: Callable[[], int] = wall_ms) -> list[Told]:
    """Those that answer like a node."""
    timeout = aiohttp.ClientTimeout(total=ASK_S)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        answers = await asyncio.gather(*(_ask(session, name, url.rstrip("/"), clock_ms) for name, url in urls.items()))
    return [answer for answer in answers if answer is not None]


async def _ask(session: aiohttp.ClientSession, name: str, url: str, clock_ms: Callable[[], int]) -> Told | None:
    try:
        before_ms = clock_ms()
        status = await _json(session, f"{url}/v1/status")
        middle_ms = (before_ms + clock_ms()) // 2
        membership = await _json(session, f"{url}/v1/membership")
        height, block_time_ms, now_ms = (_number(status[key]) for key in ("height", "block_time_ms", "now_ms"))
        chain_id = str(status["chain_id"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Told(name, url, chain_id, height, block_time_ms, now_ms - middle_ms, membership)


def _number(value: Any) -> int:
    """One to reckon with: a node may say any, also what JSON takes for infinite."""
    if type(value) is not int or not 0 <= value < _NUMBERS:
        raise ValueError("number")
    return value


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError("status")
        return json.loads(await response.content.read(ANSWER_BYTES_MAX))


def look_at_clocks(told: list[Told], now_ms: int, genesis_ms: int, skew_ms: int) -> list[Finding]:
    """Against the median of the others' clocks, the newest block that any of them has, and genesis."""
    findings = []
    offsets = sorted(each.offset_ms for each in told)
    if offsets and abs(middle := offsets[len(offsets) // 2]) * 2 > skew_ms:
        side = "behind" if middle > 0 else "ahead of"
        about = f"it is {abs(middle) / 1000:.1f} s {side} the clocks of {len(told)} nodes; blocks allow {skew_ms} ms"
        findings.append(found("clock.differs", about, offset_ms=middle, nodes=len(told), limit_ms=skew_ms))
    newest_ms = max([genesis_ms, *(each.block_time_ms for each in told)])
    if not findings and newest_ms - now_ms > skew_ms:
        about = f"it is {(newest_ms - now_ms) / 1000:.1f} s before the time of the newest known block"
        findings.append(found("clock.differs", about, offset_ms=newest_ms - now_ms, nodes=0, limit_ms=skew_ms))
    return findings
