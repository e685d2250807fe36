"""When a payment is overdue: a fact that follows from the state and the block's time, and is stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OPEN: Final = "open"


def is_overdue(payment: Mapping[str, Any], time_ms: int) -> bool:
    """Whether the money is still awaited after the due time; a payment is not overdue *at* it."""
    return bool(payment["state"] == OPEN and time_ms > payment["due_ms"])
