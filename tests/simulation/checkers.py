"""What must never happen, watched from outside the replicas.

Agreement (one block per height), valid certificates only, no statement before its record is durable, no two
statements that exclude each other (over all lives of a replica), no vote below a promised view, each height once.
"""

from __future__ import annotations

from chain.certificate import Certificate
from chain.crypto import Verifier
from chain.validators import ValidatorSet
from consensus.messages import Message, NewView, PrePrepare, ViewChange, VoteMessage
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
    """One for a whole simulated network; knows which members are correct."""

    def __init__(self, validators: ValidatorSet, chain_id: bytes, check: Verifier, correct: tuple[str, ...]) -> None:
        self.validators, self.chain_id, self.check, self.correct = validators, chain_id, check, correct
        self.decided: dict[int, bytes] = {}
        self.said: dict[str, dict[Statement, bytes | None]] = {name: {} for name in correct}
        self.promised: dict[tuple[str, int], int] = {}
        self.durable: dict[str, dict[Statement, bytes]] = {name: {} for name in correct}
        self.decides: set[tuple[str, int, int]] = set()

    def on_durable(self, name: str, record: bytes) -> None:
        if name in self.durable:
            statement, content = recorded_statement(record)
            self.durable[name][statement] = content

    def on_send(self, name: str, message: Message) -> None:
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
        if kind == "view-change":
            self.promised[name, height] = view

    def on_decide(self, name: str, life: int, height: int) -> None:
        if name in self.said:
            if (name, life, height) in self.decides:
                raise ViolationError(f"{name} decided height {height} twice")
            self.decides.add((name, life, height))

    def on_append(self, name: str, height: int, block_id: bytes, certificate: Certificate) -> None:
        if name not in self.said:
            return
        certificate.require("commit", height, block_id)
        certificate.verify(self.validators, self.chain_id, self.check)
        if self.decided.setdefault(height, block_id) != block_id:
            raise ViolationError(f"two blocks at height {height}")
