"""The simulator's HTTP manners: problem documents, bearer tokens, and logs that never hold a number."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from pydantic import BaseModel, ValidationError

from chain.errors import ErrorSpec, KehuError, define, shown_details

LOG: Final = logging.getLogger("kehu.carrier.simulator")

UNAUTHORIZED = define(
    "simulator.unauthorized",
    "the request has no bearer token, or not the one of this part of the API",
    "send Authorization: Bearer with the look-up token or the admin token",
)
RATE_LIMITED = define(
    "simulator.rate_limited",
    "more look-ups than the carrier's rate limit allows",
    "wait for the seconds in Retry-After",
)
PORTED = define(
    "simulator.ported",
    "the number is with another operator now, so this carrier can't speak of its subscriber",
    "ask the operator that has it, or have it ported back: `kehu carrier set port-in NUMBER`",
)
REQUEST_MALFORMED = define(
    "simulator.request_malformed",
    "the request's body is not the JSON object of this endpoint",
    "send application/json with the fields of docs/carrier.md",
)

_STATUS: Final = {
    UNAUTHORIZED.code: 401,
    RATE_LIMITED.code: 429,
    "simulator.action_refused": 409,
    PORTED.code: 404,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = TypeVar("Body", bound=BaseModel)


def problem(error: KehuError, **headers: str) -> web.Response:
    """RFC 9457: application/problem+json with the code, the cause, the cure and the compared values."""
    return _problem(error.spec, _STATUS.get(error.code, 400), shown_details(error), headers)


def _problem(spec: ErrorSpec, status: int, details: dict[str, Any], headers: dict[str, str]) -> web.Response:
    body = {"title": spec.cause, "status": status, "code": spec.code, "cure": spec.cure, "details": details}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns a refused request into a problem document; what else goes wrong is the server's to log."""
    try:
        return await handler(request)
    except KehuError as error:
        return problem(error)


def require_bearer(request: web.Request, token: str) -> None:
    """Raises simulator.unauthorized unless the request carries `token`; compares in constant time."""
    given = request.headers.get(hdrs.AUTHORIZATION, "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise KehuError(UNAUTHORIZED)


async def read_body(request: web.Request, model: type[Body], bytes_max: int) -> Body:
    """The request's JSON as `model`; the error names the fields at fault and never their content."""
    if request.content_length is None or request.content_length > bytes_max:
        raise KehuError(REQUEST_MALFORMED, bytes=request.content_length, limit=bytes_max)
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        at = sorted({".".join(str(part) for part in item["loc"]) or "body" for item in error.errors()})
        names = [name for name in at if name.split(".")[0] in {*model.model_fields, "body"}]
        raise KehuError(REQUEST_MALFORMED, fields=",".join(names) or "unknown field") from None


class AccessLog(AbstractAccessLogger):
    """One line per request: method, route, status, duration. Not the path as sent, which could hold a number."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        method = request.method if request.method in hdrs.METH_ALL else "other"
        self.logger.info("%s %s %d %d ms", method, _route_of(request), response.status, round(time * 1000))


def _route_of(request: web.BaseRequest) -> str:
    """The pattern of the route; a request too broken to be routed has no match at all (aiohttp asserts one)."""
    try:
        resource = request.match_info.route.resource if isinstance(request, web.Request) else None
    except AssertionError:
        resource = None
    return resource.canonical if resource is not None else "unmatched"


class _NoMessages(logging.Filter):
    """Keeps where an exception came from and drops its message, which may quote the request."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = f"a request failed: {_whence(error)}", ()
            record.exc_info = record.exc_text = None
        return True


def _whence(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return type(error).__name__ + where


def server_log() -> logging.Logger:
    """The logger for aiohttp's own complaints, with messages that could quote a request left out."""
    log = LOG.getChild("server")
    if not log.filters:
        log.addFilter(_NoMessages())
    return log
