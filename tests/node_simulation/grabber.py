"""A department whose node uses what others' people signed: in batches of its own, which it proposes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chain.batch import Batch, sign_batch
from chain.crypto import SigningKey
from node.intake.mempool import Window
from node.service import Node


def grab(node: Node, key: SigningKey, note: Callable[[], None]) -> None:
    """`note` hears of each batch made of another's."""
    pool, chain_id, department = node._mempool, node.ledger.genesis.chain_id, node.department
    take, choose = pool.add, pool.candidates

    def add(batch: Batch) -> bool:
        if batch.department != department:
            note()
            grabbed = sign_batch(key, chain_id, department, batch.transactions)
            node._verifier.remember(grabbed, key.public)
            take(grabbed)
            node._links.gossip(grabbed)
        return take(batch)

    def candidates(window: Window, bytes_max: int) -> list[Batch]:
        chosen = choose(replace(window, is_elsewhere=lambda _transaction, _department: False), bytes_max)
        return sorted(chosen, key=lambda batch: batch.department != department)

    pool.add, pool.candidates = add, candidates  # type: ignore[method-assign]
