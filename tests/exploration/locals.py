"""The states one real replica can be in, numbered, and what each event makes of them.

`Replica.step` is a function of state and event, so its outcome is computed once for each pair and looked up after that:
a search over whole networks then costs no more than its bookkeeping. Two states are the same if nothing that follows
can tell them apart: which quorum signed a certificate, caches, and timer numbers are left out of the key.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from chain.certificate import Certificate
from chain.crypto import ZERO_DIGEST, digest
from consensus.config import ReplicaConfig
from consensus.effects import Broadcast, BuildProposal, Decide, Effect, Send, ValidateProposal
from consensus.events import (
    Appended,
    Event,
    MessageReceived,
    ProposalBuilt,
    ProposalValidated,
    Started,
    TimerFired,
    WorkAvailable,
)
from consensus.message_log import FutureMessages, MessageLog
from consensus.messages import Message, NewView, PrePrepare, ViewChange, VoteMessage
from consensus.replica import Replica
from consensus.replica_state import Head, ReplicaState
from tests.simulation.cheap_crypto import CheapSigner, CheapVerifier, keys_of, validators_of

N = 4
CHAIN_ID = digest("genesis", b"exploration")
VALIDATORS = validators_of(N)
NAMES = VALIDATORS.departments
SIGNERS = [CheapSigner(keys_of(N)[name]) for name in NAMES]
CHECK = CheapVerifier(keys_of(N).values())
VALID_MARK = b"block "
CONFIG = {"view_timeout_ms": 1 << 40, "view_timeout_max_ms": 1 << 41, "retransmit_ms": 2}
"""Time is a counter of steps here: everything may be helped with again, and no primary is ever called slow."""

Sent = tuple[tuple[int, Message], ...]
"""(receiver, message) pairs."""


def body_of(primary: int, view: int, choice: str = "") -> bytes:
    return VALID_MARK + f"{NAMES[primary]} {view} {choice}".encode()


def block_id_of(body: bytes) -> bytes:
    return digest("block", body)


@dataclass(frozen=True, slots=True)
class Local:
    """One replica and its one-block chain. Never stepped in place."""

    replica: Replica
    decided: bytes | None = None
    certificate: Certificate | None = None


def first_local(who: int) -> Local:
    head = Head(0, ZERO_DIGEST, None, VALIDATORS)
    replica = Replica(ReplicaConfig(NAMES[who], CHAIN_ID, **CONFIG), SIGNERS[who], head, [], CHECK)
    replica.step(Started(), 0)
    return Local(replica)


def step(local: Local, who: int, events: list[Event]) -> tuple[Local, Sent]:
    """The replica after `events` and after every answer of its driver; what it sent meanwhile."""
    replica, decided, certificate = clone(local.replica), local.decided, local.certificate
    sent: list[tuple[int, Message]] = []
    waiting = list(events)
    now_ms = replica._state.now_ms
    while waiting:
        now_ms += 10
        for effect in replica.step(waiting.pop(0), now_ms):
            if isinstance(effect, Decide):
                if decided is not None:
                    raise AssertionError("decided twice")
                decided, certificate = effect.block_id, effect.certificate
            waiting += answers_to(effect, who)
            sent += addressed(effect, who)
    return Local(replica, decided, certificate), tuple(sent)


def answers_to(effect: Effect, who: int) -> list[Event]:
    match effect:
        case BuildProposal(height, view, _):
            body = body_of(who, view)
            return [ProposalBuilt(height, view, block_id_of(body), body)]
        case ValidateProposal(height, view, block_id, body, _):
            is_valid = block_id_of(body) == block_id and body.startswith(VALID_MARK)
            return [ProposalValidated(height, view, block_id, is_valid)]
        case Decide(height, block_id, _, certificate):
            return [Appended(height, block_id, certificate, VALIDATORS, False)]
        case _:
            return []


def addressed(effect: Effect, who: int) -> list[tuple[int, Message]]:
    match effect:
        case Send(department, message):
            return [(NAMES.index(department), message)]
        case Broadcast(message):
            return [(other, message) for other in range(N) if other != who]
        case _:
            return []


def synced(local: Local, certificate: Certificate) -> Local:
    """Catch-up brought the decided block."""
    replica = clone(local.replica)
    replica.step(Appended(1, certificate.block_id, certificate, VALIDATORS, False), replica._state.now_ms + 10)
    return Local(replica, certificate.block_id, certificate)


def received(sender: int, message: Message) -> MessageReceived:
    return MessageReceived(NAMES[sender], message.to_bytes())


def fired(local: Local, timer: str) -> list[Event]:
    running = local.replica._state.timers.get(timer)
    return [] if running is None else [TimerFired(timer, running[0])]  # type: ignore[arg-type]


def with_work(local: Local, who: int) -> tuple[Local, Sent]:
    return step(local, who, [WorkAvailable()])


# Copies and keys


def clone(replica: Replica) -> Replica:
    """A replica that shares only what is immutable, and the cache of checked certificates."""
    other = copy(replica)
    other._state = state = copy(replica._state)
    state.at = at = copy(state.at)
    at.bodies, at.validating, at.helped_ms = dict(at.bodies), dict(at.validating), dict(at.helped_ms)
    at.liars, at.accused = set(at.liars), set(at.accused)
    votes = {name: dict(kept) for name, kept in at.log.votes.items()}
    at.log = MessageLog(dict(at.log.pre_prepares), dict(at.log.view_changes), votes)
    future = state.future
    state.future = FutureMessages(
        {name: dict(kept) for name, kept in future.slots.items()}, dict(future.claimed_heights)
    )
    state.watch = copy(state.watch)
    state.watch.complaints = dict(state.watch.complaints)
    state.timers, state.out = dict(state.timers), []
    return other


def certified(certificate: Certificate | None) -> object:
    return None if certificate is None else (certificate.phase, certificate.view, certificate.block_id)


def message_key(message: Message) -> object:
    """What a receiver can tell apart."""
    match message:
        case VoteMessage(vote):
            return (vote.phase, vote.height, vote.view, vote.block_id, vote.department)
        case PrePrepare():
            return (message.kind, message.height, message.view, message.block_id)
        case ViewChange():
            return (message.kind, message.view, certified(message.prepared), message.department)
        case NewView():
            return (message.kind, message.view, message.block_id, tuple(map(message_key, message.view_changes)))
        case _:
            return (message.kind, message.to_bytes() if not hasattr(message, "certificate") else (
                message.height, message.view, message.is_active, message.has_proposal, message.wants_reply,
                certified(message.certificate)))  # fmt: skip


def local_key(local: Local) -> tuple[object, ...]:
    state: ReplicaState = local.replica._state
    at, log = state.at, state.at.log
    return (
        local.decided, certified(local.certificate), state.has_work, state.fetch_to_height, state.proven_height,
        at.height, at.first_view, at.view, at.is_active, at.is_touched, at.required, at.proposal, at.is_suspect,
        at.is_late, at.wanted, at.is_build_asked, at.prepare and at.prepare.block_id,
        at.commit and at.commit.block_id, certified(at.prepared),
        certified(at.commit_certificate), at.is_deciding, tuple(sorted(at.bodies)), tuple(sorted(at.liars)),
        at.new_view and message_key(at.new_view),
        tuple(sorted((name, message.view, message.block_id) for name, message in log.pre_prepares.items())),
        tuple(message_key(log.view_changes[name]) for name in sorted(log.view_changes)),
        tuple(sorted((name, *key, vote.block_id) for name, kept in log.votes.items() for key, vote in kept.items())),
        tuple(sorted(state.future.claimed_heights.items())),
        tuple((name, tuple(sorted(kept))) for name, kept in sorted(state.future.slots.items()) if kept),
        tuple(sorted(state.timers)),
    )  # fmt: skip
