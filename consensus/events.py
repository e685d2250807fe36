"""Everything that can happen to a replica. `Replica.step(event, now_ms)` takes these and nothing else.

Who makes them:

- `Started` once, first of all; then `MessageReceived`, `PeerConnected` from the transport; `TimerFired` for a
  `SetTimer`; `WorkAvailable` and `WorkDone` from the mempool;
- `ProposalBuilt` or `NothingToPropose` answers `BuildProposal`; `ProposalValidated` answers `ValidateProposal`;
- `Appended` says that a block is durable in the store, whether it came by `Decide` or by catch-up.

An answer that comes too late (the height or view has passed) is ignored, so the driver need not cancel anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chain.certificate import Certificate
from chain.validators import ValidatorSet


@dataclass(frozen=True, slots=True)
class Started:
    """The first event. The replica says where it stands and takes up what its vote log holds."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Bytes from `sender`, the department whose key the link was authenticated with. They may be anything."""

    sender: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A link to `department` is up (again); what was sent before may have been lost."""

    department: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The timer of a `SetTimer` with this name and token ran out. Old tokens are ignored."""

    timer: str
    token: int


@dataclass(frozen=True, slots=True)
class WorkAvailable:
    """The mempool holds something that could go into a block. May be repeated; the last word counts."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """The mempool is empty (after expiry, for instance; after an append, `Appended.has_work` says it)."""


@dataclass(frozen=True, slots=True)
class ProposalBuilt:
    """The block that was asked for by `BuildProposal(height, view, …)`, executed and valid."""

    height: int
    view: int
    block_id: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class NothingToPropose:
    """There is nothing to put into a block; the replica asks again after the next `WorkAvailable`."""

    height: int
    view: int


@dataclass(frozen=True, slots=True)
class ProposalValidated:
    """The outcome of `ValidateProposal`. `is_valid` includes that `body` is the body of `block_id`.

    `problem` is an error code for people and logs; it does not change what the replica does.
    """

    height: int
    view: int
    block_id: bytes
    is_valid: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """The block at `height` is durable in the store, once and for all.

    `certificate` is the commit certificate stored with it; `validators` decide height + 1. Heights must
    ascend; catch-up may report every height or only the last one it appended, and one that is not higher than
    the last is ignored. `has_work` is what the mempool holds after the block's transactions left it. `overtaken`: by
    how many blocks, at the most, work that waits here was passed over in favour of work that came later (rule P5).
    """

    height: int
    block_id: bytes
    certificate: Certificate
    validators: ValidatorSet
    has_work: bool
    overtaken: int = 0


Event: TypeAlias = (
    Started
    | MessageReceived
    | PeerConnected
    | TimerFired
    | WorkAvailable
    | WorkDone
    | ProposalBuilt
    | NothingToPropose
    | ProposalValidated
    | Appended
)
