"""Times as people write them: dates, times of ISO 8601, and spans like 7d."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Final

from chain.errors import KehuError, define

EXPIRY_MALFORMED = define(
    "usage.expires",
    "an expiry is a date or a date and time of ISO 8601, or a number with m, h or d from now",
    "write 2026-12-31, 2026-12-31T18:00+08:00, or 7d",
)
TIME_MALFORMED = define(
    "usage.time",
    "a time is a date or a date and time of ISO 8601, or a number with m, h or d ago",
    "write 2026-12-31, 2026-12-31T18:00+08:00, or 7d",
)

_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN_LENGTH_MAX: Final = 7


def read_span(text: str) -> int | None:
    """Milliseconds of 90d, 12h or 30m; None of anything else."""
    unit_ms = _UNITS_MS.get(text[-1:])
    is_number = text[:-1].isascii() and text[:-1].isdecimal() and len(text) <= _SPAN_LENGTH_MAX
    return int(text[:-1]) * unit_ms if unit_ms and is_number else None


def read_expiry(text: str, now_ms: int | None = None) -> int:
    """Unix milliseconds. A span is from now, a date means the end of that day, a time without offset is this machine's.
    Errors: usage.expires."""
    span_ms = read_span(text)
    if span_ms is not None:
        return _or_now(now_ms) + span_ms
    try:
        return _unix_ms(text, days_on=1)
    except (ValueError, OverflowError):
        raise KehuError(EXPIRY_MALFORMED) from None


def read_moment(text: str | None, *, is_end: bool = False, now_ms: int | None = None) -> int | None:
    """Unix milliseconds. A span is that long ago, a date the day's beginning or (`is_end`) its last millisecond.
    Errors: usage.time."""
    if text is None:
        return None
    span_ms = read_span(text)
    if span_ms is not None:
        return max(0, _or_now(now_ms) - span_ms)
    try:
        return _unix_ms(text, days_on=int(is_end)) - int(is_end and _day(text) is not None)
    except (ValueError, OverflowError):
        raise KehuError(TIME_MALFORMED) from None


def _unix_ms(text: str, days_on: int) -> int:
    """Of a time itself; of a date the beginning of the day that is so many days later."""
    day = _day(text)
    if day is not None:
        day += timedelta(days=days_on)
        moment = datetime(day.year, day.month, day.day).astimezone()
    else:
        moment = datetime.fromisoformat(text).astimezone()
    return int(moment.timestamp() * 1000)


def _day(text: str) -> date | None:
    """A day of ISO 8601, in any of its spellings."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _or_now(now_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if now_ms is None else now_ms
