"""Days as the simulated carrier counts them: since 1970-01-01, in the calendar of China Standard Time."""

from __future__ import annotations

import time
from datetime import date
from typing import Final

_EPOCH: Final = date(1970, 1, 1).toordinal()
UTC_OFFSET_S: Final = 8 * 3600


def today_in_china() -> int:
    return (int(time.time()) + UTC_OFFSET_S) // 86_400


def day_of(day: date) -> int:
    return day.toordinal() - _EPOCH


def text_of(day: int) -> str:
    """RFC 3339's full-date."""
    return date.fromordinal(_EPOCH + day).isoformat()
