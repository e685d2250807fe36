"""Taking a snapshot: when it is worth it, from whom, and what to do about those who lie or stall.

Pieces are asked of all departments that offer the same block, one at a time of each. A wrong piece, or `STRIKES_MAX`
answers that did not come, and a department is asked no more in this round; what it was asked for, another one is. So
the end comes with one honest department, or the round fails and the node catches up block by block meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from chain import codec
from chain.blocks import BlockStore
from chain.errors import KehuError, define
from chain.ledger import Ledger
from chain.snapshot import Offer, Part, take_piece
from chain.state import state_key
from node.folder.config import Home, Snapshots
from node.peers.exchange import PEER_BUSY, PEER_REQUEST_REFUSED
from node.replica.catch_up import Request
from node.snapshot.incoming import Incoming, incoming_folder, make_whole
from node.snapshot.offers import KEPT_MAX, OFFERS_KIND, PIECE_KIND, SHORT_OFFERS
from node.storage.durable import StorageFailure

REQUEST_S: float = 10.0
STRIKES_MAX: Final = 2
REST_S: float = 30.0
"""After a round without success the node catches up by blocks for so long before it looks for snapshots again."""

SNAPSHOT_NOBODY = define(
    "snapshot.nobody",
    "no linked department offers a snapshot that is far enough ahead, or all that did have failed",
    "nothing: the node catches up block by block and looks again later",
)

log = logging.getLogger("kehu.snapshot")


class SnapshotSync:
    """`on_whole` is called once a snapshot lies ready: the node is to be opened anew. `fail` hears of a failing
    disk."""

    def __init__(
        self,
        home: Home,
        department: str,
        ledger: Ledger,
        blocks: BlockStore,
        settings: Snapshots,
        request: Request,
        on_whole: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._home, self._department, self._ledger, self._settings = home, department, ledger, settings
        self._blocks, self._request, self._on_whole, self._fail = blocks, request, on_whole, fail
        self._task: asyncio.Task[None] | None = None
        self._rests_until_s = 0.0
        self._phase, self._values, self._bytes = "none", 0, 0
        self._height = 0
        self.dropped: Counter[str] = Counter()

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def takes_over(self, to_height: int) -> bool:
        """Whether a snapshot is being taken, or is taken from now on, instead of the blocks up to this height."""
        loop = asyncio.get_running_loop()
        is_far = to_height - self._ledger.height >= self._settings.behind_blocks
        if not self.is_running and is_far and loop.time() >= self._rests_until_s and self._phase != "whole":
            self._task = loop.create_task(self._run())
        return self.is_running or self._phase == "whole"

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values."""
        return {
            "phase": self._phase,
            "height": self._height,
            "values": self._values,
            "bytes": self._bytes,
            "dropped": dict(sorted(self.dropped.items())),
        }

    async def _run(self) -> None:
        try:
            await self._take()
        except StorageFailure as error:
            self._fail(error)
        except KehuError as error:
            log.warning("no snapshot taken: %s", error)
            self._phase = "none"
            self._rests_until_s = asyncio.get_running_loop().time() + REST_S
        except Exception as error:
            self._fail(error)

    async def _take(self) -> None:
        self._phase, self._values, self._bytes = "offers", 0, 0
        incoming, givers = await self._choose(await self._offers())
        self._height = incoming.height
        log.info("taking the snapshot of height %d from %s", incoming.height, ", ".join(givers))
        try:
            self._phase = "state"
            await _Round(self, incoming, givers).run()
            self._phase = "blocks"
            first = await self._take_blocks(incoming, givers)
            genesis_block = Ledger.at_genesis(self._ledger.genesis, self._ledger.contracts)[1]
            await asyncio.to_thread(incoming.finish, self._ledger.genesis.raw, genesis_block, first)
        finally:
            await asyncio.to_thread(incoming.close)
        await asyncio.to_thread(make_whole, self._home)
        self._phase = "whole"
        log.info("snapshot of height %d is whole: %d values, %d bytes", self._height, self._values, self._bytes)
        self._on_whole()

    async def _offers(self) -> dict[bytes, tuple[Offer, list[str]]]:
        """Certified offers that are worth it, with who makes them, by block id."""
        members = self._ledger.validators(self._ledger.height + 1).departments
        others = [name for name in members if name != self._department]
        found: dict[bytes, tuple[Offer, list[str]]] = {}
        for name, offers in zip(others, await asyncio.gather(*map(self._offers_of, others)), strict=True):
            for block_id, offer in {offer.block_id: offer for offer in offers}.items():
                found.setdefault(block_id, (offer, []))[1].append(name)
        return found

    async def _offers_of(self, department: str) -> list[Offer]:
        try:
            raw = await self._request(department, OFFERS_KIND, SHORT_OFFERS, REQUEST_S)
            (rows,) = codec.fields([codec.decode(raw, 1 << 24)], "offers", codec.list_of(codec.is_bytes, KEPT_MAX))
            own, schedule = self._ledger.height, self._ledger.state.get(state_key("validators", "schedule")) or b""
            least = own + self._settings.behind_blocks
            chain_id = self._ledger.genesis.chain_id
            offers = [Offer.from_bytes(row) for row in rows]
            return [offer for offer in offers if offer.verify(schedule, own, chain_id).height >= least]
        except (KehuError, OSError, TimeoutError) as error:
            log.warning("no snapshot offers from %s: %s", department, error)
            return []

    async def _choose(self, offers: dict[bytes, tuple[Offer, list[str]]]) -> tuple[Incoming, list[str]]:
        """The highest of those that can be hoped for most; or what was begun, if it is still offered by such."""
        if not offers:
            raise KehuError(SNAPSHOT_NOBODY, height=self._ledger.height)
        offer, givers = max(offers.values(), key=lambda found: (*self._hope(found[1]), found[0].header.height))
        folder = incoming_folder(self._home)
        begun = await asyncio.to_thread(Incoming.resume, folder)
        if begun is not None:
            _, givers_of_begun = offers.get(begun.offer.block_id, (begun.offer, []))
            if givers_of_begun and self._hope(givers_of_begun) >= self._hope(givers):
                return begun, givers_of_begun
            await asyncio.to_thread(begun.close)
        height, known = self._ledger.height, await asyncio.to_thread(self._blocks.links)
        return await asyncio.to_thread(Incoming.begin, folder, offer.behind(known, height)), givers

    def _hope(self, givers: Sequence[str]) -> tuple[bool, int]:
        """What more offer than can be faulty, a correct one offers. Of what is left, those who have failed least: a
        faulty one always has a block to offer that is higher than those of the others. Twice as often is more often,
        and nothing less: to begin with another block is to throw away what was taken, so a correct one with a bad link
        gets twice as many rounds each time, until they are enough."""
        faulty = self._ledger.validators(self._ledger.height + 1).f
        return len(givers) > faulty, -min(self.dropped[name] for name in givers).bit_length()

    async def _take_blocks(self, incoming: Incoming, givers: Sequence[str]) -> int:
        """The blocks whose transactions could still be sent again; the lowest height of them."""
        down_to = max(1, incoming.height - self._ledger.genesis.expiry_heights_max)
        past, strikes, turns = incoming.past(), Counter[str](), Counter[str]()
        while past.height >= down_to:
            able = [name for name in givers if strikes[name] < STRIKES_MAX]
            if not able:
                raise KehuError(SNAPSHOT_NOBODY, height=past.height)
            name = min(able, key=lambda name: (strikes[name], turns[name]))  # one that gives little has its turn only
            turns[name] += 1
            try:
                puts = await past.fetch(self.asker(name), down_to)
            except StorageFailure:
                raise
            except (KehuError, OSError, TimeoutError) as error:
                strikes[name] += 1
                self.drop(name, error)
                continue
            await asyncio.to_thread(incoming.add_blocks, puts)
        return past.height + 1

    def asker(self, department: str) -> Callable[[str, bytes, float], Any]:
        async def ask(kind: str, request: bytes, timeout_s: float) -> bytes:
            return await self._request(department, kind, request, timeout_s)

        return ask

    async def ask_piece(self, department: str, height: int, part: Part) -> bytes:
        answer = await self._request(department, PIECE_KIND, codec.encode_flat([height, part[0]]), REQUEST_S)
        self._bytes += len(answer)
        return answer

    def count_values(self, values: int) -> None:
        self._values += values

    def drop(self, department: str, error: BaseException) -> None:
        self.dropped[department] += 1
        log.warning("%s failed with the snapshot of height %d: %s", department, self._height, error)


