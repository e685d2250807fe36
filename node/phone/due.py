"""Whose numbers are due to be checked again. The chain says so itself: a sweep can stop and go on anywhere.

A number that its platform never answers for stays due, and each question costs. So a node by itself asks again once it
has waited as long as there has been no answer already, and at the latest when an answer would be too old: after one
hour, two, four, and in the end once in the policy's sweep_age_ms. A person who sweeps decides for themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from chain.state import View
from contracts.base import count_of
from contracts.deciding.permissions import Case
from contracts.deciding.policy import load_policy
from contracts.deciding.say import SOME_PURPOSE
from contracts.deciding.subjects import Subject
from contracts.people.phone_status import REASSIGNED
from contracts.records import SEQUENCES, Record
from node.phone.question import TABLE, may_hold

LOOKED_AT_MAX: Final = 5_000
"""Customers that one page looks at; the asker goes on from `next`."""
TURN: Final = 32
"""Customers looked at before others get a turn of the event loop."""


@dataclass(frozen=True, slots=True)
class Due:
    """Public facts of a customer who is due; `sequence` is the place in the order of registration, `asked_ms` when a
    platform was last asked, whether or not it answered."""

    customer: str
    sequence: int
    status: str
    checked_ms: int | None
    asked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DuePage:
    """`next`: the sequence number to go on after; None at the end."""

    items: tuple[Due, ...]
    next: int | None
    sweep_age_ms: int


async def find_due(
    view: Callable[[], View], department: str, subject: Subject | None, now_ms: int, after: int, limit: int
) -> DuePage:
    """The next customers that are due and that `department` may ask about; of those, what `subject` may have checked,
    or, for None, those whom the node asks about by itself now.

    The state may move while this runs: each customer is looked at as they are when their turn comes.
    """
    age_ms = int(load_policy(view())["phone"]["sweep_age_ms"])
    last, number = count_of(view(), TABLE), after
    found: list[Due] = []
    while number < min(last, after + LOOKED_AT_MAX) and len(found) < limit:
        number += 1
        if number % TURN == 0:
            await asyncio.sleep(0)
        due = _due(view(), department, subject, now_ms, age_ms, number)
        if due is not None:
            found.append(due)
    return DuePage(tuple(found), number if number < last else None, age_ms)


def _due(view: View, department: str, subject: Subject | None, now_ms: int, age_ms: int, number: int) -> Due | None:
    row = view.get(SEQUENCES[TABLE], str(number))
    customer = "" if row is None else str(row["record"])
    record = view.get(TABLE, customer) if customer else None
    if record is None or not is_due(record, now_ms, age_ms):
        return None
    if not may_hold(view, department, customer, "phone", now_ms):
        return None
    if subject is not None and not may_ask(view, subject, customer, now_ms):
        return None
    if subject is None and _is_resting(view, customer, record, now_ms, age_ms):
        return None
    asked_ms = max((time_ms for time_ms, *_ in record["gateways"].values()), default=None)
    return Due(customer, number, record["status"], record["checked_ms"], asked_ms)


def is_due(record: dict[str, Any] | Record, now_ms: int, age_ms: int) -> bool:
    """No answer can change a reassigned number's status, and a number that was removed can't be asked about."""
    if record["reason"] == REASSIGNED or "phone" not in record["fields"]:
        return False
    checked_ms = record["checked_ms"]
    return checked_ms is None or now_ms - checked_ms > age_ms


def _is_resting(view: View, customer: str, record: Record, now_ms: int, age_ms: int) -> bool:
    """Whether there was a question without a clear answer lately, as measured by how long there has been none."""
    last_ms: int | None = None
    for number in range(record["answers"], 0, -1):
        answer = view.get("answers", f"{customer}.{number}")
        if answer is None or answer["agreed"] or answer["asked_ms"] <= record["trusted_ms"]:  # or of another number
            return False
        last_ms = answer["asked_ms"] if last_ms is None else last_ms
        waited_ms = now_ms - last_ms
        if waited_ms >= age_ms:
            return False
        if last_ms - answer["asked_ms"] > waited_ms:
            return True
    return False


def may_ask(view: View, subject: Subject, customer: str, now_ms: int) -> bool:
    """Whoever may contact the customer or change the number may have it checked. For which purpose the number is wanted
    is asked when it is given out, which may take a check first."""
    asked = (("contact", SOME_PURPOSE), ("change", None))
    cases = (Case(view, subject, action, TABLE, purpose, now_ms) for action, purpose in asked)
    return any(case.decide(customer, "phone").allowed for case in cases)
