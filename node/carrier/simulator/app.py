"""The simulated carrier's HTTP API: what gateways ask in two dialects, and the admin API behind another token.

POST /v1/lookup {"number"} -> {"outcome": "found", "identifier"} or {"outcome": "none"}. Number Recycling is in
`recycling`. Numbers travel in bodies, since URLs end up in logs. The whole API is described in docs/carrier.md.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from chain.errors import KehuError
from node.carrier.numbers import parse_number
from node.carrier.simulator.book import ACTIONS, Action, NumberBook
from node.carrier.simulator.calendar import day_of, text_of, today_in_china
from node.carrier.simulator.faults import FaultOrder, Faults, Part, RateLimit
from node.carrier.simulator.http import PORTED, RATE_LIMITED, answer_errors, problem, read_body, require_bearer
from node.carrier.simulator.recycling import Recycling
from node.carrier.simulator.tricks import misbehave

LOOKUP_BYTES_MAX: Final = 1 << 10
ADMIN_BYTES_MAX: Final = 32 << 20
"""A million numbers in one bulk activation."""

Trick: TypeAlias = web.StreamResponse | None


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NumberBody(_Model):
    number: str


class ActionBody(_Model):
    """`on`: the day on which it happens (default: today)."""

    number: str
    on: date | None = Field(default=None, strict=False)


class NumbersBody(_Model):
    numbers: list[str]
    on: date | None = Field(default=None, strict=False)


class RateLimitBody(_Model):
    per_second: float | None = Field(gt=0)
    burst: int = Field(default=1, ge=1)


@dataclass
class Simulator:
    """Everything one simulated carrier holds while it runs. `stopping` lets go of look-ups that hang; `today` is its
    calendar, as days since 1970-01-01; an empty client secret lets nobody in."""

    book: NumberBook
    lookup_token: str
    admin_token: str
    client_id: str = "kehu"
    client_secret: str = ""
    limit: RateLimit = field(default_factory=RateLimit)
    faults: Faults = field(default_factory=Faults)
    counters: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    today: Callable[[], int] = today_in_china

    async def look_up(self, request: web.Request) -> web.StreamResponse:
        self.counters["requests"] += 1
        self._require(request, self.lookup_token)
        wait_s = self.wait_s()
        if wait_s:
            error = KehuError(RATE_LIMITED, per_second=str(self.limit.per_second))
            return problem(error, **{"Retry-After": str(wait_s)})
        number = parse_number((await read_body(request, NumberBody, LOOKUP_BYTES_MAX)).number, None)
        trick = await self.trick(request, number)
        if trick is not None:
            return trick
        if self.book.is_ported(number):
            self.counters["ported"] += 1
            raise KehuError(PORTED)
        identifier = self.book.identifier_of(number)
        self.counters["none" if identifier is None else "found"] += 1
        answer = {"outcome": "none"} if identifier is None else {"outcome": "found", "identifier": identifier}
        return web.json_response(answer)

    def wait_s(self) -> int:
        """0 when a request may go ahead under the rate limit, else the seconds to wait."""
        wait = math.ceil(self.limit.take())
        if wait:
            self.counters["rate_limited"] += 1
        return wait

    async def trick(self, request: web.Request, number: str | None, part: Part = "answers") -> Trick:
        """What a fault in force makes of the request; None if it is to be answered."""
        if number is not None:
            self.asked[number] += 1
        fault = self.faults.pick(number, part)
        if fault is None:
            return None
        self.counters[fault.kind] += 1
        return await misbehave(request, fault, self.stopping)

    async def act(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        action: Action = next(name for name in ACTIONS if name == request.match_info["action"])
        body = await read_body(request, ActionBody, LOOKUP_BYTES_MAX)
        number = parse_number(body.number)
        self.book.apply(action, number, self._day(body.on))
        return self._shown(number)

    async def activate_many(self, request: web.Request) -> web.StreamResponse:
        self._require(request, self.admin_token)
        body = await read_body(request, NumbersBody, ADMIN_BYTES_MAX)
        numbers = {parse_number(text) for text in body.numbers}
        activated = self.book.activate_many(numbers, self._day(body.on))
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

    def _day(self, on: date | None) -> int:
        return self.today() if on is None else day_of(on)

    def _shown(self, number: str) -> web.Response:
        line = self.book.line(number)
        return web.json_response(
            {
                "number": number,
                "state": line.state if line else "unknown",
                "identifier": self.book.identifier_of(number),
                "subscribers": line.subscribers if line else 0,
                "since": text_of(line.since_day) if line else None,
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
            *Recycling(simulator).routes(),
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
