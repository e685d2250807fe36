"""How a fault looks from outside: the answers no client should take for an answer."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from node.carrier.simulator.faults import FaultOrder, Variant

_JSON: Final = "application/json"
_OVERSIZE_CHARACTERS: Final = 1 << 20
_BODIES: Final[dict[Variant, tuple[str, str]]] = {
    "not_json": ('{"outcome": "fou', _JSON),
    "empty": ("", _JSON),
    "no_identifier": ('{"outcome": "found"}', _JSON),
    "contradiction": ('{"outcome": "none", "identifier": "abcdefghabcdefghabcdefgh"}', _JSON),
    "wrong_type": ('{"outcome": "found", "identifier": 24}', _JSON),
    "key_twice": ('{"outcome": "found", "outcome": "none"}', _JSON),
    "html": ("<html>maintenance until 06:00</html>", "text/html"),
    "wrong_content_type": ('{"outcome": "none"}', "text/plain"),
    "oversize": ('{"outcome": "none"}'.ljust(_OVERSIZE_CHARACTERS), _JSON),
}
_DATED_BODIES: Final[dict[Variant, tuple[str, str]]] = {
    "not_json": ('{"phoneNumberRecycled": tr', _JSON),
    "no_identifier": ("{}", _JSON),
    "contradiction": ("[true, false]", _JSON),
    "wrong_type": ('{"phoneNumberRecycled": "true"}', _JSON),
    "key_twice": ('{"phoneNumberRecycled": true, "phoneNumberRecycled": false}', _JSON),
    "wrong_content_type": ('{"phoneNumberRecycled": true}', "text/plain"),
    "oversize": ('{"phoneNumberRecycled": true}'.ljust(_OVERSIZE_CHARACTERS), _JSON),
}
"""The same kinds of nonsense for the check of Number Recycling."""


async def misbehave(request: web.Request, fault: FaultOrder, stopping: asyncio.Event) -> web.StreamResponse | None:
    """The response that `fault` makes of this request; None when the true answer is to follow."""
    if fault.kind == "slow":
        await _wait(stopping, fault.delay_ms / 1000)
        return None
    if fault.kind == "time_out":
        await stopping.wait()
        return _hang_up(request)
    if fault.kind == "fail":
        body = {"status": fault.status, "message": "fault on demand"} | ({"code": fault.code} if fault.code else {})
        return web.json_response(body, status=fault.status)
    if fault.variant == "disconnect":
        return _hang_up(request)
    if fault.variant == "truncated":
        return await _truncate(request)
    is_dated = fault.variant in _DATED_BODIES and request.path.endswith("/check")
    text, content_type = (_DATED_BODIES if is_dated else _BODIES)[fault.variant]
    return web.Response(text=text, content_type=content_type)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # goes nowhere: the connection is gone


async def _truncate(request: web.Request) -> web.StreamResponse:
    """Promises more bytes than it sends."""
    response = web.StreamResponse(headers={"Content-Type": _JSON, "Content-Length": "200"})
    await response.prepare(request)
    await response.write(b'{"outcome": "none"')
    if request.transport is not None:
        request.transport.close()
    return response
