"""When a node tells its clients to wait: before more is let in than it can have committed in the time it promises.

What waits is everything that clients have handed over and that is in no block yet, from the moment its request was
read. How fast it goes is what was committed of it in the last second. Their quotient is how long the next one would
wait (Little's law). A node that has only just got busy knows no rate, so nobody is turned away before the oldest has
waited for a quarter of the time; and a handful may always wait, however slow the network is.

Whoever is turned away is so before the body is read: saying no costs a small part of what a transaction costs, so the
rate stays. From half of the time on, one key may have no more waiting than the mean of all that have something
waiting: who sends a lot is told to wait before others are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from chain.blocks import ExecutedBlock
from chain.errors import KehuError, define
from node.intake.admission import Admission
from node.vault.values import VaultValue

WAITING_MIN: Final = 256
"""So many transactions may wait in any case."""
WINDOW_MS: Final = 1_000
RETRY_MIN_MS: Final = 1_000

MEMPOOL_BUSY = define(
    "mempool.busy",
    "what this node has let in already takes longer to commit than it lets clients wait",
    "wait as Retry-After says and send the transaction again; sending it twice is safe",
)

Submit = Callable[[Sequence[bytes], Sequence[VaultValue]], Awaitable[list[Admission]]]


class Pressure:
    """`wait_max_ms`: how long what is let in may wait; `is_waiting`: whether a transaction is in the mempool."""

    def __init__(self, wait_max_ms: int, is_waiting: Callable[[bytes], bool], now_ms: Callable[[], int]) -> None:
        self._wait_max_ms, self._is_waiting, self._now_ms = wait_max_ms, is_waiting, now_ms
        self._requests: dict[int, tuple[int, int]] = {}
        self._waiting: dict[bytes, int] = {}
        self._count = 0
        self._committed: deque[tuple[int, int]] = deque()
        self._number = 0

    # --- what comes and goes

    def begin(self, transactions: int) -> int:
        """A request is in hand; returns what `end` takes."""
        self._number += 1
        self._requests[self._number] = (self._now_ms(), transactions)
        self._count += transactions
        return self._number

    def end(self, request: int, admitted: Iterable[bytes]) -> None:
        """These of its transactions wait now; the others were refused, or waited before."""
        since_ms, transactions = self._requests.pop(request)
        self._count -= transactions
        for transaction_id in admitted:
            if self._is_waiting(transaction_id):
                self._waiting.setdefault(transaction_id, since_ms)

    def block_appended(self, executed: ExecutedBlock) -> None:
        committed = sum(self._waiting.pop(id_, None) is not None for id_, _ in executed.executed)
        self._committed.append((now := self._now_ms(), committed))
        self._forget_before(now - WINDOW_MS)  # here too: nobody may ask for the rate for weeks
        while self._waiting and not self._is_waiting(oldest := next(iter(self._waiting))):
            del self._waiting[oldest]  # expired

    # --- what follows

    @property
    def waiting(self) -> int:
        return self._count + len(self._waiting)

    def expected_wait_ms(self) -> int:
        """How long one more transaction would wait; 0 while there is no telling, or little waits."""
        now = self._now_ms()
        waited = now - self._oldest_ms(now)
        if self.waiting < WAITING_MIN or waited < self._wait_max_ms // 4:
            return 0
        self._forget_before(now - WINDOW_MS)
        committed = sum(count for _, count in self._committed)
        return waited + WINDOW_MS if not committed else self.waiting * min(WINDOW_MS, waited) // committed

    def _forget_before(self, time_ms: int) -> None:
        while self._committed and self._committed[0][0] < time_ms:
            self._committed.popleft()

    def _oldest_ms(self, now: int) -> int:
        request = next(iter(self._requests.values()), (now, 0))[0]
        return min(request, next(iter(self._waiting.values()), now))

    def is_felt(self) -> bool:
        """Whether whoever sends more than others is to wait."""
        return self.expected_wait_ms() > self._wait_max_ms // 2

    def require_room(self) -> None:
        """Errors: mempool.busy."""
        expected = self.expected_wait_ms()
        if expected > self._wait_max_ms:
            # What is let in is gone in about the promised time; what a moment without commits makes of it is no reason
            # to stay away for longer.
            retry_ms = min(self._wait_max_ms, max(RETRY_MIN_MS, expected - self._wait_max_ms // 2))
            raise KehuError(
                MEMPOOL_BUSY,
                waiting=self.waiting,
                expected_ms=expected,
                limit_ms=self._wait_max_ms,
                retry_after_ms=retry_ms,
            )

    def guarded(self, submit: Submit) -> Submit:
        """`submit`, with what it has in hand counted."""

        async def counted(envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
            request = self.begin(len(envelopes))
            admitted: list[bytes] = []
            try:
                admissions = await submit(envelopes, values)
                admitted += [one.transaction_id for one in admissions if one.error is None and one.transaction_id]
                return admissions
            finally:
                self.end(request, admitted)

        return counted

    def status(self) -> dict[str, Any]:
        """Public facts, JSON values."""
        return {"waiting": self.waiting, "expected_wait_ms": self.expected_wait_ms()}
