"""Opens views with too few, repeated or stale VIEW-CHANGEs, or with another conclusion than they allow."""

from __future__ import annotations

from dataclasses import replace

from chain.errors import KehuError
from consensus.messages import Message, NewView, ViewChange, decode_message
from tests.simulation.actors.base import Actor, Told


class BadNewView(Actor):
    kind = "bad_new_view"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.heard: dict[str, ViewChange] = {}

    def hear(self, sender: str, data: bytes) -> None:
        try:
            message = decode_message(data, 1 << 20)
        except KehuError:
            return
        if isinstance(message, ViewChange) and message.department == sender:
            self.heard[sender] = message

    def tell(self, receiver: str, message: Message, data: bytes) -> Told:
        if isinstance(message, ViewChange):
            self.heard[self.name] = message
        if isinstance(message, NewView):
            self.did()
            return [(0, self.twisted(message).to_bytes())]
        return [(0, data)]

    def speak(self) -> list[tuple[str, bytes]]:
        """A view of ours, opened with whatever VIEW-CHANGEs are at hand."""
        if not self.heard:
            return []
        self.did()
        newest = max(self.heard.values(), key=lambda change: (change.height, change.view))
        n, own = len(self.members), self.members.index(self.name)
        view = newest.view + (own - newest.view) % n
        changes = tuple(self.heard[name] for name in sorted(self.heard))
        opened = NewView.signed(self.signer, self.world.chain_id, 0, newest.height, view, None, changes, self.name)
        return [(name, opened.to_bytes()) for name in self.others]

    def twisted(self, message: NewView) -> NewView:
        changes = message.view_changes
        match self.rng.randrange(4):
            case 0:
                wrong = replace(message, view_changes=changes[:-1])
            case 1:
                wrong = replace(message, view_changes=(*changes[:-1], changes[0]))
            case 2:
                wrong = replace(message, block_id=None if message.block_id else self.rng.randbytes(32))
            case _:
                bare = tuple(replace(change, prepared=None) for change in changes)
                wrong = replace(message, block_id=None, view_changes=bare)
        signature = self.signer.sign(NewView.kind, self.world.chain_id, wrong.payload())
        return replace(wrong, signature=signature)
