"""A sweep from outside: who is due, as the node says, and one check after the other, at the carrier's pace.

Nothing is kept here. Each answer is on the chain at once, so a sweep that was broken off goes on by being run again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chain.errors import KehuError
from cli.client import NodeClient
from cli.exits import Exit, exit_of
from cli.output import Advance
from cli.transport import NODE_ANSWER_MALFORMED

AT_ONCE: Final = 4
TRIES: Final = 3
"""How often a customer is asked about while the carrier wants to be left alone."""
PAGE: Final = 1_000
_DUE: Final = "/v1/phone/due"
_DUE_FACTS: Final = ("customer", "status", "checked_ms", "asked_ms")
_CHECK: Final = "/v1/phone/check"


@dataclass(slots=True)
class Sweep:
    """What became of it. `counts`: by status, "no_answer", "recent" (somebody else had them checked meanwhile)."""

    due: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    customers: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who is due, and how old the policy lets an answer get."""

    customers: list[dict[str, Any]]
    age_ms: int

    def first(self, count: int) -> list[dict[str, Any]]:
        """Those who have waited longest since somebody asked about them: a number that gets no answer stays due, and
        would keep the others from their turn."""
        return sorted(self.customers, key=lambda item: -1 if item["asked_ms"] is None else item["asked_ms"])[:count]


async def find_due(client: NodeClient) -> Waiting:
    """Everybody who is due and whom this key may have checked, in the order of registration."""
    found: list[dict[str, Any]] = []
    after, age_ms = 0, 0
    while True:
        said = await client.get(f"{_DUE}?after={after}&limit={PAGE}")
        try:
            found += [{name: item[name] for name in _DUE_FACTS} for item in said["items"]]
            following, age_ms = said["next"], int(said["sweep_age_ms"])
            if following is not None and int(following) <= after:
                raise ValueError("the page does not move on")
        except (KeyError, TypeError, ValueError):
            raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path=_DUE) from None
        if following is None:
            return Waiting(found, age_ms)
        after = int(following)


async def check_all(client: NodeClient, waiting: Waiting, chosen: Sequence[dict[str, Any]], advance: Advance) -> Sweep:
    """Has the chosen ones checked, some at once. Raises when the node can't be reached; what is done is done."""
    sweep, places = Sweep(len(waiting.customers)), asyncio.Semaphore(AT_ONCE)

    async def check(item: dict[str, Any]) -> None:
        async with places:
            await _check(client, str(item["customer"]), waiting.age_ms, sweep)
        advance(1)

    tasks = [asyncio.ensure_future(check(item)) for item in chosen]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sweep


async def _check(client: NodeClient, customer: str, age_ms: int, sweep: Sweep) -> None:
    try:
        said = await _ask(client, customer, age_ms)
    except KehuError as error:
        if exit_of(error) in (Exit.UNKNOWN, Exit.UNVERIFIED):
            raise
        sweep.failed.append({"customer": customer, "code": error.code})
        return
    is_silent = said.get("outcome") == "no_answer"
    sweep.counts["recent" if not said.get("was_asked") else "no_answer" if is_silent else str(said.get("status"))] += 1
    kept = ("status", "reason", "checked_ms", "outcome", "no_answer_reason")
    sweep.customers.append({"customer": customer, **{name: said.get(name) for name in kept}})


async def _ask(client: NodeClient, customer: str, age_ms: int) -> dict[str, Any]:
    """One check; asked again after the time for which the carrier wants to be left alone."""
    said: Any = {}
    for _ in range(TRIES):
        said = await client.post(_CHECK, {"customer": customer, "max_age_ms": age_ms})
        if not isinstance(said, dict):
            raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path=_CHECK)
        pause_ms = said.get("retry_after_ms")
        if said.get("no_answer_reason") != "rate_limited" or not isinstance(pause_ms, int):
            break
        await asyncio.sleep(pause_ms / 1000)
    return dict(said)
