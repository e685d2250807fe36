"""HTTP to a platform, for both dialects: one deadline per question, retries, rate limits, answers that stay small.

A lost connection is tried again (asking twice changes nothing at the platform). A 429 is honoured: nobody asks again
before the time it named, in this question or another. Questions keep the pace that the carrier's contract allows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from node.carrier.platform import Answer, Reason

_LOG: Final = logging.getLogger("kehu.carrier")
_RETRY_AFTER_S_MAX: Final = 3600
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """`deadline_ms` holds for a question with all its retries, from the moment that one of the `concurrency` places
    is free and its turn under `per_second` (None: as many as there are) has come."""

    deadline_ms: int = 5_000
    connect_timeout_ms: int = 2_000
    retries: int = 2
    retry_pause_ms: int = 100
    rate_pause_ms: int = 1_000
    """How long to hold back after a 429 that does not say."""
    answer_bytes_max: int = 4_096
    concurrency: int = 8
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The question may be tried again after `pause_ms`; `answer` stands if there is no more time or try."""

    answer: Answer
    pause_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: `body` is empty if it could not be read and the status is not 200."""

    status: int
    content_type: str
    retry_after: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Errors: ValueError if it is none, or has a key twice."""
        if self.content_type != JSON:
            raise ValueError("not JSON")
        try:
            return json.loads(self.body, object_pairs_hook=_without_duplicates)
        except RecursionError:
            raise ValueError("too deep") from None


Attempt = Callable[[], Awaitable[Answer | Again]]


class PlatformClient:
    """Make and close it inside a running event loop. `headers` go with every request."""

    def __init__(self, name: str, limits: ClientLimits, headers: Mapping[str, str]) -> None:
        self.name = name
        self._limits = limits
        self._places = asyncio.Semaphore(limits.concurrency)
        self._next_turn = 0.0
        self._held_until = 0.0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.concurrency),
            headers={"Accept": JSON, **headers},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_ms / 1000),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    @property
    def held_ms(self) -> int:
        """How much longer the platform wants to be left alone."""
        return max(0, round((self._held_until - _now()) * 1000))

    async def ask(self, attempt: Attempt) -> Answer:
        """What `attempt` gives, tried again where that makes sense, by the deadline."""
        async with self._places:
            await self.wait_for_turn()
            answer = await self._ask_by(attempt, _now() + self._limits.deadline_ms / 1000)
        if answer.reason is not None:
            _LOG.warning("carrier %s gave no answer: %s", self.name, answer.reason)
        return answer

    async def wait_for_turn(self, deadline: float = math.inf) -> bool:
        """Keeps the pace, retries included. False at once if the turn would not come before `deadline`."""
        if self._limits.per_second is None:
            return True
        turn = max(_now(), self._next_turn)
        if turn >= deadline:
            return False
        self._next_turn = turn + 1 / self._limits.per_second
        await asyncio.sleep(max(0.0, turn - _now()))
        return True

    def count_turn(self) -> None:
        """A request that a question brings with it: the question goes on, and the next one waits for both."""
        if self._limits.per_second is not None:
            self._next_turn = max(_now(), self._next_turn) + 1 / self._limits.per_second

    async def _ask_by(self, attempt: Attempt, deadline: float) -> Answer:
        answer = Answer.no_answer("time_out")
        for tries_left in range(self._limits.retries, -1, -1):
            if (refused := await self._wait_while_held(deadline)) is not None:
                return refused
            try:
                async with asyncio.timeout_at(deadline):
                    outcome = await self._try(attempt)
            except TimeoutError:
                return Answer.no_answer("time_out")
            if isinstance(outcome, Answer):
                return outcome
            answer = outcome.answer
            if tries_left == 0 or _now() + outcome.pause_ms / 1000 >= deadline:
                break
            await asyncio.sleep(outcome.pause_ms / 1000)
            if not await self.wait_for_turn(deadline):
                break
        return answer

    async def _wait_while_held(self, deadline: float) -> Answer | None:
        """Until the platform may be asked; the answer if that is too late. A turn that passed meanwhile is taken anew,
        or all that waited would ask at once."""
        while (held_s := self._held_until - _now()) > 0:
            if self._held_until >= deadline:
                return Answer.no_answer("rate_limited", round(held_s * 1000))
            await asyncio.sleep(held_s)
            if not await self.wait_for_turn(deadline):
                return Answer.no_answer("time_out")
        return None

    async def _try(self, attempt: Attempt) -> Answer | Again:
        try:
            return await attempt()
        except aiohttp.ClientConnectionError:
            return Again(Answer.no_answer("unreachable"), self._limits.retry_pause_ms)
        except (aiohttp.ClientError, ValueError):
            return Answer.no_answer("malformed")

    async def post(self, url: str, headers: Mapping[str, str] | None = None, **body: Any) -> Reply:
        """Posts `json=` or `data=`. Errors: aiohttp's, and ValueError for a 200 whose body is too long or encoded."""
        async with self._session.post(url, headers=headers, allow_redirects=False, **body) as response:
            try:
                read = await self._read(response)
            except (aiohttp.ClientPayloadError, ValueError):
                if response.status == 200:
                    raise
                read = b""
            retry_after = response.headers.get("Retry-After", "")
            return Reply(response.status, response.content_type, retry_after, read)

    def hold_back(self, retry_after: str) -> Again:
        """After a 429. RFC 9110, section 10.2.3, in its form of seconds; a date or nonsense counts as not said."""
        pause_ms = self._limits.rate_pause_ms
        if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) <= 9:
            pause_ms = min(int(retry_after), _RETRY_AFTER_S_MAX) * 1000
        self._held_until = max(self._held_until, _now() + pause_ms / 1000)
        return Again(Answer.no_answer("rate_limited", pause_ms), pause_ms)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, or `ValueError` as soon as it is too long or compressed, which was not asked for."""
        if "Content-Encoding" in response.headers:
            raise ValueError("encoded")
        body = bytearray()
        async for chunk in response.content.iter_chunked(self._limits.answer_bytes_max):
            body += chunk
            if len(body) > self._limits.answer_bytes_max:
                raise ValueError("too long")
        return bytes(body)


def reason_of(status: int) -> Reason:
    """What a status means that says nothing more."""
    return "server_error" if status >= 500 else "refused"


def _now() -> float:
    return asyncio.get_running_loop().time()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
