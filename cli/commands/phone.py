"""`kehu phone`: the phone-identity rule by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError
from cli.command import Needs, command, group
from cli.exits import SIGNED, Exit
from cli.options import Customer
from cli.output import Answer, time_text
from cli.run import Run

if TYPE_CHECKING:
    from cli.client import NodeClient

app = group("Have customers' numbers checked with the carrier.")
KEYS = (
    "customer", "status", "reason", "version", "checked_ms", "was_asked", "outcome", "no_answer_reason", "transaction",
)  # fmt: skip


@command(
    app,
    "check",
    needs=Needs.KEY,
    example="kehu phone check c-1f… --as li-wei",
    json_keys=KEYS,
    exits=(*SIGNED, Exit.CARRIER),
)
async def check(
    run: Run,
    customer: Customer,
    max_age: Annotated[
        int | None,
        typer.Option(
            "--max-age", metavar="SECONDS", min=0, help="A younger answer will do (default: the policy's limit)."
        ),
    ] = None,
) -> Answer:
    """Ask the carrier whether a customer's number still belongs to the same subscriber, and record the answer."""
    from cli.transport import NODE_ANSWER_MALFORMED

    body = {"customer": customer} | ({} if max_age is None else {"max_age_ms": max_age * 1000})
    async with run.client() as client:
        said = await client.post("/v1/phone/check", body)
        if not isinstance(said, dict):
            raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path="/v1/phone/check")
        transaction = said.get("transaction_id")
        if isinstance(transaction, str):
            said |= await _proven(client, bytes.fromhex(transaction))
    data = {**{key: said.get(key) for key in KEYS}, "transaction": transaction}
    shown = {**data, "checked_ms": time_text(data["checked_ms"])}
    is_silent = data["outcome"] == "no_answer"
    return Answer(data, lambda screen: screen.facts(shown.items()), Exit.CARRIER if is_silent else Exit.OK)


async def _proven(client: NodeClient, transaction: bytes) -> dict[str, Any]:
    """What the departments agreed on, in place of what the node says. Errors: those of the receipt, unknown outcome."""
    from cli.client import OUTCOME_UNKNOWN

    committed = await client.find(transaction)
    if committed is None:
        raise KehuError(OUTCOME_UNKNOWN, transaction=transaction)
    result = committed.require_ok().result()
    return {key: result[key] for key in ("customer", "status", "reason", "version")}
