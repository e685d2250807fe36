"""What a client says of a transaction when something between it and the node answers in the node's place."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chain.errors import KehuError
from chain.transaction import Call
from cli.client import NOT_COMMITTED, OUTCOME_UNKNOWN, NodeClient
from cli.exits import Exit, exit_of
from cli.transport import NODE_ANSWER_MALFORMED
from cli.verify import Committed
from node.api.app import make_app
from node.api.problems import problem_of
from node.api.server import serve
from node.intake.admission import Admission
from node.intake.pressure import MEMPOOL_BUSY
from node.members.membership import NODE_NOT_MEMBER
from node.storage.durable import STORAGE_IO, StorageFailure
from node.vault.values import VaultValue
from tests.node.api.fake_node import FakeNode, key_of, make_genesis

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def client_of(
    submitted: Answer, looked_up: Answer, wait_s: float = 0.01, more: Mapping[str, Answer] | None = None
) -> AsyncIterator[NodeClient]:
    """A client of something that answers submissions and look-ups so, and `more` paths."""

    async def status(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"height": 1})

    app = web.Application()
    app.router.add_get("/v1/status", status)
    app.router.add_post("/v1/transactions", submitted)
    app.router.add_get("/v1/transactions/{id}/proof", looked_up)
    for path, answer in (more or {}).items():
        app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with NodeClient(url, make_genesis(), "sales", key_of("li"), wait_s) as client:
            yield client
    finally:
        await runner.cleanup()


async def proxy(_request: web.Request) -> web.StreamResponse:
    """What stands before the node has lost patience with it."""
    return web.Response(status=504, text="<html>504 Gateway Time-out</html>", content_type="text/html")


async def not_committed(_request: web.Request) -> web.StreamResponse:
    problem = {"code": NOT_COMMITTED, "title": "", "cure": "", "details": {}}
    return web.Response(status=404, body=json.dumps(problem).encode(), content_type="application/problem+json")


async def refused(_request: web.Request) -> web.StreamResponse:
    return web.json_response(problem_of(KehuError(NODE_NOT_MEMBER)), status=503)


@pytest.mark.parametrize("looked_up", [not_committed, proxy])
async def test_a_proxys_page_in_place_of_the_answer_leaves_the_outcome_unknown(looked_up: Answer) -> None:
    """The node may have taken it: whoever did the work again could do it twice."""
    async with client_of(proxy, looked_up) as client:
        draft = await client.draft([Call("access.login", {})])
        (outcome,) = await client.submit([draft])
    assert isinstance(outcome, KehuError)
    assert (outcome.spec, outcome.details["transaction"]) == (OUTCOME_UNKNOWN, draft.transaction.id)
    assert exit_of(outcome) is Exit.UNKNOWN


async def test_a_refusal_of_those_sent_again_says_nothing_of_the_others_that_were_taken_before() -> None:
    """Of two, the node takes one and has no room for the other; then it takes nothing any more."""
    answers = [
        {"transactions": [
            {"id": "00" * 32, "status": "pending"},
            {"id": "11" * 32, "status": "refused", "error": problem_of(KehuError(MEMPOOL_BUSY, retry_after_ms=1))},
        ]},
        problem_of(KehuError(NODE_NOT_MEMBER)),
    ]  # fmt: skip

    async def submitted(_request: web.Request) -> web.StreamResponse:
        value = answers.pop(0)
        return web.json_response(value, status=200 if answers else 503)

    async with client_of(submitted, not_committed, wait_s=0.2) as client:
        drafts = [await client.draft([Call("access.login", {})]) for _ in range(2)]
        outcomes = await client.submit(drafts)
    assert [one.code for one in outcomes if isinstance(one, KehuError)] == [OUTCOME_UNKNOWN.code, MEMPOOL_BUSY.code]


async def test_what_got_lost_on_its_way_is_sent_again_under_the_same_id() -> None:
    """The node failed before it had taken anything: to look it up only would end with an outcome that nobody knows."""
    node, came = FakeNode(commits_at_once=True), []
    submit = node.submit

    async def lose_the_first(envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        came.append(list(envelopes))
        if len(came) == 1:
            raise StorageFailure(STORAGE_IO, operation="write")
        return await submit(envelopes, values)

    node.submit = lose_the_first  # type: ignore[method-assign]
    server = await serve(make_app(node, node.clock), "127.0.0.1", 0)
    try:
        async with NodeClient(f"http://127.0.0.1:{server.port}", node.genesis, "sales", key_of("li")) as client:
            draft = await client.draft([Call("access.login", {})])
            (outcome,) = await client.submit([draft])
    finally:
        await server.close()
    assert isinstance(outcome, Committed)
    assert (outcome.height, outcome.receipt.is_ok) == (1, True)
    assert came == [[draft.transaction.raw]] * 2


async def test_a_client_that_goes_on_for_long_signs_by_the_newest_block_that_it_knows() -> None:
    """It asks once where the node is; after as many blocks as a transaction may wait, all it signed had expired."""
    node = FakeNode(commits_at_once=True)
    server = await serve(make_app(node, node.clock), "127.0.0.1", 0)
    try:
        async with NodeClient(f"http://127.0.0.1:{server.port}", node.genesis, "sales", key_of("li")) as client:
            expires = []
            for _ in range(3):
                draft = await client.draft([Call("access.login", {})])
                expires.append(draft.transaction.expires_height)
                (outcome,) = await client.submit([draft])
                assert isinstance(outcome, Committed)
    finally:
        await server.close()
    assert expires == [expires[0], expires[0] + 1, expires[0] + 2]


async def test_what_the_node_has_is_not_sent_again() -> None:
    came = []

    async def submitted(request: web.Request) -> web.StreamResponse:
        came.append(await request.read())
        return web.json_response({"transactions": [{"id": "00" * 32, "status": "pending"}]})

    async with client_of(submitted, not_committed, wait_s=0.6) as client:
        (outcome,) = await client.submit([await client.draft([Call("access.login", {})])])
    assert isinstance(outcome, KehuError)
    assert (outcome.spec, len(came)) == (OUTCOME_UNKNOWN, 1)


async def test_a_refusal_of_what_was_sent_again_is_no_refusal_of_what_was_sent_before() -> None:
    answers = [proxy, refused, refused]

    async def submitted(request: web.Request) -> web.StreamResponse:
        return await answers.pop(0)(request)

    async with client_of(submitted, not_committed, wait_s=0.6) as client:
        (outcome,) = await client.submit([await client.draft([Call("access.login", {})])])
    assert isinstance(outcome, KehuError)
    assert (outcome.spec, len(answers)) == (OUTCOME_UNKNOWN, 1)


@pytest.mark.parametrize("following", [["b", 5], ["b", ["c"]], ["b", "b"], ["b", "c", "b"]])
async def test_a_listing_that_does_not_go_on_is_an_answer_of_no_kehu_node(following: list[object]) -> None:
    async def listed(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"items": [], "next": following.pop(0)})

    async with client_of(proxy, proxy, more={"/v1/people": listed}) as client:
        with pytest.raises(KehuError) as caught:
            await client.pages("/v1/people")
    assert (caught.value.spec, caught.value.details["path"]) == (NODE_ANSWER_MALFORMED, "/v1/people")


@pytest.mark.parametrize("change", [{}, 5, {"transaction": 5}, {"transaction": "x"}])
async def test_changes_of_membership_that_name_no_transaction_are_an_answer_of_no_kehu_node(change: object) -> None:
    async def membership(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"changes": [change]})

    async with client_of(proxy, proxy, more={"/v1/membership": membership}) as client:
        with pytest.raises(KehuError) as caught:
            await client.know(1)
    assert (caught.value.spec, caught.value.details["path"]) == (NODE_ANSWER_MALFORMED, "/v1/membership")
