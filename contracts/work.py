"""How much work calls may be, so that a block is executed well within the time that a view has.

No rule of the chain: what was decided is executed whatever it costs. But nodes let in, pass on, propose and take for a
proposal only what is within the bound (docs/spec/batches-blocks.md). Work is told by the call's name, and of an erasure
by the table that it names, so that every node finds the same; one unit is about a change of one record.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from chain.protocol import NEWEST
from chain.transaction import Call, Transaction
from contracts.departments.features import BOUNDED_WALKS

LOOKING: Final = frozenset(
    {
        "access.found",
        "access.history",
        "access.list",
        "access.log",
        "access.match",
        "access.members",
        "access.own_projects",
        "access.search",
        "access.why",
    }
)
"""They look at up to a thousand rows, or decide about up to a hundred records."""
LOOK: Final = 100
ERASING: Final = frozenset({"erasure.order", "erasure.expire"})
TOGETHER: Final = ("customers", "projects")
"""With one of these as much as a thousand of each kind is erased, or five hundred customers take part no more: a node
has twenty of them erased in one transaction (node.retention), and that is as much as a block may be."""
WORK_MAX: Final = 2_000
"""Of a transaction, of a batch, and of a block: up to 8,000 verifications of a signature, two thirds of a second where
one takes 80 us (docs/reliability.md)."""


def work_of(transactions: Iterable[Transaction], protocol: int = NEWEST) -> int:
    """`protocol`: the version of the rules at a proposal's height. Where an earlier one counts, the primary may be of a
    release that takes erasures for single changes."""
    erasing = ERASING if protocol >= BOUNDED_WALKS else ()
    return sum(_work(call, erasing) for transaction in transactions for call in transaction.calls)


def _work(call: Call, erasing: Container[str]) -> int:
    is_much = call.name in LOOKING or (call.name in erasing and call.args.get("table") in TOGETHER)
    return LOOK if is_much else 1
