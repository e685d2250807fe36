"""Path and query parameters: few, checked, and never echoed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from chain.errors import KehuError, define

HTTP_PARAMETER = define(
    "http.parameter",
    "a parameter in the path or the query is not of the form this route takes",
    "compare the named parameter with this route in /v1/openapi.json",
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UINT: Final = re.compile(r"(0|[1-9][0-9]{0,15})", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,255}", re.ASCII)


def read_digest(request: web.Request, name: str) -> bytes:
    """A path part that is 32 bytes in hex. Errors: http.parameter."""
    text = request.match_info[name]
    if _DIGEST.fullmatch(text) is None:
        raise KehuError(HTTP_PARAMETER, parameter=name, expected="64 lower-case hex digits")
    return bytes.fromhex(text)


def read_path_uint(request: web.Request, name: str) -> int:
    return _uint(request.match_info[name], name)


def read_uint(request: web.Request, name: str, default: int) -> int:
    """A query parameter, at most once. Errors: http.parameter."""
    text = _single(request, name)
    return default if text is None else _uint(text, name)


def read_choice(request: web.Request, name: str, choices: Sequence[str]) -> str:
    """One of `choices`; the last one if the parameter is left out. Errors: http.parameter."""
    text = _single(request, name)
    if text is not None and text not in choices:
        raise KehuError(HTTP_PARAMETER, parameter=name, expected=" or ".join(choices))
    return choices[-1] if text is None else text


def read_name(request: web.Request, name: str) -> str | None:
    """A query parameter that is a state key. Errors: http.parameter."""
    text = _single(request, name)
    return None if text is None else require_name(text, name)


def require_name(text: str, name: str) -> str:
    """`text` if it is of the form state keys have. Errors: http.parameter."""
    if _NAME.fullmatch(text) is None:
        raise KehuError(HTTP_PARAMETER, parameter=name, expected="an id: lower-case letters, digits, _ . : -")
    return text


def _single(request: web.Request, name: str) -> str | None:
    given = request.query.getall(name, [])
    if len(given) > 1:
        raise KehuError(HTTP_PARAMETER, parameter=name, expected="at most once")
    return given[0] if given else None


def _uint(text: str, name: str) -> int:
    if _UINT.fullmatch(text) is None:
        raise KehuError(HTTP_PARAMETER, parameter=name, expected="a whole number from 0 on")
    return int(text)
