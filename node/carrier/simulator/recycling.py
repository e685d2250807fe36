"""The simulated carrier's CAMARA side: access tokens, and the check of Number Recycling.

POST /oauth2/token (client credentials) and POST /number-recycling/v0.2/check {"phoneNumber", "specifiedDate"}. Errors
are CAMARA's ErrorInfo; which one a number, a date or a token gets follows the definition, the rest comes by faults.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field

from chain.errors import KehuError
from node.carrier.simulator.calendar import day_of
from node.carrier.simulator.http import read_body, require_bearer

if TYPE_CHECKING:
    from node.carrier.simulator.app import Simulator

CHECK_PATH: Final = "/number-recycling/v0.2/check"
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
SCOPE: Final = "number-recycling:check"
BODY_BYTES_MAX: Final = 1 << 10
LOOK_BACK_DAYS: Final = 3_650
"""Days further back are out of range."""
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{4,14}")
_CORRELATOR: Final = re.compile(r"[a-zA-Z0-9\-_:;./<>{}]{0,256}")


class CheckBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    phoneNumber: str | None = None  # noqa: N815 - the definition's name
    specifiedDate: date = Field(strict=False)  # noqa: N815 - the definition's name


class LifetimeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    lifetime_s: int = Field(ge=0, le=86_400)


class Recycling:
    """One carrier's tokens live in memory: a restart takes them back."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._lifetime_s = 600
        self._tokens: dict[str, tuple[float, str]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(TOKEN_PATH, self.give_token),
            web.post(CHECK_PATH, self.check),
            web.put("/admin/v1/tokens", self.set_tokens),
        ]

    async def give_token(self, request: web.Request) -> web.StreamResponse:
        """RFC 6749, sections 4.4 and 5."""
        simulator = self._simulator
        simulator.counters["tokens"] += 1
        trick = await simulator.trick(request, None, "tokens")
        if trick is not None:
            return trick
        if not self._is_client(request.headers.get(hdrs.AUTHORIZATION, "")):
            return web.json_response({"error": "invalid_client"}, status=401)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        token, scope = secrets.token_urlsafe(32), str(form.get("scope", SCOPE))
        self._tokens[token] = (time.monotonic() + self._lifetime_s, scope)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self._lifetime_s, "scope": scope}
        return web.json_response(answer, headers={hdrs.CACHE_CONTROL: "no-store"})

    async def check(self, request: web.Request) -> web.StreamResponse:
        response = await self._check(request)
        correlator = request.headers.get("x-correlator", "")
        if correlator and _CORRELATOR.fullmatch(correlator) and not response.prepared:
            response.headers["x-correlator"] = correlator
        return response

    async def _check(self, request: web.Request) -> web.StreamResponse:
        simulator = self._simulator
        simulator.counters["requests"] += 1
        refusal = self._refusal(request.headers.get(hdrs.AUTHORIZATION, ""))
        if refusal is not None:
            return refusal
        wait_s = simulator.wait_s()
        if wait_s:
            return error_info(429, "TOO_MANY_REQUESTS", **{"Retry-After": str(wait_s)})
        try:
            body = await read_body(request, CheckBody, BODY_BYTES_MAX)
        except KehuError:
            return error_info(400, "INVALID_ARGUMENT")
        if body.phoneNumber is None:
            return error_info(422, "MISSING_IDENTIFIER")
        if not _NUMBER.fullmatch(body.phoneNumber):
            return error_info(400, "INVALID_ARGUMENT")
        return await self._answer(request, body.phoneNumber, day_of(body.specifiedDate))

    async def _answer(self, request: web.Request, number: str, day: int) -> web.StreamResponse:
        simulator = self._simulator
        trick = await simulator.trick(request, number)
        if trick is not None:
            return trick
        today = simulator.today()
        if not today - LOOK_BACK_DAYS <= day <= today:
            return error_info(400, "OUT_OF_RANGE")
        if simulator.book.is_ported(number):
            simulator.counters["ported"] += 1
            return error_info(404, "IDENTIFIER_NOT_FOUND")
        is_recycled = simulator.book.has_changed(number, day)
        simulator.counters["changed" if is_recycled else "same"] += 1
        return web.json_response({"phoneNumberRecycled": is_recycled})

    async def set_tokens(self, request: web.Request) -> web.StreamResponse:
        require_bearer(request, self._simulator.admin_token)
        self._lifetime_s = (await read_body(request, LifetimeBody, BODY_BYTES_MAX)).lifetime_s
        self._tokens.clear()
        return web.json_response({"lifetime_s": self._lifetime_s})

    def _refusal(self, authorization: str) -> web.Response | None:
        until, scope = self._tokens.get(authorization.removeprefix("Bearer "), (0.0, ""))
        if time.monotonic() >= until:
            self._simulator.counters["unauthorized"] += 1
            return error_info(401, "UNAUTHENTICATED")
        return None if SCOPE in scope.split() else error_info(403, "PERMISSION_DENIED")

    def _is_client(self, authorization: str) -> bool:
        try:
            pair = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
        except ValueError:
            return False
        given = [unquote_plus(part) for part in pair.split(":", 1)]
        expected = [self._simulator.client_id, self._simulator.client_secret]
        return all(expected) and hmac.compare_digest("\n".join(given).encode(), "\n".join(expected).encode())


def error_info(status: int, code: str, **headers: str) -> web.Response:
    """CAMARA's ErrorInfo."""
    body: dict[str, Any] = {"status": status, "code": code, "message": code.replace("_", " ").capitalize() + "."}
    return web.json_response(body, status=status, headers=headers)
