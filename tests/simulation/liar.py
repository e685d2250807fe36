"""A member that lies on top of the protocol: garbage, replays, huge views, forged certificates, wrong bodies."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from chain.certificate import Certificate
from chain.crypto import Signer
from consensus.messages import Message, NewView, PrePrepare, ProposalReply, Status, ViewChange, VoteMessage


class Liar:
    """Turns one honest message into what is really sent to one receiver."""

    def __init__(self, rng: Random, signer: Signer, name: str, chain_id: bytes) -> None:
        self.rng, self.signer, self.name, self.chain_id = rng, signer, name, chain_id
        self.sent: list[bytes] = []

    def tell(self, message: Message) -> list[bytes]:
        honest = message.to_bytes()
        if len(self.sent) < 200:
            self.sent.append(honest)
        match self.rng.randrange(10):
            case 0:
                return []
            case 1:
                return [honest, self.rng.choice(self.sent)]
            case 2:
                return [self.garbled(honest)]
            case 3:
                return [honest, self.high_view_change(message)]
            case 4 | 5:
                return [self.twisted(message)]
            case _:
                return [honest]

    def garbled(self, data: bytes) -> bytes:
        position = self.rng.randrange(len(data))
        return data[:position] + bytes([data[position] ^ (1 << self.rng.randrange(8))]) + data[position + 1 :]

    def high_view_change(self, message: Message) -> bytes:
        height = message.vote.height if isinstance(message, VoteMessage) else message.height
        view = self.rng.choice((1, 2, 3, 1 << 12, 1 << 63))
        forged = Certificate("prepare", 0, height, max(0, view - 1), self.rng.randbytes(32), (("sales", bytes(64)),))
        prepared = self.rng.choice((None, forged))
        return ViewChange.signed(self.signer, self.chain_id, 0, height, view, prepared, self.name).to_bytes()

    def twisted(self, message: Message) -> bytes:
        """The same message with one thing wrong, signed again where the signature is ours."""
        rng, other = self.rng, self.rng.randbytes(32)
        match message:
            case VoteMessage(vote):
                payload = replace(vote, block_id=other).payload()
                signature = self.signer.sign(vote.phase, self.chain_id, payload)
                return VoteMessage(replace(vote, block_id=other, signature=signature)).to_bytes()
            case PrePrepare():
                if rng.random() < 0.5:
                    return replace(message, body=rng.randbytes(20)).to_bytes()
                payload = replace(message, block_id=other).payload()
                signature = self.signer.sign(message.kind, self.chain_id, payload)
                return replace(message, block_id=other, signature=signature).to_bytes()
            case ViewChange():
                return replace(message, prepared=None).to_bytes()
            case NewView():
                changed = replace(message, block_id=other, view_changes=message.view_changes[: rng.randint(1, 9)])
                signature = self.signer.sign(message.kind, self.chain_id, changed.payload())
                return replace(changed, signature=signature).to_bytes()
            case Status():
                return replace(message, height=rng.choice((0, message.height + 1, 1 << 40))).to_bytes()
            case ProposalReply():
                return replace(message, body=rng.randbytes(20)).to_bytes()
            case _:
                return message.to_bytes()
