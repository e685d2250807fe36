"""HTTP to one node: JSON and bytes in, problem documents turned into errors. What is said is checked elsewhere."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

from chain.crypto import SigningKey
from chain.errors import ErrorSpec, KehuError, define
from cli.exits import RemoteRefusal
from cli.http import ConnectError, HttpError, Response, Session
from cli.profile import KEY_NAME_MISSING

ANSWER_BYTES_MAX: Final = 64 << 20
SIGNED_BEFORE_START: Final = "auth.before_start"
SIGNED_TOO_OFTEN: Final = "auth.too_many"
PATIENCE_S: Final = 180.0
"""A request waits about so long, in all: others of the same key, of other commands too, take turns with it."""
PAUSE_MS_MIN: Final = 250
PAUSE_MS_MAX: Final = 60_000
"""A signature's lifetime."""
_NOT_DETAILS: Final = ("self", "spec")
"""What `KehuError` calls its own arguments: whoever answers may name anything."""

NODE_UNREACHABLE = define(
    "node.unreachable",
    "the node does not answer",
    "is it running (`kehu network status`)? Who signs needs the own department's node, at this or another URL of it; "
    "what is read without a key any node tells (--node). Sending a transaction twice is safe",
)
NODE_ANSWER_MALFORMED = define(
    "node.answer_malformed",
    "what answered is not a Kehu node's API of this release",
    "check the URL in network.json or --node, and the releases on both sides",
)


class NeverSent(KehuError):  # noqa: N818 - it says what is certain
    """The connection could not be made: the node has seen nothing of the request."""


class Transport:
    """One node's API at `url`, of `department`. `signer` signs the requests that ask for it (RFC 9421)."""

    def __init__(self, url: str, chain_id: bytes, department: str, signer: SigningKey | None) -> None:
        self.url = url
        self._chain_id = chain_id
        self._department = department
        self._signer = signer
        self._session = Session()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)

    async def json(self, method: str, path: str, body: Any = None, *, is_signed: bool = False) -> Any:
        """The JSON of a good answer. Errors: the node's own, node.unreachable, node.answer_malformed."""
        answer = await self.raw(method, path, body, is_signed=is_signed)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path=_bare(path), problem="not JSON") from None

    async def raw(self, method: str, path: str, body: Any = None, *, is_signed: bool = False) -> bytes:
        """The bytes of a good answer. Errors: the node's own, node.unreachable, node.answer_malformed."""
        patience_s, may_be_early = PATIENCE_S, True
        while True:
            try:
                return await self._exchange(method, path, body, is_signed=is_signed)
            except RemoteRefusal as error:
                if error.code == SIGNED_BEFORE_START and may_be_early:
                    # Signatures have whole seconds: one of the second in which the node started looks older than it.
                    may_be_early, pause_s = False, 1 - time.time() % 1
                elif error.code == SIGNED_TOO_OFTEN and patience_s > 0:
                    pause_s = _pause_s(error)
                    patience_s -= pause_s
                else:
                    raise
            await asyncio.sleep(pause_s)

    async def _exchange(self, method: str, path: str, body: Any, *, is_signed: bool) -> bytes:
        async with self._ask(method, path, body, is_signed=is_signed) as response:
            return await self._read(response, path)

    @asynccontextmanager
    async def stream(self, path: str, *, is_signed: bool = False) -> AsyncIterator[AsyncIterator[bytes]]:
        """A long answer, piece by piece."""
        async with self._ask("GET", path, None, is_signed=is_signed) as response:
            yield response.pieces()

    @asynccontextmanager
    async def _ask(self, method: str, path: str, body: Any, *, is_signed: bool) -> AsyncIterator[Response]:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        url = self.url + path
        if is_signed:
            headers = self._signature(method, url, headers, data or b"")
        try:
            async with self._session.ask(method, url, headers, data) as response:
                if response.status != 200:
                    raise self._problem(response.status, await self._read(response, path), path)
                yield response
        except ConnectError as error:
            raise NeverSent(NODE_UNREACHABLE, url=self.url, problem=str(error)) from None
        except HttpError as error:
            raise KehuError(NODE_UNREACHABLE, url=self.url, problem=str(error)) from None

    def _signature(self, method: str, url: str, headers: dict[str, str], data: bytes) -> dict[str, str]:
        from node.api.signature_terms import NONCE_BYTES
        from node.api.signing import sign_request

        if self._signer is None:
            raise KehuError(KEY_NAME_MISSING)
        return sign_request(
            self._signer,
            method,
            url,
            headers,
            data,
            self._chain_id,
            self._department,
            int(time.time()),
            secrets.token_bytes(NONCE_BYTES),
        )

    async def _read(self, response: Response, path: str) -> bytes:
        body = bytearray()
        async for piece in response.pieces():
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise KehuError(
                    NODE_ANSWER_MALFORMED, url=self.url, path=_bare(path), problem="too long", limit=ANSWER_BYTES_MAX
                )
        return bytes(body)

    def _problem(self, status: int, raw: bytes, path: str) -> KehuError:
        try:
            return problem_error(json.loads(raw))
        except (ValueError, RecursionError):
            return KehuError(NODE_ANSWER_MALFORMED, url=self.url, path=_bare(path), status=status)


def _pause_s(error: RemoteRefusal) -> float:
    """After which the node has forgotten a signature, and takes another. It has done nothing about the request."""
    wait_ms = error.details.get("retry_after_ms")
    return min(max(wait_ms, PAUSE_MS_MIN), PAUSE_MS_MAX) / 1000 if type(wait_ms) is int else 1.0


def is_height(value: Any) -> bool:
    """Whether it can be one: a node may say any number, and not all can be reckoned with."""
    return type(value) is int and 0 <= value < 1 << 63


def _bare(path: str) -> str:
    return path.partition("?")[0]


def problem_error(problem: Any) -> RemoteRefusal:
    """The error that a problem document (RFC 9457) describes; `ValueError` when it is none."""
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        raise ValueError("not a problem document")  # noqa: TRY004 - like json.loads
    spec = ErrorSpec(problem["code"], str(problem.get("title", "")), str(problem.get("cure", "")))
    details = problem.get("details")
    pairs = details.items() if isinstance(details, dict) else ()
    error = RemoteRefusal(spec, **{str(name): value for name, value in pairs if name not in _NOT_DETAILS})
    answers = problem.get("transactions")
    error.answers = answers if isinstance(answers, list) else None
    return error
