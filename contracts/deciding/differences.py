"""What a change of permissions changes, for whom: two states compared, without going through every record.

Records with ties to a person (an assignment, a grant on the very record or its project) are decided one by one; all
others are decided alike for that person, since nothing else about a record is asked, so one question stands for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain.state import View
from contracts.base import ACTIONS, EVERY
from contracts.deciding.permissions import Case
from contracts.deciding.policy import load_policy
from contracts.deciding.subjects import Subject


@dataclass(frozen=True, slots=True)
class Difference:
    """A person gains or loses an action on a field of so many records."""

    person: str
    department: str
    table: str
    action: str
    field: str
    gained: int
    lost: int


def differences(
    before: View,
    after: View,
    subject: Subject,
    table: str,
    tied: Sequence[str],
    others: int,
    purpose: str | None,
    time_ms: int,
) -> list[Difference]:
    """For every action and field of a table, where there is one.

    tied: the records that have an assignment or a grant of their own, or belong to a project that has one, in either
    state; others: how many further records there are.
    """
    found = []
    for action in ACTIONS:
        cases = tuple(Case(view, subject, action, table, purpose, time_ms) for view in (before, after))
        for field in _fields(before, after, table):
            gained = lost = 0
            for record, count in ((EVERY, others), *((record, 1) for record in tied)):
                was, will = (case.decide(record, field).allowed for case in cases)
                gained += count * (will and not was)
                lost += count * (was and not will)
            if gained or lost:
                found.append(Difference(subject.id, subject.department, table, action, field, gained, lost))
    return found


def _fields(before: View, after: View, table: str) -> Iterable[str]:
    known = (load_policy(view)["tables"].get(table, []) for view in (before, after))
    return dict.fromkeys(field for fields in known for field in fields)
