"""Consensus messages: decoded, and given to a replica by a member that may say and sign anything.

One member of four, the primary, is hostile and two are silent, so little may come of it: the replica may ask to leave
that primary's view for the next one, but decides nothing, never votes twice, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from chain import codec
from chain.certificate import Certificate, sign_vote
from consensus.events import MessageReceived
from consensus.messages import PrePrepare, ViewChange, VoteMessage, decode_message
from consensus.votes import decode_record
from tests.consensus import vectors
from tests.consensus.cluster import CHAIN_ID, Cluster, block_id_of
from tests.fuzz.mutation import INTEGERS, Mutator
from tests.fuzz.target import Finding, Take, Target, reader
from tests.fuzz.wire import drawing

LIMIT = 8 << 20
PHASES = ("prepare", "commit")


def _spoken() -> list[bytes]:
    """What the hostile member of four says on the way to three blocks. What others signed is not its to send: with
    enough of their view changes a replica rightly moves."""
    cluster, said = Cluster(), set()

    def keep(sender: str, _receiver: str, message: Any) -> bool:
        if sender == cluster.names[0]:
            said.add(message.to_bytes())
        return True

    for _ in range(3):
        cluster.work()
        cluster.settle(6, keep)
    return sorted(said)


class _Hostile:
    """Draws [sender's number, message]: changed messages, and new ones that the sender really signs."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._mutator = Mutator([*_spoken(), *(message.to_bytes() for message in vectors.messages().values())])

    def draw(self, rng: Random) -> bytes:
        data = self._signed(rng) if rng.random() < 0.4 else self._mutator.draw(rng)
        return codec.encode_flat([0, data])

    def _signed(self, rng: Random) -> bytes:
        signer, name = self._cluster[0].signer, self._cluster.names[0]
        number = lambda: abs(rng.choice((0, 1, 1, 2, 3, rng.choice(INTEGERS))))  # noqa: E731
        epoch, height, view, body = rng.choice((0, 0, 0, 1)), number(), number(), rng.choice((b"", b"a", b"b"))
        block_id = block_id_of(body)
        vote = sign_vote(signer, CHAIN_ID, rng.choice(PHASES), epoch, height, view, block_id, name)  # type: ignore[arg-type]
        certificate = Certificate.of([vote]) if rng.random() < 0.5 else None
        match rng.randrange(3):
            case 0:
                message: Any = VoteMessage(vote)
            case 1:
                message = PrePrepare.signed(
                    signer, CHAIN_ID, epoch, height, view, block_id, name, rng.choice((body, b"other")), certificate
                )
            case _:
                message = ViewChange.signed(signer, CHAIN_ID, epoch, height, view, certificate, name)
        try:
            return bytes(message.to_bytes())
        except Exception:  # numbers beyond the encoding: nothing that could be sent
            return b""


@contextmanager
def _replica() -> Iterator[Take]:
    cluster = Cluster()
    victim = cluster[1]

    def take(data: bytes) -> str:
        _, message = codec.decode(data, 1 << 30)
        before = len(victim.effects)
        victim.step(MessageReceived(cluster.names[0], message))
        if victim.replica.view > 1 or victim.blocks:
            raise Finding("one member alone moved the replica")
        votes = [vote for phase in PHASES for vote in victim.votes_said(phase)]
        if len({(vote.phase, vote.height, vote.view) for vote in votes}) != len({vote.payload() for vote in votes}):
            raise Finding("the replica voted twice")
        effects = sorted({type(effect).__name__ for effect in victim.effects[before:]})
        return "nothing" if not effects else "+".join(effects)

    yield take


def replica_targets() -> list[Target]:
    messages = [message.to_bytes() for message in vectors.messages().values()]
    records = [record.to_bytes() for record in vectors.records().values()]
    return [
        Target("consensus message", drawing(*messages), reader(lambda data: decode_message(data, LIMIT),
                                                               lambda message: message.to_bytes()), 30),
        Target("vote record", drawing(*records), reader(decode_record, lambda record: record.to_bytes()), 10),
        Target("replica", _Hostile().draw, _replica, 30, (lambda bomb: codec.encode_flat([0, bomb]),)),
    ]  # fmt: skip
