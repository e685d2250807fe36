"""What a carrier's answer makes of a customer's phone status. The rule alone; who may bring an answer is elsewhere.

(status now, answer -> status then)

  (recorded)             found, same -> valid; else refused, or temporary as the caller chose
  temporary              found, same -> valid; none, changed -> temporary
  valid                  the same identifier, same -> valid; another, changed -> invalid reassigned;
                         none -> invalid unavailable
  invalid (unavailable)  as valid
  invalid (reassigned)   stays; only the customer's new number with its own answer ends it
  any                    no_answer -> unchanged, but recorded

found and none come from the identifier look-up, same and changed from Number Recycling, which names no identifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chain.attestation import CHANGED, NO_ANSWER, NONE, SAME

VALID: Final = "valid"
TEMPORARY: Final = "temporary"
INVALID: Final = "invalid"
REASSIGNED: Final = "reassigned"
UNAVAILABLE: Final = "unavailable"


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer's phone status: reason is None unless invalid; identifier is a digest or None.

    A valid customer without an identifier was confirmed by a platform that names none.
    """

    status: str
    reason: str | None
    identifier: bytes | None


UNASKED: Final = Standing(TEMPORARY, None, None)


def judge(now: Standing, outcome: str, identifier: bytes | None) -> Standing:
    """What an agreed answer makes of a status; the table above."""
    if outcome == NO_ANSWER or now.reason == REASSIGNED:
        return now
    if outcome == SAME:
        return Standing(VALID, None, now.identifier)
    if outcome in (NONE, CHANGED):
        if now.status == TEMPORARY:
            return now
        return Standing(INVALID, UNAVAILABLE if outcome == NONE else REASSIGNED, now.identifier)
    if now.identifier is None or now.identifier == identifier:
        return Standing(VALID, None, identifier)
    return Standing(INVALID, REASSIGNED, now.identifier)
