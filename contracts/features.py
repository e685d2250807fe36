"""Which version of the protocol brought which rule of the contracts (chain.protocol).

A rule asks `context.protocol >= NAME`, and a call that came later does not exist below its version. What held before
stays in the code for the heights before; nothing here is ever taken back or given another number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GRANT_LIMITS: Final = 2
"""The administration may limit for how long a grant is given."""
ANSWERS_IN_ORDER: Final = 3
"""A carrier's answer that is older than the last one that counted, by whichever gateway, changes nothing any more; nor
does one that may compare with another first answer's identifier."""

CALLS: Final[Mapping[str, int]] = {"permissions.limit_grants": GRANT_LIMITS}
"""Calls that version 1 does not have -> the version that brought them."""
