"""One call and what came of it: what most commands do that change something, and those that look back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.output import Answer
from cli.run import Run

if TYPE_CHECKING:
    from cli.verify import Committed


def answered(committed: Committed, told: Mapping[str, Any]) -> Answer:
    """`told`, and where the transaction stands."""
    data = {**told, "transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: screen.facts(data.items()))


async def call(run: Run, name: str, args: Mapping[str, Any], told: Mapping[str, Any] | None = None) -> Answer:
    """Makes one call; the answer is `told`, or else the call's result."""
    from chain.transaction import Call

    async with run.client() as client:
        committed = await client.execute([Call(name, dict(args))])
    return answered(committed, committed.result() if told is None else told)


async def look_back(run: Run, customer: str, kind: str, after: int, limit: int, purpose: str) -> Committed:
    """A page of a customer's history: changes, accesses or answers. That it was looked at is on the record, too."""
    from chain.transaction import Call

    args = {"table": "customers", "record": customer, "after": after, "limit": limit, "purpose": purpose, "kind": kind}
    async with run.client() as client:
        return await client.execute([Call("access.history", args)])
