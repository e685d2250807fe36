"""What the others have said about the height under way, and a little of what they said about the next ones.

Everything is kept per member and bounded, so that a faulty member can fill its own slots only:

- of the current height: one PRE-PREPARE and one VIEW-CHANGE per member (the highest view), votes of the
  `views_kept` highest views; all verified;
- of each of the next `height_window` heights: one message of each kind per member, `future_bytes_max` in all,
  unverified, because their validator set is not known yet;
- of any height: the highest one each member has spoken about.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chain.certificate import Phase, Vote
from consensus.messages import NewView, PrePrepare, ViewChange, VoteMessage

HeightMessage = PrePrepare | VoteMessage | ViewChange | NewView
"""The messages that belong to one height."""


def coordinates(message: HeightMessage) -> tuple[int, int, str]:
    """(height, view, slot name) of a message."""
    if isinstance(message, VoteMessage):
        return message.vote.height, message.vote.view, message.vote.phase
    return message.height, message.view, message.kind


@dataclass(slots=True)
class MessageLog:
    """Verified messages of the current height; a new one for each height."""

    pre_prepares: dict[str, PrePrepare] = field(default_factory=dict)
    view_changes: dict[str, ViewChange] = field(default_factory=dict)
    votes: dict[str, dict[tuple[int, Phase], Vote]] = field(default_factory=dict)

    def vote_of(self, department: str, phase: Phase, view: int) -> Vote | None:
        kept = self.votes.get(department)
        return None if kept is None else kept.get((view, phase))

    def has_room_for(self, vote: Vote, views_kept: int) -> bool:
        """Whether the vote would stay: a member's lowest views go first."""
        kept = self.votes.get(vote.department, ())
        return len(kept) < 2 * views_kept or vote.view > min(kept)[0]

    def add_vote(self, vote: Vote, views_kept: int) -> None:
        kept = self.votes.setdefault(vote.department, {})
        kept[vote.view, vote.phase] = vote
        if len(kept) > 2 * views_kept:
            del kept[min(kept)]

    def matching_votes(self, phase: Phase, view: int, block_id: bytes) -> list[Vote]:
        """One vote per department for this block in this view."""
        key = (view, phase)
        found = [kept[key] for kept in self.votes.values() if key in kept]
        return [vote for vote in found if vote.block_id == block_id]

    def block_prepared_by(self, members: int, view: int, primary: str) -> bytes | None:
        """The block for which so many members other than the primary said PREPARE in this view, if any."""
        key: tuple[int, Phase] = (view, "prepare")
        found = Counter(kept[key].block_id for name, kept in self.votes.items() if name != primary and key in kept)
        return next((block_id for block_id, count in found.items() if count >= members), None)

    def view_changes_for(self, view: int) -> tuple[ViewChange, ...]:
        """The VIEW-CHANGEs for exactly this view, in order of department."""
        return tuple(
            self.view_changes[name] for name in sorted(self.view_changes) if self.view_changes[name].view == view
        )

    def members_at_or_above(self, view: int) -> int:
        return sum(change.view >= view for change in self.view_changes.values())

    def view_to_join(self, others_needed: int, own: str) -> int:
        """The highest view that `others_needed` members other than `own` have reached or passed; 0 if none."""
        views = sorted((vc.view for name, vc in self.view_changes.items() if name != own), reverse=True)
        return views[others_needed - 1] if len(views) >= others_needed else 0


@dataclass(frozen=True, slots=True)
class Kept:
    message: HeightMessage
    size: int
    """Of its bytes."""


@dataclass(slots=True)
class FutureMessages:
    """Unverified messages of the next heights, and how far each member claims to be."""

    slots: dict[str, dict[tuple[int, str], Kept]] = field(default_factory=dict)
    claimed_heights: dict[str, int] = field(default_factory=dict)

    def claim(self, sender: str, height: int) -> None:
        if height > self.claimed_heights.get(sender, 0):
            self.claimed_heights[sender] = height

    def withdraw(self, sender: str, height: int) -> None:
        """The member says itself that it has nothing under way beyond `height`."""
        if sender in self.claimed_heights:
            self.claimed_heights[sender] = min(height, self.claimed_heights[sender])

    def height_claimed_by(self, members: int) -> int:
        """The highest height that this many distinct members claim to work at or beyond; 0 if none."""
        heights = sorted(self.claimed_heights.values(), reverse=True)
        return heights[members - 1] if len(heights) >= members else 0

    def keep(self, sender: str, message: HeightMessage, size: int, bytes_max: int) -> None:
        """Of one kind and height the highest view is kept, the first message of it, as far as the sender's room goes.
        Nothing depends on it: what is not kept is said again (R5, T2)."""
        height, view, slot = coordinates(message)
        kept = self.slots.setdefault(sender, {})
        present = kept.get((height, slot))
        if present is not None and coordinates(present.message)[1] >= view:
            return
        if size + sum(one.size for place, one in kept.items() if place != (height, slot)) <= bytes_max:
            kept[height, slot] = Kept(message, size)

    def take(self, height: int) -> list[tuple[str, HeightMessage]]:
        """The kept messages of `height` in a fixed order; everything up to it is forgotten."""
        taken: list[tuple[str, HeightMessage]] = []
        for sender in sorted(self.slots):
            kept = self.slots[sender]
            taken += [(sender, kept[key].message) for key in sorted(kept) if key[0] == height]
            self.slots[sender] = {key: one for key, one in kept.items() if key[0] > height}
        return taken

    def forget_strangers(self, members: tuple[str, ...]) -> None:
        """After a change of the validator set."""
        self.slots = {name: kept for name, kept in self.slots.items() if name in members}
        self.claimed_heights = {name: height for name, height in self.claimed_heights.items() if name in members}
