"""Where an audit's bytes come from: an export file, or a node's API. Neither needs a key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Final, Protocol, TypeVar

from chain.errors import KehuError, define
from cli.http import HttpError, Response, Session
from cli.transport import is_height

T = TypeVar("T")
CHUNK_BYTES: Final = 1 << 20
ANSWER_BYTES_MAX: Final = 1 << 20

AUDIT_SOURCE_UNREADABLE = define(
    "audit_source.unreadable",
    "the export can't be read",
    "check the file's name and rights",
)
AUDIT_SOURCE_UNREACHABLE = define(
    "audit_source.unreachable",
    "the node does not answer, or stopped in the middle of its export",
    "is it running (`kehu network status`)? Ask another department's node; --resume keeps what was checked",
)
AUDIT_SOURCE_REFUSED = define(
    "audit_source.refused",
    "the node answered the request for an export with an error",
    "look at status and code: a node that came by a snapshot lacks the blocks from before (block.not_held), a busy one "
    "has no export to spare (export.too_many); ask another department's node",
)


class AuditSource(Protocol):
    """Gives an export's bytes. `target_height` is the last height it will give, where that is known before."""

    @property
    def name(self) -> str: ...

    @property
    def target_height(self) -> int | None: ...

    def chunks(self, from_height: int) -> Generator[bytes, None, None]:
        """The bytes of an export that holds heights from `from_height` on, or from earlier. A generator: closing
        it gives everything back. Errors: audit_source.*."""
        ...


class FileSource:
    """An export file; always read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)
        self.target_height: int | None = None

    def chunks(self, from_height: int) -> Generator[bytes, None, None]:  # noqa: ARG002 - a file has all it has
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise KehuError(AUDIT_SOURCE_UNREADABLE, source=self.name, reason=type(error).__name__) from error


class HttpSource:
    """A node's API: `GET /v1/export?from=N`, streamed; `/v1/status` says how high it is."""

    def __init__(self, base_url: str) -> None:
        self.name = base_url.rstrip("/")
        self.target_height: int | None = None

    def chunks(self, from_height: int) -> Generator[bytes, None, None]:
        """Runs a loop of its own, so it is for a thread that has none."""
        with asyncio.Runner() as runner:
            stream = self._stream(from_height)
            try:
                while (chunk := runner.run(_next(stream))) is not None:
                    yield chunk
            except HttpError as error:
                raise KehuError(AUDIT_SOURCE_UNREACHABLE, source=self.name, reason=str(error)) from error
            finally:
                runner.run(stream.aclose())

    async def _stream(self, from_height: int) -> AsyncGenerator[bytes, None]:
        async with Session() as session:
            async with session.ask("GET", f"{self.name}/v1/status") as response:
                height = await _member(response, "height", int) if response.status == 200 else None
                self.target_height = height if is_height(height) else None
            async with session.ask("GET", f"{self.name}/v1/export?from={from_height}") as response:
                if response.status != 200:
                    code = await _member(response, "code", str)
                    raise KehuError(AUDIT_SOURCE_REFUSED, source=self.name, status=response.status, code=code)
                async for chunk in response.pieces():
                    yield chunk


async def _member(response: Response, name: str, kind: type[T]) -> T | None:
    """One member of a JSON object that the node answers with; nothing is decided by it."""
    body = b""
    async for piece in response.pieces():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            return None
    try:
        value = json.loads(body).get(name)
    except (ValueError, AttributeError, RecursionError):
        return None
    return value if type(value) is kind else None


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(stream, None)
