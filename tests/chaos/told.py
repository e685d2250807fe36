"""What clients were told about what they sent. The checks hold the chain against it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from chain.transaction import Transaction


class Outcome(StrEnum):
    """`REFUSED`: the node said no before anything of it was on its way. `FAILED`: on the chain, with another code than
    ok. `UNKNOWN`: nobody has said; it may be on the chain."""

    COMMITTED = "committed"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Intent:
    """One transaction, from when it was signed (`sent_s`, monotonic) to what was said of it last."""

    transaction: Transaction
    department: str
    sent_s: float
    outcome: Outcome = Outcome.UNKNOWN
    code: str = ""
    height: int = 0
    told_s: float = 0.0
    tries: int = 0
    was_uncertain: bool = False
    """Whether a try ended without an answer, so that a later refusal says nothing about it."""


@dataclass
class Told:
    """`intents`: transaction id -> what is known. `wrongs`: answers to clients that can't be right."""

    intents: dict[bytes, Intent] = field(default_factory=dict)
    acknowledged: list[Intent] = field(default_factory=list)
    """In the order in which clients heard of them."""
    reads: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)

    def intend(self, transaction: Transaction, department: str, now_s: float) -> Intent:
        intent = Intent(transaction, department, now_s)
        self.intents[transaction.id] = intent
        return intent

    def settle(self, intent: Intent, outcome: Outcome, now_s: float, code: str = "ok", height: int = 0) -> None:
        intent.outcome, intent.code, intent.height, intent.told_s = outcome, code, height, now_s
        if outcome is Outcome.COMMITTED:
            self.acknowledged.append(intent)

    def first_after(self, since_s: float, without: tuple[str, ...] = ()) -> float | None:
        """Seconds from `since_s` to the first acknowledgement of something that was sent after it."""
        # All of them: what was answered in a long recovery would hide the first answer from a look at the last ones.
        first = bisect_left(self.acknowledged, since_s, key=lambda intent: intent.told_s)
        for intent in self.acknowledged[first:]:
            if intent.sent_s >= since_s and intent.department not in without:
                return intent.told_s - since_s
        return None

    def counts(self) -> Counter[str]:
        return Counter(str(intent.outcome) for intent in self.intents.values())

    def codes(self) -> Counter[str]:
        """By which codes transactions were refused, or failed."""
        unsuccessful = (Outcome.REFUSED, Outcome.FAILED)
        return Counter(intent.code for intent in self.intents.values() if intent.outcome in unsuccessful)
