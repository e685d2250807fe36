"""Catching up: certified blocks from peers, each checked like any other before it is appended.

A peer may lie about anything: its blocks are executed and every root compared, its certificates verified with
the validator set of their height. What does not check is that peer's misbehaviour; the next one is asked.

request   [from height, how many at most]
response  [[block bytes, certificate bytes], ...] in order of height; as many as fit into `RESPONSE_BYTES_MAX`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chain import codec
from chain.block import Block
from chain.blocks import BlockStore
from chain.certificate import Certificate
from chain.errors import KehuError, define
from node.peers.turns import Turns

REQUEST_KIND: Final = "blocks"
RESPONSE_BYTES_MAX: Final = 6 << 20
BLOCKS_MAX: Final = 500
REQUEST_TIMEOUT_S: Final = 5.0

CATCH_UP_USELESS = define(
    "catch_up.useless",
    "a peer that should have newer blocks sent none that follow this node's head",
    "nothing, while other peers answer; if all do this, compare `kehu status` of the departments",
)

log = logging.getLogger("kehu.catch_up")

Request = Callable[[str, str, bytes, float], Awaitable[bytes]]
"""(department, kind, request, timeout in s) -> response; raises KehuError, OSError or TimeoutError."""
Append = Callable[[Block, Certificate], Awaitable[None]]
"""Checks and appends the next block, or raises KehuError; a block that is not the next is ignored."""


class CatchUp:
    """At most one catch-up runs at a time; a further `start` only raises its aim."""

    def __init__(
        self,
        height: Callable[[], int],
        request: Request,
        append: Append,
        is_diverted: Callable[[int], bool] = lambda _to_height: False,
        further: Callable[[], int] = int,
        clock_s: Callable[[], float] = float,
    ) -> None:
        """`is_diverted`: whether these blocks come by another way (a snapshot). `further`: up to where blocks are known
        to be decided that won't come by themselves. `clock_s` is monotone."""
        self._is_diverted = is_diverted
        self._height = height
        self._request = request
        self._append = append
        self._further = further
        self._clock_s = clock_s
        self._target = 0
        self._departments: tuple[str, ...] = ()
        """Who is asked."""
        self._block_s: dict[str, float] = {}
        """How long a block took of each when it was asked last."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, to_height: int, departments: tuple[str, ...]) -> None:
        if self._is_diverted(to_height):
            if self._task is not None:
                self._task.cancel()
            return
        self._target = max(self._target, to_height)
        if not self.is_running:
            self._departments = ()
        self._departments += tuple(name for name in departments if name not in self._departments)
        if not self.is_running and departments and self._height() < self._target:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Of those who were not asked before, then of the quickest, also of those who are named meanwhile: nobody keeps
        this node behind by being slow, or by giving little. Whoever gives nothing is asked again when named again."""
        while self._departments and self._is_behind():
            await self._ask(min(self._departments, key=lambda name: self._block_s.get(name, 0.0)))
        # A height that nobody could prove is not chased: the replica asks again when it has evidence.
        self._target = self._height()

    def _is_behind(self) -> bool:
        """The others go on while an answer comes and is executed; what they said meanwhile may be too far ahead for the
        replica to have kept it, and it would notice only after a while without progress."""
        self._target = max(self._target, self._further())
        return self._height() < self._target

    async def _ask(self, department: str) -> None:
        before, begun_s = self._height(), self._clock_s()
        try:
            response = await self._request(department, REQUEST_KIND, encode_request(before + 1), REQUEST_TIMEOUT_S)
            for height, (block, certificate) in enumerate(decode_response(response), before + 1):
                if height > self._height():  # else the replica had its messages
                    await self._append(Block.from_bytes(block), Certificate.from_bytes(certificate))
            if self._height() == before:
                raise KehuError(CATCH_UP_USELESS, department=department, height=before)
        except (KehuError, OSError, TimeoutError) as error:
            self._departments = tuple(name for name in self._departments if name != department)
            log.warning("catch-up from %s stopped at height %d: %s", department, self._height(), error)
        self._block_s[department] = (self._clock_s() - begun_s) / max(1, self._height() - before)


class BlockServer:
    """Each department has its turn."""

    def __init__(self, blocks: BlockStore, height: Callable[[], int]) -> None:
        self._blocks, self._height, self._turns = blocks, height, Turns()

    async def serve(self, department: str, request: bytes) -> bytes:
        def answer() -> Awaitable[bytes]:
            return asyncio.to_thread(answer_request, self._blocks, self._height(), request)

        return await self._turns.take(department, answer)


def encode_request(from_height: int) -> bytes:
    return codec.encode_flat([from_height, BLOCKS_MAX])


def decode_response(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The (block, certificate) bytes of a response, not decoded yet."""
    pairs = codec.decode(raw, RESPONSE_BYTES_MAX + (1 << 20))
    (checked,) = codec.fields([pairs], "blocks", codec.list_of(codec.list_of(codec.is_bytes, 2), BLOCKS_MAX))
    rows = [codec.fields(pair, "block and certificate", codec.is_bytes, codec.is_bytes) for pair in checked]
    return [(block, certificate) for block, certificate in rows]


def answer_request(blocks: BlockStore, height: int, request: bytes) -> bytes:
    """The response to a peer: whatever it asks for, capped in number and size. Reads the disk."""
    from_height, count = codec.fields(codec.decode(request, 64), "blocks request", codec.is_uint, codec.is_uint)
    pairs: list[list[bytes]] = []
    size = 0
    for wanted in range(max(from_height, 1), min(height, from_height + min(count, BLOCKS_MAX) - 1) + 1):
        block = blocks.block_bytes(wanted)
        if pairs and size + len(block) > RESPONSE_BYTES_MAX:
            break
        pairs.append([block, blocks.certificate_bytes(wanted)])
        size += len(block) + len(pairs[-1][1])
    return codec.encode_flat(pairs)
