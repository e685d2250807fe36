"""What must never happen, watched from outside the replicas.

Agreement (one block per height), valid certificates only, no statement before its record is durable, no two
statements that exclude each other (over all lives of a replica), no vote below a promised view, no VIEW-CHANGE that
hides what was prepared, each height once, and no replica that keeps more than the bounds of docs/spec/consensus.md
allow.
"""

from __future__ import annotations

from chain.certificate import Certificate
from chain.crypto import Verifier
from chain.validators import ValidatorSet
from consensus.messages import Message, NewView, PrePrepare, ViewChange, VoteMessage
from consensus.replica import Replica
from consensus.replica_state import CHECKED_CERTIFICATES_MAX
from consensus.votes import CommitRecord, NewViewRecord, PrepareRecord, ViewChangeRecord, decode_record

Statement = tuple[str, int, int]
"""(kind, height, view): what can be said once only."""


class ViolationError(AssertionError):
    """A property does not hold; the message says which and where."""


def statement_of(message: Message) -> tuple[Statement, bytes | None, str] | None:
    """(what is stated, its content, by whom) for the messages that bind their sender."""
    match message:
        case VoteMessage(vote):
            return (vote.phase, vote.height, vote.view), vote.block_id, vote.department
        case PrePrepare():
            return ("prepare", message.height, message.view), message.block_id, message.department
        case ViewChange():
            return ("view-change", message.height, message.view), message.payload(), message.department
        case NewView():
            return ("new-view", message.height, message.view), message.payload(), message.department
        case _:
            return None


def recorded_statement(data: bytes) -> tuple[Statement, bytes]:
    match decode_record(data):
        case PrepareRecord(vote, _) | CommitRecord(vote, _):
            return (vote.phase, vote.height, vote.view), vote.block_id
        case ViewChangeRecord(message) | NewViewRecord(message):
            return (message.kind, message.height, message.view), message.payload()


class Checker:
    """One for a whole simulated network.

    `correct` members append what is decided, whatever happened to their disks; `checked` ones never lost what they
    had signed, so all that they say is held against them.
    """

    def __init__(
        self,
        chain_id: bytes,
        check: Verifier,
        correct: tuple[str, ...],
        checked: tuple[str, ...],
    ) -> None:
        self.chain_id, self.check, self.correct = chain_id, check, frozenset(correct)
        self.sets: dict[int, ValidatorSet] = {}
        self.decided: dict[int, bytes] = {}
        self.said: dict[str, dict[Statement, bytes | None]] = {name: {} for name in checked}
        self.promised: dict[tuple[str, int], int] = {}
        self.durable: dict[str, dict[Statement, bytes]] = {name: {} for name in checked}
        self.committed: dict[tuple[str, int], int] = {}
        """(name, height) -> the highest view in which a COMMIT is durable: the least that a VIEW-CHANGE must show."""
        self.decides: set[tuple[str, int, int]] = set()

    def on_durable(self, name: str, record: bytes) -> None:
        if name in self.durable:
            statement, content = recorded_statement(record)
            self.durable[name][statement] = content
            kind, height, view = statement
            if kind == "commit":
                self.committed[name, height] = max(view, self.committed.get((name, height), 0))

    def on_send(self, name: str, message: Message, validators: ValidatorSet, key: bytes) -> None:
        """`validators`: who decides the sender's next height; `key`: the sender's own."""
        if isinstance(message, VoteMessage) and name in self.correct and message.vote.department == name:
            vote = message.vote
            if vote.epoch != validators.epoch or validators.key_of(name) != key:
                raise ViolationError(f"{name} voted at height {vote.height} in a set that it is no member of")
        stated = statement_of(message) if name in self.said else None
        if stated is None or stated[2] != name:
            return
        (kind, height, view), content, _ = stated
        if self.durable[name].get((kind, height, view)) != content:
            raise ViolationError(f"{name} said {kind} at height {height} view {view} before it was durable")
        if self.said[name].setdefault((kind, height, view), content) != content:
            raise ViolationError(f"{name} said {kind} at height {height} view {view} twice, differently")
        if view < self.promised.get((name, height), 0):
            raise ViolationError(f"{name} said {kind} at height {height} view {view} below a view it promised")
        if isinstance(message, ViewChange):
            self.promised[name, height] = view
            shown = -1 if message.prepared is None else message.prepared.view
            if shown < self.committed.get((name, height), -1):
                raise ViolationError(f"{name} hides at height {height} view {view} what was prepared when it committed")

    def on_decide(self, name: str, life: int, height: int) -> None:
        if name in self.correct:
            if (name, life, height) in self.decides:
                raise ViolationError(f"{name} decided height {height} twice")
            self.decides.add((name, life, height))

    def on_append(
        self, name: str, height: int, block_id: bytes, certificate: Certificate, validators: ValidatorSet
    ) -> None:
        """`validators`: who decides this height by the member's own chain; all have to say the same."""
        if name not in self.correct:
            return
        if self.sets.setdefault(height, validators) != validators:
            raise ViolationError(f"two sets for height {height}")
        certificate.require("commit", height, block_id)
        certificate.verify(validators, self.chain_id, self.check)
        if self.decided.setdefault(height, block_id) != block_id:
            raise ViolationError(f"two blocks at height {height}")

    def on_footprint(self, name: str, replica: Replica) -> None:
        """Everything a replica keeps is bounded, whatever its peers send."""
        if name not in self.correct:
            return
        state, n = replica._state, replica._state.validators.n
        at, config = state.at, state.config
        if at.prepared is not None and at.prepared.block_id not in at.bodies:
            raise ViolationError(f"{name} has to show what was prepared at height {at.height}, and lacks its block")
        kept = {
            "future messages of a member": (
                max(map(len, state.future.slots.values()), default=0),
                5 * config.height_window,
            ),
            "bytes of a member's future messages": (
                max((sum(one.size for one in kept.values()) for kept in state.future.slots.values()), default=0),
                config.future_bytes_max,
            ),
            "votes of a member": (max(map(len, at.log.votes.values()), default=0), 2 * config.views_kept),
            "bodies": (len(at.bodies), config.views_kept + 4),
            "bodies in validation": (len(at.validating), config.views_kept + 4),
            "members": (max(len(at.log.votes), len(at.log.view_changes), len(state.watch.complaints)), n),
            "checked certificates": (len(at.checked), CHECKED_CERTIFICATES_MAX),
            "accusations": (len(at.accused), 12 * n),
            "claimed heights": (len(state.future.claimed_heights), n),
        }
        for what, (count, limit) in kept.items():
            if count > limit:
                raise ViolationError(f"{name} keeps {count} {what}, limit {limit}")
