"""Request bodies: read within a deadline and a size, compared with the signed digest, parsed strictly.

Strictly means one spelling: a name that stands twice in an object, a number that isn't whole, NaN, or nesting too
deep for the parser is `http.json`, before pydantic looks at the shape.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any, Final, NoReturn, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from chain.errors import KehuError, define
from node.api.people import PERSON
from node.api.problems import HTTP_TIMEOUT, HTTP_TOO_LARGE
from node.api.signature_terms import DIGEST_HEADER
from node.api.signing import content_digest

Body = TypeVar("Body", bound=BaseModel)
FIELDS_SHOWN_MAX: Final = 10
OBJECTS_MAX: Final = 50_000
"""JSON objects in one body; the largest submission has a few thousand."""
MEMBERS_MAX: Final = 1_000
"""Members of one object. Unknown ones are refused one by one, which takes its time."""

HTTP_JSON = define(
    "http.json",
    "the request's body is not JSON as Kehu takes it",
    "send one UTF-8 JSON value: unique names, whole numbers, no NaN, moderate nesting",
)
HTTP_FIELDS = define(
    "http.fields",
    "a field of the request is missing, unknown, of another type, or out of its range",
    "compare the named fields with this route in /v1/openapi.json",
)
HTTP_DIGEST = define(
    "http.digest",
    "the request's body is not the one whose digest was signed",
    "send the body as it was signed; if you did, somebody changed it on the way",
)
HTTP_BODY_BROKEN = define(
    "http.body_broken", "the request's body ended early or is badly framed", "send the request again"
)


async def read_body(request: web.Request, deadline_s: float, bytes_max: int) -> bytes:
    """The whole body. Errors: http.too_large, http.timeout, http.body_broken, http.digest."""
    if request.content_length is not None and request.content_length > bytes_max:
        raise KehuError(HTTP_TOO_LARGE, bytes=request.content_length, limit=bytes_max)
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    try:
        async with asyncio.timeout(deadline_s):
            body = await request.read()
    except TimeoutError:
        raise KehuError(HTTP_TIMEOUT, limit_ms=round(deadline_s * 1000)) from None
    except web.HTTPRequestEntityTooLarge:
        raise KehuError(HTTP_TOO_LARGE, limit=bytes_max) from None
    except web.RequestPayloadError:
        raise KehuError(HTTP_BODY_BROKEN) from None
    if PERSON in request:
        signed = request.headers.get(DIGEST_HEADER, "")
        if not hmac.compare_digest(signed.encode(), content_digest(body).encode()):
            raise KehuError(HTTP_DIGEST, expected=content_digest(body))
    return body


def parse_json(body: bytes, model: type[Body]) -> Body:
    """The body as `model`; errors name fields of the model, never what was sent. Errors: http.json, http.fields."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_Objects(), parse_float=_refuse_number, parse_constant=_refuse_number
        )
    except (ValueError, RecursionError) as error:
        raise KehuError(HTTP_JSON, problem=type(error).__name__) from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise KehuError(HTTP_FIELDS, fields=", ".join(_places(error, model))) from None


class _Objects:
    """Makes the objects of one body, with unique names, and not too many."""

    def __init__(self) -> None:
        self._left = OBJECTS_MAX

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0 or len(pairs) > MEMBERS_MAX:
            raise ValueError("too many objects or members")
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name stands twice")
        return made


def _refuse_number(_text: str) -> NoReturn:
    raise ValueError("not a whole number")


def _places(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Where it went wrong. A member that the model doesn't know is shown as "unknown member": it could be anything."""
    places = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:FIELDS_SHOWN_MAX]:
        known = [str(part) for part in item["loc"] if isinstance(part, int) or item["type"] != "extra_forbidden"]
        path = ".".join(known) or model.__name__
        places.append(f"unknown member in {path}" if item["type"] == "extra_forbidden" else f"{path} ({item['type']})")
    return places