class _Round:
    """The state, piece by piece, from the departments that offer it."""

    def __init__(self, sync: SnapshotSync, incoming: Incoming, givers: Sequence[str]) -> None:
        self._sync, self._incoming = sync, incoming
        self._stack = list(incoming.pending)
        self._idle = list(givers)
        self._strikes: Counter[str] = Counter()
        self._running: dict[asyncio.Task[bytes], tuple[str, Part]] = {}

    async def run(self) -> None:
        try:
            while self._stack or self._running:
                self._ask()
                if not self._running:
                    raise KehuError(SNAPSHOT_NOBODY, height=self._incoming.height)
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await self._take(task)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _ask(self) -> None:
        while self._stack and self._idle:
            department, part = self._idle.pop(0), self._stack.pop()
            task = asyncio.create_task(self._sync.ask_piece(department, self._incoming.height, part))
            self._running[task] = (department, part)

    async def _take(self, task: asyncio.Task[bytes]) -> None:
        department, part = self._running.pop(task)
        try:
            parts, pairs = await asyncio.to_thread(take_piece, part, task.result())
        except (KehuError, OSError, TimeoutError) as error:
            self._stack.append(part)
            self._strike(department, error)
            return
        self._idle.append(department)
        self._stack += reversed(parts)
        pending = [*self._stack, *(asked for _, asked in self._running.values())]
        await asyncio.to_thread(self._incoming.add, pairs, pending)
        self._sync.count_values(len(pairs))

    def _strike(self, department: str, error: Exception) -> None:
        """A wrong answer is proof of a fault; one that did not come may be bad luck once."""
        self._strikes[department] += 1 if _is_absence(error) else STRIKES_MAX
        if self._strikes[department] < STRIKES_MAX:
            self._idle.append(department)
        else:
            self._sync.drop(department, error)


def _is_absence(error: Exception) -> bool:
    if not isinstance(error, KehuError):
        return True
    is_busy = error.spec is PEER_REQUEST_REFUSED and error.details.get("reason") == PEER_BUSY.code
    return is_busy or error.code in {"peer.timeout", "peer.disconnected"}
