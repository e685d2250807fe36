"""What one replica is told about itself before it starts. Nothing here changes while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """Whose replica this is, on which chain, and its limits.

    Timeouts may differ between replicas without harm to safety; limits on sizes and windows should be the same.
    """

    department: str
    chain_id: bytes
    view_timeout_ms: int = 2_000
    """How long a height may take in its first view; doubles with each further view of the same height."""
    view_timeout_max_ms: int = 10_000
    """Where the doubling ends, so that a long outage does not cost a long recovery."""
    retransmit_ms: int = 500
    """How often a replica that has work and makes no progress repeats what it said."""
    block_interval_ms: int = 0
    """How long the drivers of this network pause between proposals on purpose; no primary is blamed for it."""
    body_bytes_max: int = 8 << 20
    """The largest block body that is accepted or sent."""
    height_window: int = 16
    """How many heights beyond the current one messages are kept for; further ones only count as a hint to catch up.
    As many as a network under load decides while one question of catching up is answered, so that who has caught up
    that far goes on with the others (docs/reliability.md)."""
    future_bytes_max: int = 12 << 20
    """How much of these is kept of one member: as much as one message may have. What a correct one says of the next two
    heights always fits: two proposals of a block (chain.block: 4 MiB), two NEW-VIEWs (a megabyte each with a hundred
    departments), and votes. Blocks are seldom that large, and of most of 16 heights as much is kept."""
    view_window: int = 1 << 16
    """How far beyond the current view a single member's messages may reach; further ones are dropped."""
    views_kept: int = 8
    """Votes of how many views of the current height are kept per member (the highest ones)."""

    def timeout_ms(self, views_tried: int) -> int:
        """The timeout of the `views_tried`-th view beyond a height's first one (0 for the first)."""
        return min(self.view_timeout_ms << min(views_tried, 32), self.view_timeout_max_ms)
