"""The simulated carrier's HTTP API: the look-up that gateways use, and the admin API behind another token.

POST /v1/lookup {"number"} -> {"outcome": "found", "identifier"} or {"outcome": "none"}. The number travels in
the body, since URLs end up in logs. The whole API is described in docs/carrier.md.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from chain.errors import KehuError
from node.carrier.numbers import parse_number
from node.carrier.simulator.book import ACTIONS, Action, NumberBook
from node.carrier.simulator.faults import FaultOrder, Faults, RateLimit
from node.carrier.simulator.http import RATE_LIMITED, answer_errors, problem, read_body, require_bearer
from node.carrier.simulator.tricks import misbehave

LOOKUP_BYTES_MAX: Final = 1 << 10
ADMIN_BYTES_MAX: Final = 32 << 20
"""A million numbers in one bulk activation."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NumberBody(_Model):
    number: str


class NumbersBody(_Model):
    numbers: list[str]


class RateLimitBody(_Model):
    per_second: float | None = Field(gt=0)
    burst: int = Field(default=1, ge=1)


@dataclass
class Simulator:
    """Everything one simulated carrier holds while it runs. `stopping` lets go of look-ups that hang."""

    book: NumberBook
    lookup_token: str
    admin_token: str
    limit: RateLimit = field(default_factory=RateLimit)
    faults: Faults = field(default_factory=Faults)
    counters: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def look_up(self, request: web.Request) -> web.StreamResponse:
        self.counters["requests"] += 1
        self._require(request, self.lookup_token)
        wait = self.limit.take()
        if wait > 0:
            self.counters["rate_limited"] += 1
            error = KehuError(RATE_LIMITED, per_second=str(self.limit.per_second))
            return problem(error, **{"Retry-After": str(math.ceil(wait))})
        number = parse_number((await read_body(request, NumberBody, LOOKUP_BYTES_MAX)).number, None)
        self.asked[number] += 1
        fault = self.faults.pick(number)
        if fault is not None:
            self.counters[fault.kind] += 1
            trick = await misbehave(request, fault, self.stopping)
            if trick is not None:
                return trick
        identifier = self.book.identifier_of(number)
        self.counters["none" if identifier is None else "found"] += 1
        answer = {"outcome": "none"} if identifier is None else {"outcome": "found", "identifier": identifier}
        return web.json_response(answer)

    async def act(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        action: Action = next(name for name in ACTIONS if name == request.match_info["action"])
        number = parse_number((await read_body(request, NumberBody, LOOKUP_BYTES_MAX)).number)
        self.book.apply(action, number)
        return self._shown(number)

    async def activate_many(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        body = await read_body(request, NumbersBody, ADMIN_BYTES_MAX)
        numbers = {parse_number(text) for text in body.numbers}
        activated = self.book.activate_many(numbers)
        return web.json_response({"activated": activated, "already": len(numbers) - activated})

    async def show(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        return self._shown(parse_number((await read_body(request, NumberBody, LOOKUP_BYTES_MAX)).number))

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        order = await read_body(request, FaultOrder, LOOKUP_BYTES_MAX)
        if order.number is not None:
            order = order.model_copy(update={"number": parse_number(order.number)})
        self.faults.add(order)
        return web.json_response({"faults": self.faults.shown()})

    async def faults_in_force(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        if request.method == "DELETE":
            self.faults.clear()
        return web.json_response({"faults": self.faults.shown()})

    async def set_rate_limit(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        body = await read_body(request, RateLimitBody, LOOKUP_BYTES_MAX)
        self.limit = RateLimit(body.per_second, body.burst)
        return web.json_response(body.model_dump())

    async def show_counters(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        return web.json_response({"counters": dict(sorted(self.counters.items())), "numbers": len(self.book)})

    async def show_health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    def _require(self, request: web.Request, token: str) -> None:
        try:
            require_bearer(request, token)
        except KehuError:
            self.counters["unauthorized"] += 1
            raise

    def _shown(self, number: str) -> web.Response:
        line = self.book.line(number)
        return web.json_response(
            {
                "number": number,
                "state": line.state if line else "unknown",
                "identifier": self.book.identifier_of(number),
                "subscribers": line.subscribers if line else 0,
                "asked": self.asked[number],
            }
        )


def make_app(simulator: Simulator) -> web.Application:
    """The API as an aiohttp application; shutting it down lets go of the look-ups that hang."""
    app = web.Application(middlewares=[answer_errors], client_max_size=ADMIN_BYTES_MAX)
    app.add_routes(
        [
            web.get("/healthz", simulator.show_health),
            web.post("/v1/lookup", simulator.look_up),
            web.post(f"/admin/v1/numbers/{{action:{'|'.join(ACTIONS)}}}", simulator.act),
            web.post("/admin/v1/numbers/activate-many", simulator.activate_many),
            web.post("/admin/v1/numbers/show", simulator.show),
            web.post("/admin/v1/faults", simulator.add_fault),
            web.get("/admin/v1/faults", simulator.faults_in_force),
            web.delete("/admin/v1/faults", simulator.faults_in_force),
            web.put("/admin/v1/rate-limit", simulator.set_rate_limit),
            web.get("/admin/v1/counters", simulator.show_counters),
        ]
    )

    async def let_go(_app: web.Application) -> None:
        simulator.stopping.set()

    app.on_shutdown.append(let_go)
    return app
