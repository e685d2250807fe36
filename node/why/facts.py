"""What a node knows that bears on whether the network progresses. Plain values: a test makes them by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DISK_FULL_BYTES = 64 << 20
"""Less free space than this is as good as none: a block with its state takes a few megabytes, and compaction more."""
DISK_LOW_BYTES = 1 << 30
DISK_LOW_SHARE = 10
"""Low: less than `DISK_LOW_BYTES`, and less than a tenth of the disk."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Of the file system that `what` (a folder of the node's) lies on."""

    what: str
    free_bytes: int
    total_bytes: int

    @property
    def state(self) -> str:
        """ok, low or full."""
        if self.free_bytes < DISK_FULL_BYTES:
            return "full"
        is_low = self.free_bytes < DISK_LOW_BYTES and self.free_bytes * DISK_LOW_SHARE < self.total_bytes
        return "low" if is_low else "ok"


@dataclass(frozen=True, slots=True)
class Standing:
    """What another department's node said of itself. `offset_ms`: how far its clock is ahead of this node's."""

    height: int
    view: int
    is_active: bool
    is_observer: bool
    disk: str
    offset_ms: int
    asked_ms: int
    speaks: tuple[int, int] = (1, 1)
    """The oldest and the newest version of the protocol that its software speaks."""
    own_height: int | None = None
    """This node's height when it asked; what came since says nothing about the other."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`missing_since_ms`: since when there has been no link (None while there is one). `heard_ms`: when it last said
    something about the agreement. Times are Unix ms of this node."""

    department: str
    missing_since_ms: int | None
    heard_ms: int | None = None
    last_error: str | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A version of the protocol that counts from a height on."""

    version: int
    height: int


@dataclass(frozen=True, slots=True)
class Timer:
    name: str
    due_ms: int
    """Unix ms."""


@dataclass(frozen=True, slots=True)
class Facts:
    """`waiting_since_ms`: since when there has been work and no new block. Times are Unix ms of this node."""

    now_ms: int
    department: str
    members: tuple[str, ...]
    quorum: int
    height: int
    """Of the newest block."""
    block_time_ms: int
    view: int
    primary: str
    is_view_active: bool = True
    has_proposal: bool = False
    prepared_by: tuple[str, ...] = ()
    committed_by: tuple[str, ...] = ()
    asked_for: tuple[tuple[str, int], ...] = ()
    is_observer: bool = False
    votes_from_height: int = 0
    is_catching_up: bool = False
    waiting_since_ms: int | None = None
    mempool_transactions: int = 0
    overtaken_blocks: int = 0
    timers: tuple[Timer, ...] = ()
    peers: tuple[Peer, ...] = ()
    disks: tuple[Disk, ...] = ()
    vault_missing: int = 0
    vault_unconfirmed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    accusations: Mapping[str, int] = field(default_factory=dict)
    """"DEPARTMENT OFFENCE" -> how often, since the start."""
    protocol: int = 1
    """The version that counts at the next height."""
    change: Change | None = None
    """The one that is agreed on and does not count yet."""
    spoken: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """What each department's software speaks (oldest, newest), as its node last said; this node's own too."""
    clock_skew_ms_max: int = 10_000
    patience_ms: int = 20_000
    """Work without a new block for longer than this is a standstill: two of the longest view timeouts."""
