"""/metrics for Prometheus, on an address of its own: what people and customers reach says nothing to scrapers, and the
other way round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from node.api.limits import ApiLimits

LIMITS: Final = ApiLimits(body_bytes_max=1, connections_max=16, connections_per_address_max=8)


def make_metrics_app(render: Callable[[], bytes]) -> web.Application:
    """One route. `render` gives the text format; it runs on the event loop and takes a few ms."""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=LIMITS.body_bytes_max)
    app.router.add_get("/metrics", show)
    return app
