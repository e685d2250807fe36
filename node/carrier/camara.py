"""The CAMARA Number Recycling dialect: whether the subscriber of a number has changed since a day.

POST {url}/number-recycling/v0.2/check {"phoneNumber", "specifiedDate"} with an access token of the client credentials
kind, for which the number must be in the body. The answer is {"phoneNumberRecycled": true or false}. Every error of
the definition is no answer with a reason; docs/carrier.md has the table.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from chain.attestation import DAY_MS
from node.carrier.client import Again, ClientLimits, PlatformClient, Reply, reason_of
from node.carrier.oauth import Credentials, TokenSource
from node.carrier.platform import Answer, Reason

PATH: Final = "/number-recycling/v0.2/check"
SCOPE: Final = "number-recycling:check"
CORRELATOR: Final = "x-correlator"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LOG: Final = logging.getLogger("kehu.carrier")

REASONS: Final[dict[tuple[int, str], Reason]] = {
    (400, "INVALID_ARGUMENT"): "refused",
    (400, "OUT_OF_RANGE"): "out_of_range",
    (401, "UNAUTHENTICATED"): "unauthenticated",
    (403, "PERMISSION_DENIED"): "denied",
    (403, "INVALID_TOKEN_CONTEXT"): "denied",
    (404, "IDENTIFIER_NOT_FOUND"): "not_served",
    (422, "SERVICE_NOT_APPLICABLE"): "not_applicable",
    (422, "MISSING_IDENTIFIER"): "refused",
    (422, "UNNECESSARY_IDENTIFIER"): "refused",
}
"""Status and code of an error -> why there is no answer. What is not here goes by its status alone."""


@dataclass(frozen=True, slots=True)
class RecyclingConfig(ClientLimits):
    """url: the API root; token_url: where tokens come from. utc_offset_minutes: of the platform's calendar."""

    name: str
    url: str
    token_url: str
    read_credentials: Callable[[], Credentials]
    utc_offset_minutes: int = 480
    scope: str = SCOPE

    def __repr__(self) -> str:
        return f"RecyclingConfig({self.name!r}, {self.url!r})"


class NumberRecycling(PlatformClient):
    """A `CarrierPlatform` that speaks Number Recycling."""

    dialect = "number-recycling"

    def __init__(self, config: RecyclingConfig) -> None:
        super().__init__(config.name, config, {})
        self._url = config.url + PATH
        self._offset_ms = config.utc_offset_minutes * 60_000
        self._tokens = TokenSource(self, config.token_url, config.scope, config.read_credentials)

    async def look_up(self, number: str, since_ms: int) -> Answer:
        since_day = (since_ms + self._offset_ms) // DAY_MS
        return await self.ask(lambda: self._attempt(number, since_day))

    async def _attempt(self, number: str, since_day: int) -> Answer | Again:
        """A token that is refused is given up, and the question asked once more with a new one."""
        for is_again in (False, True):
            if is_again:
                await self.wait_for_turn()
            token = await self._tokens.token()
            if not isinstance(token, str):
                return token
            outcome = await self._check(token, number, since_day)
            if outcome is not None:
                return outcome
            self._tokens.drop(token)
        return Answer.no_answer("unauthenticated")

    async def _check(self, token: str, number: str, since_day: int) -> Answer | Again | None:
        """None if the token is refused. Whatever is no clear answer, silence above all, the platform can be asked about
        by the correlator."""
        correlator = str(uuid.uuid4())
        headers = {"Authorization": f"Bearer {token}", CORRELATOR: correlator}
        body = {"phoneNumber": number, "specifiedDate": date.fromordinal(_EPOCH + since_day).isoformat()}
        outcome: Answer | Again | None = None
        said = "nothing"
        try:
            reply = await self.post(self._url, headers, json=body)
            said = str(reply.status)
            outcome = None if reply.status == 401 else self._answer_of(reply, since_day)
        finally:
            if not isinstance(outcome, Answer) or outcome.reason is not None:
                _LOG.info("carrier %s answered %s, %s %s", self.name, said, CORRELATOR, correlator)
        return outcome

    def _answer_of(self, reply: Reply, since_day: int) -> Answer | Again:
        if reply.status == 429:
            return self.hold_back(reply.retry_after)
        if reply.status != 200:
            return Answer.no_answer(REASONS.get((reply.status, _code_of(reply)), reason_of(reply.status)))
        said = reply.json()
        is_recycled = said.get("phoneNumberRecycled") if isinstance(said, dict) else None
        if type(is_recycled) is not bool:
            raise ValueError("neither true nor false")
        return Answer.changed(since_day) if is_recycled else Answer.same(since_day)


def _code_of(reply: Reply) -> str:
    """The code of an ErrorInfo body, or nothing."""
    try:
        said: Any = reply.json()
    except ValueError:
        return ""
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) else ""
