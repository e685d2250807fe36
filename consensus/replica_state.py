"""What a replica knows: its head, and the height under way. The rules that change it are in the other modules.

Views are scoped to a height. A height begins in the view of its parent's commit certificate; a view change concerns
this height only; once the block is decided, the view of its certificate is where the next height begins. So a replica
that changed views alone is back with the others at the next block, and a primary that has failed is not asked again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chain.certificate import Certificate, Phase, Vote, sign_vote
from chain.crypto import Signer, Verifier
from chain.errors import KehuError
from chain.validators import ValidatorSet
from consensus.config import ReplicaConfig
from consensus.effects import Broadcast, Effect, Persist, Send, ViewEntered
from consensus.message_log import FutureMessages, MessageLog
from consensus.messages import Message, NewView
from consensus.slowness import PrimaryWatch
from consensus.votes import Record

CHECKED_CERTIFICATES_MAX = 256


@dataclass(frozen=True, slots=True)
class Head:
    """The last appended block. `certificate` is None for the genesis block only; `validators` decide height + 1."""

    height: int
    block_id: bytes
    certificate: Certificate | None
    validators: ValidatorSet


@dataclass(slots=True)
class HeightState:
    """The height under way. `view` only grows; in a view that is not active nothing is accepted or voted."""

    height: int
    first_view: int
    view: int
    is_active: bool = True
    is_touched: bool = False
    """A PREPARE or VIEW-CHANGE of ours exists at this height: from here on only a NEW-VIEW opens a higher view."""
    new_view: NewView | None = None
    """What opened the view, if it was not the view the height began with."""
    required: bytes | None = None
    """The block that NEW-VIEW says must be proposed in this view."""
    proposal: bytes | None = None
    """The block id accepted in this view (or proposed, by the primary)."""
    is_build_asked: bool = False
    is_work_newer: bool = False
    """Work came while a block was being built, so the answer that there is none may be old."""
    is_suspect: bool = False
    """The primary of this view has failed us: its time is up, or its proposal is invalid."""
    is_late: bool = False
    """The retransmission timer has run out in this view."""
    wanted: bytes | None = None
    """A block that others prepare in this view and whose proposal the primary has not sent us (consensus.withheld)."""
    times_asked: int = 0
    prepare: Vote | None = None
    commit: Vote | None = None
    prepared: Certificate | None = None
    """The prepared certificate of the highest view in which we voted COMMIT."""
    commit_certificate: Certificate | None = None
    is_deciding: bool = False
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    """Bodies known to be valid, by block id."""
    validating: dict[tuple[int, bytes], tuple[bytes, str]] = field(default_factory=dict)
    """(view, block id) -> (body, who sent it), while the driver looks at it."""
    liars: set[str] = field(default_factory=set)
    """Departments whose answer to a ProposalRequest was a wrong body; asked for membership only."""
    accused: set[tuple[str, str]] = field(default_factory=set)
    helped_ms: dict[str, int] = field(default_factory=dict)
    """When each department was last sent a body by us."""
    checked: dict[bytes, bool] = field(default_factory=dict)
    """Whether a prepared certificate (its bytes) was valid."""
    log: MessageLog = field(default_factory=MessageLog)


@dataclass(slots=True)
class Observer:
    """A replica without its vote log. `heard`: certified heights of others since the start."""

    heard: dict[str, int] = field(default_factory=dict)
    votes_from_height: int = 0


@dataclass(slots=True)
class ReplicaState:
    config: ReplicaConfig
    signer: Signer
    check: Verifier
    head: Head
    certifiers: ValidatorSet | None
    """Who signed the head's certificate, if known."""
    at: HeightState
    records: tuple[Record, ...]
    """The vote log as it was at the start, less what is obsolete."""
    observer: Observer | None
    has_work: bool = False
    now_ms: int = 0
    fetch_to_height: int = 0
    """How far the driver was asked to catch up."""
    proven_height: int = 0
    """The highest height for which somebody showed a commit certificate."""
    future: FutureMessages = field(default_factory=FutureMessages)
    watch: PrimaryWatch = field(default_factory=PrimaryWatch)
    timers: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """Running timers: name -> what they were set for."""
    timer_token: int = 0
    out: list[Effect] = field(default_factory=list)

    @property
    def me(self) -> str:
        return self.config.department

    @property
    def validators(self) -> ValidatorSet:
        return self.head.validators

    @property
    def is_member(self) -> bool:
        """Whether the height under way is ours to vote on, with the key that we have."""
        return self.head.validators.key_of(self.config.department) == self.signer.public

    @property
    def may_vote(self) -> bool:
        return self.observer is None and not self.at.is_deciding and self.is_member

    @property
    def is_primary(self) -> bool:
        return self.head.validators.primary(self.at.view) == self.config.department

    def emit(self, effect: Effect) -> None:
        self.out.append(effect)

    def persist(self, record: Record) -> None:
        self.emit(Persist(record.height, record.to_bytes()))

    def send(self, department: str, message: Message) -> None:
        self.emit(Send(department, message))

    def broadcast(self, message: Message) -> None:
        self.emit(Broadcast(message))

    def signed_vote(self, phase: Phase, block_id: bytes) -> Vote:
        at = self.at
        return sign_vote(
            self.signer, self.config.chain_id, phase, self.validators.epoch, at.height, at.view, block_id, self.me
        )

    def may_help(self, department: str) -> bool:
        """Whether it is time to send that department something large again."""
        last_ms = self.at.helped_ms.get(department)
        if last_ms is not None and self.now_ms - last_ms < self.config.retransmit_ms // 2:
            return False
        self.at.helped_ms[department] = self.now_ms
        return True

    def enter_view(self, view: int, *, is_active: bool, new_view: NewView | None = None) -> None:
        """Leaves whatever went on in the old view. What was prepared, and bodies, stay."""
        at = self.at
        at.view, at.is_active, at.new_view = view, is_active, new_view
        at.required = None if new_view is None else new_view.block_id
        at.proposal = at.wanted = at.prepare = at.commit = None
        at.is_build_asked = at.is_work_newer = at.is_suspect = at.is_late = False
        self.watch.begin_view()
        self.emit(ViewEntered(at.height, view, self.validators.primary(view), is_active))

    def remember_body(self, block_id: bytes, body: bytes) -> None:
        """Keeps the newest few; the prepared block and the proposal always."""
        at = self.at
        at.bodies[block_id] = body
        needed = (block_id, at.proposal, at.required, at.prepared.block_id if at.prepared else None)
        spare = [known for known in at.bodies if known not in needed]
        for known in spare[: max(0, len(at.bodies) - self.config.views_kept)]:
            del at.bodies[known]

    def is_commit_certificate(self, certificate: Certificate, height: int, block_id: bytes | None) -> bool:
        """Whether it proves the block of `height` (any block, if `block_id` is None) under a set we know."""
        for validators in (self.validators, self.certifiers):
            if validators is not None and validators.epoch == certificate.epoch:
                return self._is_valid(certificate, "commit", height, block_id, validators)
        return False

    def is_prepared_certificate(self, certificate: Certificate, below_view: int) -> bool:
        """Whether it proves that a block was prepared at the height under way, in a view lower than `below_view`."""
        if certificate.view >= below_view:
            return False
        key = certificate.to_bytes()
        if key not in self.at.checked:
            if len(self.at.checked) >= CHECKED_CERTIFICATES_MAX:
                self.at.checked.clear()
            self.at.checked[key] = self._is_valid(certificate, "prepare", self.at.height, None, self.validators)
        return self.at.checked[key]

    def _is_valid(
        self, certificate: Certificate, phase: Phase, height: int, block_id: bytes | None, validators: ValidatorSet
    ) -> bool:
        try:
            certificate.require(phase, height, certificate.block_id if block_id is None else block_id)
            certificate.verify(validators, self.config.chain_id, self.check)
        except KehuError:
            return False
        return True
