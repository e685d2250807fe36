"""Trouble on demand: which look-ups the simulated carrier answers late, wrongly, with an error, or never.

Faults are for a test or a demonstration and live in memory: a restarted simulator is well again. A share is kept
by counting, not by chance: with 0.25, of every four look-ups that a fault sees, it hits one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["slow", "fail", "time_out", "malformed"]
Part = Literal["answers", "tokens"]
"""What a fault hits: look-ups and checks, or the token endpoint."""
Variant = Literal[
    "not_json",
    "empty",
    "no_identifier",
    "contradiction",
    "wrong_type",
    "key_twice",
    "html",
    "wrong_content_type",
    "oversize",
    "truncated",
    "disconnect",
]
DELAY_MS_MAX = 600_000


class FaultOrder(BaseModel):
    """What an admin orders. `code`: of the error body, with the kind fail.
    `requests`: how many look-ups it hits before it ends (None: until cleared)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    kind: Kind
    part: Part = "answers"
    number: str | None = None
    delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    status: int = Field(default=503, ge=300, le=599)
    code: str | None = Field(default=None, pattern=r"^[A-Z_]{1,96}$|^[a-z_]{1,96}$")
    variant: Variant = "not_json"
    requests: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> FaultOrder:
        if (self.kind == "slow") != (self.delay_ms > 0):
            raise ValueError("delay_ms belongs to the kind slow, and only to it")
        if self.code is not None and self.kind != "fail":
            raise ValueError("code belongs to the kind fail")
        if self.part == "tokens" and self.number is not None:
            raise ValueError("a token is for no number")
        return self


@dataclass(slots=True)
class _Running:
    order: FaultOrder
    seen: int = 0
    hits: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        is_hit = int(self.seen * self.order.share) > int((self.seen - 1) * self.order.share)
        self.hits += is_hit
        return is_hit

    def is_over(self) -> bool:
        return self.order.requests is not None and self.hits >= self.order.requests


class Faults:
    """The faults in force: those of a number come before those of all numbers, earlier before later ones."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def add(self, order: FaultOrder) -> None:
        self._running.append(_Running(order))

    def clear(self) -> None:
        self._running.clear()

    def pick(self, number: str | None, part: Part = "answers") -> FaultOrder | None:
        """The fault that hits this request, if one does."""
        meant = [fault for fault in self._running if fault.order.part == part]
        own = [fault for fault in meant if number is not None and fault.order.number == number]
        everybodys = [fault for fault in meant if fault.order.number is None]
        struck = next((fault for fault in (*own, *everybodys) if fault.strikes()), None)
        self._running = [fault for fault in self._running if not fault.is_over()]
        return struck.order if struck else None

    def shown(self) -> list[dict[str, Any]]:
        """The faults with how often each has hit, for the admin API."""
        return [{**fault.order.model_dump(), "hits": fault.hits} for fault in self._running]


class RateLimit:
    """A token bucket: `per_second` look-ups on average, `burst` at once. `per_second` None: no limit."""

    def __init__(
        self, per_second: float | None = None, burst: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> float:
        """0.0 when the look-up may go ahead, else the seconds until the next one may."""
        if self.per_second is None:
            return 0.0
        now = self._clock()
        self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.per_second
        self._tokens -= 1.0
        return 0.0
