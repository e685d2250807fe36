"""What every handler has at hand, and the small bookkeeping they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, runtime_checkable

from aiohttp import web
from pydantic import BaseModel

from chain.errors import ErrorSpec, KehuError
from node.api.authentication import Authenticator, Clock
from node.api.bodies import parse_json, read_body
from node.api.facade import NodeFacade
from node.api.limits import ApiLimits
from node.api.pace import CustomerPace

Body = TypeVar("Body", bound=BaseModel)


class Slots:
    """At most `total` at once, and `each` for one holder."""

    def __init__(self, total: int, each: int, refusal: ErrorSpec) -> None:
        self._total = total
        self._each = each
        self._refusal = refusal
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, holder: str) -> Iterator[None]:
        """Raises the refusal when there is no place."""
        if self._held.total() >= self._total or self._held[holder] >= self._each:
            raise KehuError(self._refusal, limit=self._total, limit_each=self._each)
        self._held[holder] += 1
        try:
            yield
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


@runtime_checkable
class Deadline(Protocol):
    """A connection whose time can be set anew; see `server.GuardedHandler`."""

    def allow(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """One per application."""

    node: NodeFacade
    clock: Clock
    limits: ApiLimits
    authenticator: Authenticator
    pace: CustomerPace


CONTEXT: Final = web.AppKey("context", Context)


def context_of(request: web.Request) -> Context:
    return request.app[CONTEXT]


def allow(request: web.Request, seconds: float) -> None:
    """Gives the connection `seconds` from now before it is cut, whatever happens."""
    if isinstance(request.protocol, Deadline):
        request.protocol.allow(seconds)


async def read_model(request: web.Request, model: type[Body]) -> Body:
    """The request's JSON body as `model`. Errors: http.*."""
    limits = context_of(request).limits
    return parse_json(await read_body(request, limits.body_s, limits.body_bytes_max), model)


def answer(body: BaseModel, status: int = 200) -> web.Response:
    """`body` as JSON, members that are None left out where they were not set."""
    return web.Response(
        status=status, body=body.model_dump_json(exclude_unset=True).encode(), content_type="application/json"
    )
