"""Asking a platform about a number's subscriber.

A platform is a carrier, or a communication platform that speaks for several. By its dialect it answers with the
subscriber's identifier or "none", or says whether the subscriber is the same since a day or changed. Only a
well-formed 200 counts as one of these; whatever else happens, a timeout, an error status, a page of HTML, a number of
another operator, is no answer with a reason: the difference is a customer declared unreachable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from chain.attestation import CHANGED, DATED, FOUND, NO_ANSWER, NONE, SAME, Outcome
from chain.errors import InvariantError, KehuError, define

Reason = Literal[
    "time_out", "unreachable", "rate_limited", "refused", "server_error", "malformed",
    "unauthenticated", "denied", "not_served", "not_applicable", "out_of_range",
]  # fmt: skip
"""Why there was no answer. refused: a status of 3xx or 4xx; malformed: a 200 that is not an answer; unauthenticated,
denied: this gateway is not let in, or not for this; not_served: the number is with another operator; not_applicable:
the service is not for this number; out_of_range: the platform does not look back to the day."""

NO_PLATFORM = define(
    "carrier.no_platform",
    "no platform is set for this range of numbers",
    "add the number's prefix, or a default platform, to the gateway's configuration",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform said. `identifier` with "found", `since_day` with "same" and "changed", `reason` with
    "no_answer", and nothing with "none".

    since_day: the day that was asked about, as days since 1970-01-01 in the platform's time zone.
    retry_after_ms: with "no_answer", how long the platform asked to be left alone, if it did.
    """

    outcome: Outcome
    identifier: str | None = field(default=None, repr=False)
    reason: Reason | None = None
    retry_after_ms: int | None = None
    since_day: int | None = None

    def __post_init__(self) -> None:
        is_matched = (self.outcome == FOUND) == (self.identifier is not None)
        is_dated = (self.outcome in DATED) == (self.since_day is not None)
        if not is_matched or not is_dated or (self.outcome == NO_ANSWER) != (self.reason is not None):
            raise InvariantError(f"an answer {self.outcome!r} with reason {self.reason!r} contradicts itself")

    @classmethod
    def found(cls, identifier: str) -> Answer:
        return cls(FOUND, identifier=identifier)

    @classmethod
    def none(cls) -> Answer:
        return cls(NONE)

    @classmethod
    def same(cls, since_day: int) -> Answer:
        return cls(SAME, since_day=since_day)

    @classmethod
    def changed(cls, since_day: int) -> Answer:
        return cls(CHANGED, since_day=since_day)

    @classmethod
    def no_answer(cls, reason: Reason, retry_after_ms: int | None = None) -> Answer:
        return cls(NO_ANSWER, reason=reason, retry_after_ms=retry_after_ms)


class CarrierPlatform(Protocol):
    """Whoever can be asked. `name` goes into attestations: 1 to 64 characters."""

    @property
    def name(self) -> str: ...

    async def look_up(self, number: str, since_ms: int) -> Answer:
        """The answer for a number in E.164. Trouble on the way is an answer too; nothing is raised for it.

        since_ms: the moment since which a dialect with dates is to say whether the subscriber is the same.
        """
        ...

    @property
    def held_ms(self) -> int:
        """How much longer the platform wants to be left alone."""
        ...


class PlatformTable:
    """Which platform to ask for which numbers: the longest matching prefix in E.164, else the default."""

    def __init__(self, default: CarrierPlatform | None, by_prefix: Mapping[str, CarrierPlatform] | None = None) -> None:
        self._default = default
        self._by_prefix = dict(sorted((by_prefix or {}).items(), key=lambda item: len(item[0]), reverse=True))
        for prefix in self._by_prefix:
            if not (prefix.startswith("+") and prefix[1:].isdecimal() and prefix.isascii()):
                raise KehuError(NO_PLATFORM, problem="a prefix is + and digits", prefix=prefix)

    def platform_of(self, number: str) -> CarrierPlatform:
        """Errors: carrier.no_platform."""
        for prefix, platform in self._by_prefix.items():
            if number.startswith(prefix):
                return platform
        if self._default is None:
            raise KehuError(NO_PLATFORM, prefixes=len(self._by_prefix))
        return self._default
