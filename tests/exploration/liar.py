"""What a Byzantine member can say, given what it has heard and can prove: all of it, as often as it likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from chain.certificate import Certificate, sign_vote
from consensus.messages import Message, NewView, PrePrepare, ViewChange, VoteMessage
from tests.exploration.locals import (
    CHAIN_ID,
    NAMES,
    SIGNERS,
    VALIDATORS,
    N,
    block_id_of,
    body_of,
    message_key,
)


class Liar:
    """Member `who` of a search over `views` views.

    It votes for anything in any view, differently to each; proposes two blocks where it is primary; asks for any view,
    with any certificate that exists or none; and opens its views with any quorum of genuine VIEW-CHANGEs.
    """

    def __init__(self, who: int, views: int) -> None:
        self.who, self.views = who, views

    def says(
        self, heard: Sequence[Message], certificates: Sequence[Certificate | None], bodies: Iterable[bytes]
    ) -> list[Message]:
        """`heard`: PRE-PREPAREs and VIEW-CHANGEs of others; `certificates`: of prepared blocks, and None."""
        told: list[Message] = []
        blocks = {message.block_id for message in heard if isinstance(message, PrePrepare)}
        for view in range(self.views):
            if view % N == self.who:
                for choice in ("a", "b"):
                    body = body_of(self.who, view, choice)
                    blocks.add(block_id_of(body))
                    told.append(self.proposal(view, body))
                told += (self.proposal(view, body) for body in bodies)
        for view in range(self.views):
            for block_id in sorted(blocks):
                for phase in ("prepare", "commit"):
                    told.append(self.vote(phase, view, block_id))
        changes = self.view_changes(certificates)
        return [*told, *changes, *self.new_views(heard, changes)]

    def proposal(self, view: int, body: bytes) -> PrePrepare:
        block_id = block_id_of(body)
        return PrePrepare.signed(SIGNERS[self.who], CHAIN_ID, 0, 1, view, block_id, NAMES[self.who], body, None)

    def vote(self, phase: str, view: int, block_id: bytes) -> VoteMessage:
        return VoteMessage(sign_vote(SIGNERS[self.who], CHAIN_ID, phase, 0, 1, view, block_id, NAMES[self.who]))  # type: ignore[arg-type]

    def view_changes(self, certificates: Sequence[Certificate | None]) -> list[ViewChange]:
        return [
            ViewChange.signed(SIGNERS[self.who], CHAIN_ID, 0, 1, view, prepared, NAMES[self.who])
            for view in range(1, self.views)
            for prepared in certificates
            if prepared is None or prepared.view < view
        ]

    def new_views(self, heard: Sequence[Message], changes: list[ViewChange]) -> list[Message]:
        opened: list[Message] = []
        for view in (view for view in range(1, self.views) if view % N == self.who):
            own = [change for change in changes if change.view == view]
            asked = (message for message in heard if isinstance(message, ViewChange) and message.view == view)
            said = {message_key(message): message for message in asked}
            for size in (VALIDATORS.quorum - 1, VALIDATORS.quorum):
                for others in combinations(said.values(), size):
                    for mine in own if size < VALIDATORS.quorum else (None,):
                        opened += self.opened(view, [*others, mine] if mine else list(others))
        return opened

    def opened(self, view: int, changes: list[ViewChange]) -> list[Message]:
        ordered = tuple(sorted(changes, key=lambda change: change.department))
        if len({change.department for change in ordered}) < len(ordered):
            return []
        shown = [change.prepared for change in ordered if change.prepared is not None]
        best = max(shown, key=lambda prepared: prepared.view, default=None)
        block_id = None if best is None else best.block_id
        return [NewView.signed(SIGNERS[self.who], CHAIN_ID, 0, 1, view, block_id, ordered, NAMES[self.who])]
