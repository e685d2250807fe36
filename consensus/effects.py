"""Everything a replica wants done. `Replica.step` returns these; the driver performs them in order.

The one rule about order: a `Persist` is durable (fsync) before any later `Send` or `Broadcast` is handed to the
network. A driver may make several Persists of one step durable together, before the first later message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chain.certificate import Certificate
from chain.evidence import Evidence
from consensus.messages import Message


@dataclass(frozen=True, slots=True)
class Persist:
    """Append `record` to the vote log. Once `height` is appended to the chain, the record is obsolete."""

    height: int
    record: bytes


@dataclass(frozen=True, slots=True)
class ForgetVotes:
    """Every record of the vote log with a height of at most `height` may be removed; there is no hurry."""

    height: int


@dataclass(frozen=True, slots=True)
class Send:
    """One message (`message.to_bytes()`) to one department. It may be lost; the replica repeats what matters."""

    department: str
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One message to every other department of the current validator set."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """After `delay_ms`, answer with `TimerFired(timer, token)`. Replaces a running timer of the same name."""

    timer: str
    token: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer: str


@dataclass(frozen=True, slots=True)
class BuildProposal:
    """We are the primary: build a block on `parent_id`. Answer `ProposalBuilt` or `NothingToPropose`."""

    height: int
    view: int
    parent_id: bytes


@dataclass(frozen=True, slots=True)
class ValidateProposal:
    """Execute `body` and answer `ProposalValidated`. Check that it is the body of `block_id` and builds on the head.

    The body is whatever the primary sent: garbage, or another block's than `block_id`, is its offence, not ours.

    `is_prepared`: a quorum has prepared this block in an earlier view, so its time was checked by correct
    replicas when it was fresh; the clock is not to be compared again, or a long pause would block the chain.
    """

    height: int
    view: int
    block_id: bytes
    body: bytes
    is_prepared: bool


@dataclass(frozen=True, slots=True)
class Decide:
    """Final. Append the block unless catch-up has done so already, then answer `Appended` in either case."""

    height: int
    block_id: bytes
    body: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class FetchBlocks:
    """We are behind: get certified blocks `from_height` up to `to_height` (or further) and append them.

    `departments` are likely to have them. Nothing waits for the answer; repeated while it is still true, so the driver
    keeps one catch-up running and ignores the rest. Report progress by `Appended`.
    """

    from_height: int
    to_height: int
    departments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accuse:
    """`department` broke the protocol. `evidence` proves it to others; None where it is our word only.

    `offence` is one of the codes in `consensus.evidence`; `detail` holds numbers and ids only.
    """

    department: str
    offence: str
    detail: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class ViewEntered:
    """For health and logs: where the replica stands. Not active: it has asked for `view` and waits for NEW-VIEW."""

    height: int
    view: int
    primary: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class ObserverChanged:
    """Whether the replica only observes, because its vote log is missing or damaged.

    A missing log stays missing: only when `is_observer` is False does the driver begin a new one, durable before the
    next Persist. A replica that is restarted while it observes has to be given None again, not an empty log.
    `votes_from_height`: the first height it will vote on; 0 while a quorum has not yet said where the network stands.
    """

    is_observer: bool
    votes_from_height: int


Effect: TypeAlias = (
    Persist
    | ForgetVotes
    | Send
    | Broadcast
    | SetTimer
    | CancelTimer
    | BuildProposal
    | ValidateProposal
    | Decide
    | FetchBlocks
    | Accuse
    | ViewEntered
    | ObserverChanged
)
