"""Access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4): fetched when needed, kept until they expire.

Id and secret are read from their files for every token, so a secret can be exchanged under a running node.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

from node.carrier.client import Again, PlatformClient, Reply
from node.carrier.platform import Answer, Reason

MARGIN_S: Final = 30
"""A token is not used in its last seconds, nor in the last tenth of a short life: it has to last for a question."""
UNSTATED_S: Final = 60
"""How long a token counts whose life the server does not state."""
LIFE_S_MAX: Final = 86_400
"""For as long at most: the server may state any number, and a clock takes not all of them."""
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
"""Visible ASCII, since it goes into a header."""

_REASONS: Final[dict[int, Reason]] = {400: "unauthenticated", 401: "unauthenticated", 403: "denied"}


@dataclass(frozen=True, slots=True)
class Credentials:
    client_id: str
    client_secret: str = field(repr=False)

    def basic(self) -> str:
        """RFC 6749, section 2.3.1: form-encoded, then HTTP Basic."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float


class TokenSource:
    """One token for all questions to a platform; who needs a new one waits for the one that is being fetched."""

    def __init__(self, client: PlatformClient, url: str, scope: str, read: Callable[[], Credentials]) -> None:
        """`read` gives id and secret; ValueError or OSError of it counts as not being let in."""
        self._client = client
        self._url, self._scope, self._read = url, scope, read
        self._token: _Token | None = None
        self._fetching = asyncio.Lock()

    async def token(self) -> str | Answer | Again:
        """The token, or why there is none. Errors: as `PlatformClient.post`."""
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if self._token is not None and now < self._token.until:
                return self._token.text
            self._token = None
            try:
                credentials = self._read()
            except (OSError, ValueError):
                return Answer.no_answer("unauthenticated")
            self._client.count_turn()  # platforms count requests, whatever they are for
            reply = await self._client.post(
                self._url,
                {"Authorization": credentials.basic()},
                data={"grant_type": "client_credentials", "scope": self._scope},
            )
            if reply.status == 429:
                return self._client.hold_back(reply.retry_after)
            if reply.status != 200:
                refused: Reason = "server_error" if reply.status >= 500 else "refused"
                return Answer.no_answer(_REASONS.get(reply.status, refused))
            self._token = _read_token(reply, now)
            return self._token.text

    def drop(self, text: str) -> None:
        """The platform did not take this token."""
        if self._token is not None and self._token.text == text:
            self._token = None


def _read_token(reply: Reply, now: float) -> _Token:
    """RFC 6749, section 5.1. Errors: ValueError for anything else."""
    said = reply.json()
    given: dict[str, Any] = said if isinstance(said, dict) else {}
    text, life_s = given.get("access_token"), given.get("expires_in", UNSTATED_S)
    is_bearer = str(given.get("token_type", "")).lower() == "bearer"
    if not isinstance(text, str) or not _TOKEN.fullmatch(text) or not is_bearer:
        raise ValueError("no bearer token")
    if type(life_s) is not int or life_s < 0:
        raise ValueError("no life")
    life_s = min(life_s, LIFE_S_MAX)
    return _Token(text, now + life_s - min(MARGIN_S, life_s / 10))
