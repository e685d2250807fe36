"""A backup of the node while it runs: two files in one stream, for the department's operators and administrators.

Frames: one byte (0: of the data file, 1: of the keys file, 2: the end), four bytes of length, big-endian, and the
bytes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from chain.errors import define
from node.api.context import Slots, allow, context_of
from node.api.policy import BINARY, Parameter, Policy, Route
from node.api.queries import read_choice

BACKUP_RUNNING = define(
    "backup.running",
    "the node is giving a backup to somebody already",
    "wait until that one is done, then ask again",
)
PREPARING_S: Final = 60.0
"""Until the first bytes: the passphrase's scrypt, and the disk."""

SLOTS: Final = web.AppKey("backup_slots", Slots)


def backup_slots() -> Slots:
    return Slots(1, 1, BACKUP_RUNNING)


async def send_backup(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    with_vault = read_choice(request, "vault", ("no", "yes")) == "yes"
    with request.app[SLOTS].take(""):
        allow(request, PREPARING_S)
        chunks = context.node.backup(with_vault=with_vault)
        first = await asyncio.to_thread(next, chunks)
        response = web.StreamResponse()
        response.content_type = BINARY
        await response.prepare(request)
        chunk: tuple[int, bytes] | None = first
        while chunk is not None:
            allow(request, context.limits.stream_s)
            target, data = chunk
            await response.write(bytes([target]) + len(data).to_bytes(4, "big") + data)
            chunk = await asyncio.to_thread(next, chunks, None)
        await response.write(bytes([2, 0, 0, 0, 0]))
        return response


ROUTES: Final = (
    Route(
        "GET",
        "/v1/backup",
        Policy.OPERATOR,
        send_backup,
        "A backup of this node: data, and apart from it keys, sealed under the node's passphrase (docs/spec/backup.md)",
        answer_type=BINARY,
        parameters=(Parameter("vault", "string", "no: without personal values and their keys; yes if left out"),),
    ),
)
