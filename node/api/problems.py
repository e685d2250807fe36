"""Refusals as problem documents (RFC 9457): a stable code, the cause, the cure and the compared values.

Nothing that was sent is quoted, and of what went wrong inside only the code `node.fault` gets out; the log has
the place in the source, not the message, which could hold a value.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from chain.errors import ErrorSpec, KehuError, define, shown_details

LOG: Final = logging.getLogger("kehu.api")
MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = web.RequestKey("request_id", str)
"""Random, drawn here; it stands in the answer and in the log."""
REQUEST_ID_HEADER: Final = "Kehu-Request"
SERVER_NAME: Final = "kehu"
RETRY_AFTER_MS: Final = "retry_after_ms"
"""An error that carries this detail tells the client when to come back."""

NODE_FAULT = define(
    "node.fault",
    "the node failed on this request in a way it did not foresee",
    "report it with the request id; the node's log has the place",
)
HTTP_MALFORMED = define("http.malformed", "the bytes are not an HTTP/1.1 request", "use an HTTP client")
HTTP_NO_ROUTE = define(
    "http.no_route", "there is nothing at this path", "compare it with /v1/openapi.json, which lists every route"
)
HTTP_METHOD = define(
    "http.method", "this path does not take this method", "use a method of the Allow header"
)  # fmt: skip
HTTP_TOO_LARGE = define(
    "http.too_large", "the request's body has more bytes than the node takes", "send it in several requests"
)
HTTP_TIMEOUT = define(
    "http.timeout", "the request's body did not arrive in time", "send it again over a better connection"
)
HTTP_MEDIA_TYPE = define(
    "http.media_type",
    "the request's body is of a type, or in a coding, that this route does not take",
    "send application/json (or application/msgpack where the route says so) without Content-Encoding",
)
HTTP_CONNECTIONS = define(
    "http.connections",
    "the node has as many connections as it may, in all or from this address",
    "close idle connections, wait as Retry-After says and come again",
)

_STATUS: Final = {
    "access.not_committed": 409,
    "access.not_yours": 403,
    "access.too_old": 410,
    "auth.customer_pace": 429,
    "auth.key_revoked": 403,
    "auth.key_unknown": 403,
    "auth.not_a_person": 403,
    "auth.not_own": 403,
    "auth.other_department": 403,
    "auth.role": 403,
    "auth.too_many": 429,
    "auth.wrong_department": 421,
    "backup.running": 429,
    "block.not_found": 404,
    "block.not_held": 503,
    "events.too_many": 429,
    "export.too_many": 429,
    "http.connections": 503,
    "http.media_type": 415,
    "http.method": 405,
    "http.no_route": 404,
    "http.timeout": 408,
    "http.too_large": 413,
    "mempool.busy": 429,
    "mempool.full": 429,
    "mempool.sender_limit": 429,
    "node.fault": 500,
    "node.not_level": 503,
    "node.not_member": 503,
    "node.outcome_unknown": 504,
    "phone.no_gateway": 409,
    "phone.not_held": 409,
    "record.erased": 410,
    "record.unknown": 404,
    "search.cursor": 409,
    "search.not_ready": 503,
    "search.unknown": 404,
    "state.by_log": 403,
    "state.not_certified": 409,
    "state.unknown_table": 404,
    "transaction.not_committed": 404,
    "vault.damaged": 503,
    "vault.missing": 503,
    "vault.not_enough_holders": 503,
    "vault.staged_full": 503,
    "vault.superseded": 409,
}
_STATUS_BY_AREA: Final = {"auth": 401, "storage": 500, "carrier": 502, "permission": 403}
_BAD_REQUEST: Final = 400
_RETRYABLE: Final = frozenset({429, 503})


def status_of(code: str) -> int:
    """The HTTP status of an error code; what isn't listed is the request's fault."""
    return _STATUS.get(code, _STATUS_BY_AREA.get(code.partition(".")[0], _BAD_REQUEST))


def new_request_id() -> str:
    return secrets.token_hex(8)


def marks(request_id: str) -> dict[str, str]:
    """The headers that every answer has. A proxy that kept an answer would give it to whoever asks unsigned."""
    return {
        REQUEST_ID_HEADER: request_id,
        hdrs.SERVER: SERVER_NAME,
        "X-Content-Type-Options": "nosniff",
        hdrs.CACHE_CONTROL: "no-store",
    }


def problem_of(error: KehuError) -> dict[str, Any]:
    """The members of the problem document, without the request id."""
    details = shown_details(error)
    compared = ", ".join(f"{name}={value}" for name, value in details.items())
    return {
        "type": f"urn:kehu:error:{error.code}",
        "title": error.spec.cause,
        "status": status_of(error.code),
        "code": error.code,
        "detail": compared or error.spec.cause,
        "cure": error.spec.cure,
        "details": details,
    }


def problem_response(
    error: KehuError, request_id: str, retry_after_s: int = 1, more: Mapping[str, Any] | None = None
) -> web.Response:
    """The document as an answer; `more` are extension members. 429 and 503 say when to come again."""
    body = {**problem_of(error), "request": request_id, **(more or {})}
    response = web.Response(
        status=body["status"], body=json.dumps(body, ensure_ascii=False).encode(), content_type=MEDIA_TYPE
    )
    if response.status in _RETRYABLE:
        wait_ms = error.details.get(RETRY_AFTER_MS)
        seconds = -(-wait_ms // 1000) if isinstance(wait_ms, int) else retry_after_s
        response.headers[hdrs.RETRY_AFTER] = str(seconds)
    return response


def http_problem(error: web.HTTPException) -> KehuError:
    """What aiohttp itself refuses, as one of ours."""
    known: dict[int, ErrorSpec] = {404: HTTP_NO_ROUTE, 405: HTTP_METHOD, 413: HTTP_TOO_LARGE}
    return KehuError(known.get(error.status, HTTP_MALFORMED if error.status < 500 else NODE_FAULT))


def whence(error: BaseException) -> str:
    """Where an exception came from, without its message."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return type(error).__name__ + where
