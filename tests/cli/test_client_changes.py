"""A client that learns of changes of membership, as where it does several things at once."""

from __future__ import annotations

import asyncio

from aiohttp import web

from cli.client import NodeClient
from tools.membership_vectors import ACCEPTED_AT, receipt_proof
from tools.sample_chain import make_changes


async def test_answers_that_come_at_the_same_time_follow_each_change_of_membership_once() -> None:
    chain, _ = make_changes()
    proofs = {bytes([height]).hex() * 32: receipt_proof(chain, height) for height in ACCEPTED_AT}

    async def membership(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"changes": [{"transaction": id_} for id_ in proofs]})

    async def proof(request: web.Request) -> web.StreamResponse:
        return web.Response(body=proofs[request.match_info["id"]], content_type="application/octet-stream")

    app = web.Application()
    app.router.add_get("/v1/membership", membership)
    app.router.add_get("/v1/transactions/{id}/proof", proof)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with NodeClient(url, chain.genesis, "sales", None) as client:
            await asyncio.gather(*(client.know(len(ACCEPTED_AT)) for _ in range(8)))
            assert client.known.epoch == len(ACCEPTED_AT)
    finally:
        await runner.cleanup()
