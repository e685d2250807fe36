"""Where an invitation stands, for whoever ends one with something else (contracts.people.invitations has the rest)."""

from __future__ import annotations

from typing import Any, Final

from chain.state import View

INVITATIONS: Final = "invitations"
OPEN: Final = "open"
REDEEMED: Final = "redeemed"
WITHDRAWN: Final = "withdrawn"


def withdraw_open(view: View, customer: str, ended: dict[str, Any]) -> None:
    """The customer's invitation is not redeemed any more; `ended`: {by, stamp}."""
    row = view.get(INVITATIONS, customer)
    if row is not None and row["status"] == OPEN:
        view.put(INVITATIONS, customer, {**row, "status": WITHDRAWN, "ended": ended})
