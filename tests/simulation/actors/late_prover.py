"""Has a prepared certificate that nobody else has, and shows it long after, when its block may be nowhere any more.

At every other height it keeps its votes and the views of its own to itself, so that the certificate is its alone and
the height lasts. Its VIEW-CHANGEs are the first that the others have: it asks for the next view when one is asked for.
"""

from __future__ import annotations

from chain.certificate import Certificate, Vote
from chain.errors import KehuError
from consensus.messages import Message, NewView, ViewChange, VoteMessage, decode_message
from tests.simulation.actors.base import Actor, Told

LATE_VIEWS = (1, 1, 3, 24)
"""After so many views of a height it shows what it has: soon, or when the others have had other blocks enough."""


AHEAD_MS = 60
"""Only the highest view that a member asks for is kept: what it says of the next one comes when this one is open."""


class LateProver(Actor):
    kind = "late_prover"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.height = self.asked = self.late_views = 0
        self.votes: dict[tuple[int, bytes], dict[str, Vote]] = {}
        self.certificate: Certificate | None = None
        """The first of the height."""

    def hear(self, sender: str, data: bytes) -> None:
        try:
            message = decode_message(data, 1 << 20)
        except KehuError:
            return
        if isinstance(message, VoteMessage) and message.vote.department == sender:
            self.note(message.vote)
        elif isinstance(message, ViewChange) and message.height == self.height and self.is_alone:
            self.ask_before_others(message.view + 1)

    @property
    def is_alone(self) -> bool:
        """Whether it goes its own way at this height."""
        return self.height % 2 == 1

    def note(self, vote: Vote) -> None:
        height = self.node.disk.height + 1
        if height != self.height:
            self.height, self.asked, self.votes, self.certificate = height, 0, {}, None
            self.late_views = self.rng.choice(LATE_VIEWS)
        if vote.phase != "prepare" or vote.height != height or self.certificate is not None:
            return
        votes = self.votes.setdefault((vote.view, vote.block_id), {})
        votes[vote.department] = vote
        if len(votes) >= self.node.disk.validators.quorum:
            self.certificate = Certificate.of(votes.values())
            if self.is_alone:
                self.did()

    def ask_before_others(self, view: int) -> None:
        if self.asked < view < self.asked + 100 or not self.asked:
            self.asked = view
            data = self.change(view).to_bytes()
            for name in self.others:
                if not self.world.is_cut(self.name, name):
                    self.world.carry(self.name, name, data, AHEAD_MS)

    def change(self, view: int) -> ViewChange:
        shown = self.certificate
        if shown is None or view < shown.view + self.late_views:
            shown = None
        else:
            self.world.count("late_certificate")
        epoch = self.node.disk.validators.epoch
        return ViewChange.signed(self.signer, self.world.chain_id, epoch, self.height, view, shown, self.name)

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if isinstance(message, VoteMessage) and message.vote.department == self.name:
            self.note(message.vote)
        if isinstance(message, ViewChange) and message.height == self.height:
            return [(0, self.change(message.view).to_bytes())]
        is_kept = isinstance(message, VoteMessage | NewView) and self.is_alone
        return [] if is_kept else [(0, data)]
