"""The identifier look-up dialect: POST {url}/v1/lookup {"number"} with a bearer token, over HTTP.

One look-up has one deadline, whatever happens within it. A lost connection is tried again (asking twice changes
nothing at the platform), a 429 is honoured: nobody asks again before the time it named, in this look-up or another.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from node.carrier.platform import Answer, Reason

_LOG: Final = logging.getLogger("kehu.carrier")
_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z._:-]{8,128}")
_RETRY_AFTER_S_MAX: Final = 3600


@dataclass(frozen=True, slots=True)
class LookupConfig:
    """url: the platform's base URL. The rest are limits; `deadline_ms` holds for a look-up with all its retries,
    from the moment one of the `concurrency` places is free."""

    name: str
    url: str
    token: str
    deadline_ms: int = 5_000
    connect_timeout_ms: int = 2_000
    retries: int = 2
    retry_pause_ms: int = 100
    rate_pause_ms: int = 1_000
    """How long to hold back after a 429 that does not say."""
    answer_bytes_max: int = 4_096
    concurrency: int = 8

    def __repr__(self) -> str:
        return f"LookupConfig({self.name!r}, {self.url!r})"


@dataclass(frozen=True, slots=True)
class _Again:
    """The look-up may be tried again after `pause_ms`; `answer` stands if there is no more time or try."""

    answer: Answer
    pause_ms: int


class IdentifierLookup:
    """A `CarrierPlatform` that speaks the identifier look-up. Make and close it inside a running event loop."""

    def __init__(self, config: LookupConfig) -> None:
        self._config = config
        self._places = asyncio.Semaphore(config.concurrency)
        self._held_until = 0.0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.concurrency),
            headers={"Authorization": f"Bearer {config.token}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_ms / 1000),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @property
    def name(self) -> str:
        return self._config.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def look_up(self, number: str) -> Answer:
        async with self._places:
            answer = await self._look_up_by(number, _now() + self._config.deadline_ms / 1000)
        if answer.reason is not None:
            _LOG.warning("carrier %s gave no answer: %s", self.name, answer.reason)
        return answer

    async def _look_up_by(self, number: str, deadline: float) -> Answer:
        answer = Answer.no_answer("time_out")
        for _ in range(self._config.retries + 1):
            if (held_s := self._held_until - _now()) > 0:
                if self._held_until >= deadline:
                    return Answer.no_answer("rate_limited", round(held_s * 1000))
                await asyncio.sleep(held_s)
            try:
                async with asyncio.timeout_at(deadline):
                    outcome = await self._ask(number)
            except TimeoutError:
                return Answer.no_answer("time_out")
            if isinstance(outcome, Answer):
                return outcome
            answer = outcome.answer
            if _now() + outcome.pause_ms / 1000 >= deadline:
                break
            await asyncio.sleep(outcome.pause_ms / 1000)
        return answer

    async def _ask(self, number: str) -> Answer | _Again:
        url = self._config.url + "/v1/lookup"
        try:
            async with self._session.post(url, json={"number": number}, allow_redirects=False) as response:
                if response.status == 429:
                    return self._hold_back(response.headers.get("Retry-After", ""))
                if response.status != 200:
                    return Answer.no_answer(_reason_of(response.status))
                return _read_answer(response.content_type, await self._read(response))
        except aiohttp.ClientConnectionError:
            return _Again(Answer.no_answer("unreachable"), self._config.retry_pause_ms)
        except (aiohttp.ClientError, ValueError):
            return Answer.no_answer("malformed")

    def _hold_back(self, retry_after: str) -> _Again:
        """RFC 9110, section 10.2.3, in its form of seconds; a date or nonsense counts as not said."""
        pause_ms = self._config.rate_pause_ms
        if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) <= 9:
            pause_ms = min(int(retry_after), _RETRY_AFTER_S_MAX) * 1000
        self._held_until = max(self._held_until, _now() + pause_ms / 1000)
        return _Again(Answer.no_answer("rate_limited", pause_ms), pause_ms)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, or `ValueError` as soon as it is too long or compressed, which was not asked for."""
        if "Content-Encoding" in response.headers:
            raise ValueError("encoded")
        body = bytearray()
        async for chunk in response.content.iter_chunked(self._config.answer_bytes_max):
            body += chunk
            if len(body) > self._config.answer_bytes_max:
                raise ValueError("too long")
        return bytes(body)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reason_of(status: int) -> Reason:
    return "server_error" if status >= 500 else "refused"


def _read_answer(content_type: str, body: bytes) -> Answer:
    """The answer in a 200's body; anything but {"outcome": "none"} or a found identifier is malformed."""
    malformed = Answer.no_answer("malformed")
    if content_type != "application/json":
        return malformed
    try:
        said: Any = json.loads(body, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return malformed
    if said == {"outcome": "none"}:
        return Answer.none()
    if not isinstance(said, dict) or set(said) != {"outcome", "identifier"} or said["outcome"] != "found":
        return malformed
    identifier = said["identifier"]
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        return malformed
    return Answer.found(identifier)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
