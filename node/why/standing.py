"""Nodes tell each other where they stand, every few seconds: height, view, disk, and what their clock says.

Nothing is decided by it: the agreement has its own means. It is for people who ask why nothing happens. The clock
difference is that of Cristian's algorithm (1989): right to within half of the round trip.

    request   empty
    answer    [2, Unix ms, height, view, is active, is observer, disk: "ok", "low" or "full", oldest, newest version of
              the protocol that its software speaks]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from chain import codec
from chain.errors import KehuError
from node.why.facts import Standing

STANDING_KIND: Final = "standing"
STANDING_BYTES_MAX: Final = 256
TIMEOUT_S: Final = 2.0
_VERSION: Final = 2

Request = Callable[[str, str, bytes, float], Awaitable[bytes]]
Own = Callable[[], Standing]


class StandingBook:
    """`linked` names the departments to ask, `own` says where this node stands (offset 0), `clock_ms` is wall time."""

    def __init__(
        self, request: Request, linked: Callable[[], Iterable[str]], own: Own, clock_ms: Callable[[], int]
    ) -> None:
        self._request, self._linked, self._own, self._clock_ms = request, linked, own, clock_ms
        self.said: dict[str, Standing] = {}
        self.spoken: dict[str, tuple[int, int]] = {}
        """What each one's software speaks of the protocol; kept when it can't be reached any more."""
        self.linked_anew = asyncio.Event()
        """Set when somebody is to be asked before its turn."""

    def on_up(self, department: str) -> None:
        """A link has come up: who answers now may be other software than who spoke over the one before."""
        self.said.pop(department, None)
        self.spoken.pop(department, None)
        self.linked_anew.set()

    def spoken_now(self) -> dict[str, tuple[int, int]]:
        """What was said over the links that stand; the others may have been upgraded meanwhile."""
        linked = set(self._linked())
        return {department: versions for department, versions in self.spoken.items() if department in linked}

    async def serve(self, _department: str, _request: bytes) -> bytes:
        own = self._own()
        now_ms = self._clock_ms()
        place = [own.height, own.view, own.is_active, own.is_observer]
        return codec.encode_flat([_VERSION, now_ms, *place, own.disk, *own.speaks])

    async def ask_all(self) -> None:
        self.linked_anew.clear()
        await asyncio.gather(*(self._ask(department) for department in self._linked()))

    async def _ask(self, department: str) -> None:
        asked_ms, own_height = self._clock_ms(), self._own().height
        try:
            answer = await self._request(department, STANDING_KIND, b"", TIMEOUT_S)
            standing = replace(read_standing(answer, asked_ms, self._clock_ms()), own_height=own_height)
            self.said[department] = standing
            self.spoken[department] = standing.speaks
        except KehuError:
            self.said.pop(department, None)  # gone, of an older release, or not to be understood


def read_standing(answer: bytes, asked_ms: int, answered_ms: int) -> Standing:
    """Errors: codec.*."""
    version, said_ms, height, view, is_active, is_observer, disk, oldest, newest = codec.fields(
        codec.decode(answer, STANDING_BYTES_MAX), "standing", codec.is_uint, codec.is_uint, codec.is_uint,
        codec.is_uint, _is_bool, _is_bool, ("ok", "low", "full").__contains__,
        codec.is_uint, codec.is_uint,
    )  # fmt: skip
    del version
    offset_ms = said_ms - (asked_ms + answered_ms) // 2
    return Standing(height, view, is_active, is_observer, disk, offset_ms, answered_ms, (oldest, newest))


def _is_bool(value: codec.Value) -> bool:
    return type(value) is bool
