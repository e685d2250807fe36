"""What a node answers, good or bad, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from chain.crypto import SigningKey
from chain.errors import ErrorSpec, KehuError
from cli.client import BUSY_PAUSE_S, _pause_s
from cli.exits import Exit, RemoteRefusal, exit_of
from cli.transport import NODE_UNREACHABLE, NeverSent, Transport, is_height
from node.api.nonces import NONCES_PER_KEY_MAX, NonceCache
from node.api.problems import problem_response

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHAIN, KEY = bytes(32), SigningKey(b"\x07" * 32)


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Transport]:
    """A server that answers everything with `answer`, and a transport to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with Transport(f"http://127.0.0.1:{runner.addresses[0][1]}", CHAIN, "sales", KEY) as transport:
            yield transport
    finally:
        await runner.cleanup()


def saying(status: int, value: Any) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return answer


async def error_of(answer: Answer) -> KehuError:
    async with answering(answer) as transport:
        with pytest.raises(KehuError) as caught:
            await transport.json("GET", "/v1/status?secret=1")
    return caught.value


async def test_a_problem_document_becomes_the_error_it_describes() -> None:
    problem = {
        "code": "permission.denied",
        "title": "no",
        "cure": "ask",
        "details": {"field": "phone", "spec": 1, "self": 2},
    }
    error = await error_of(saying(403, problem))
    assert isinstance(error, RemoteRefusal)
    assert (error.code, error.spec.cause, error.spec.cure, error.details) == (
        "permission.denied", "no", "ask", {"field": "phone"},
    )  # fmt: skip


@pytest.mark.parametrize("value", [[], "text", {"title": "no code"}, {"code": 5}])
async def test_an_error_that_is_no_problem_document_is_said_to_be_no_kehu_node(value: Any) -> None:
    error = await error_of(saying(500, value))
    assert error.code == "node.answer_malformed"
    assert error.details["path"] == "/v1/status"  # the query may hold anything


async def test_an_answer_that_is_not_json_is_said_to_be_no_kehu_node() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    assert (await error_of(answer)).code == "node.answer_malformed"


@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_that_is_nested_without_end_is_said_to_be_no_kehu_node(status: int) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="[" * 200_000)

    assert (await error_of(answer)).code == "node.answer_malformed"


async def test_a_redirect_is_not_followed() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    assert (await error_of(answer)).code == "node.answer_malformed"


async def test_a_connection_that_breaks_is_unreachable_and_not_never_sent() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    error = await error_of(answer)
    assert error.spec is NODE_UNREACHABLE
    assert not isinstance(error, NeverSent)
    assert exit_of(error) is Exit.UNKNOWN


async def test_a_port_where_nobody_listens_means_that_nothing_was_sent() -> None:
    async with answering(saying(200, {})) as transport:
        url = transport.url
    async with Transport(url, CHAIN, "sales", KEY) as transport:
        with pytest.raises(NeverSent):
            await transport.json("GET", "/v1/status")


async def test_a_request_signed_in_the_second_of_the_nodes_start_is_signed_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signatures: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        signatures.append(request.headers["Signature"])
        if len(signatures) == 1:
            return web.json_response({"code": "auth.before_start", "title": "", "cure": "", "details": {}}, status=401)
        return web.json_response({"height": 1})

    monkeypatch.setattr("cli.transport.time.time", lambda: 1_700_000_000.999)
    async with answering(answer) as transport:
        assert await transport.json("POST", "/v1/phone/check", {"customer": "c"}, is_signed=True) == {"height": 1}
    assert len(set(signatures)) == 2


@pytest.mark.parametrize("number", [10**400, -1, True, None, "9", 1.5, float("nan")])
def test_a_number_that_a_node_says_and_that_cannot_be_is_nothing_to_reckon_with(number: Any) -> None:
    """A progress bar, an expiry or a pause of such a length would end the command in a traceback."""
    assert not is_height(number)
    refusal = RemoteRefusal(ErrorSpec("mempool.busy", "", ""), retry_after_ms=number)
    assert BUSY_PAUSE_S <= _pause_s(refusal) < 2 * 3_600


async def test_who_signs_more_than_the_node_remembers_waits_as_long_as_it_says_and_signs_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, nonces, pauses = NonceCache(), iter(range(NONCES_PER_KEY_MAX + 9)), list[float]()
    for _ in range(NONCES_PER_KEY_MAX):
        cache.use(KEY.public, str(next(nonces)), 30_000, 0)

    async def answer(_request: web.Request) -> web.StreamResponse:
        try:
            cache.use(KEY.public, str(next(nonces)), 90_000, int(sum(pauses) * 1000))
        except KehuError as error:
            return problem_response(error, "r")
        return web.json_response({})

    async def pause(delay_s: float) -> None:
        pauses.append(delay_s)

    async with answering(answer) as transport:
        monkeypatch.setattr("cli.transport.asyncio.sleep", pause)
        assert await transport.json("POST", "/v1/phone/attest", {}, is_signed=True) == {}
    assert sum(pauses) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    "details", [{}, {"retry_after_ms": "soon"}, {"retry_after_ms": -5}, {"retry_after_ms": 10**400}]
)
async def test_a_node_that_says_so_for_ever_is_not_waited_for_for_ever(
    details: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = list[float]()

    async def pause(delay_s: float) -> None:
        pauses.append(delay_s)

    async with answering(saying(429, {"code": "auth.too_many", "details": details})) as transport:
        monkeypatch.setattr("cli.transport.asyncio.sleep", pause)
        with pytest.raises(RemoteRefusal):
            await transport.json("POST", "/v1/phone/attest", {}, is_signed=True)
    assert 180 <= sum(pauses) <= 240
