"""The contact gate from the outside: ask, have the number checked if the departments say so, ask again."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import KehuError
from chain.transaction import Call
from cli.client import NodeClient
from cli.phones import CARRIER_STALE
from cli.verify import Committed, check_fields

RECHECK_NEEDED = "phone.recheck_needed"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class ContactAsked:
    """What came of it. `phone` only when it was released, the node has it and the value checks; `code` is "ok"
    or says why not."""

    committed: Committed
    outcome: str
    code: str
    phone: str | None
    version: int
    was_checked: bool


async def request_contact(client: NodeClient, customer: str, purpose: str) -> ContactAsked:
    """Errors: carrier.still_unchecked, proof.value_mismatch, and the node's and the contracts' own."""
    call = Call("access.contact", {"customer": customer, "purpose": purpose})
    committed = await client.execute([call])
    was_checked = committed.result()["code"] == RECHECK_NEEDED
    if was_checked:
        await client.post("/v1/phone/check", {"customer": customer})
        committed = await client.execute([call])
        if committed.result()["code"] == RECHECK_NEEDED:
            raise KehuError(CARRIER_STALE, customer=customer, transaction=committed.transaction_id)
    result = committed.result()
    phone = None
    if result["outcome"] == RELEASED:
        record = {"table": "customers", "record": customer, "fields": result["fields"]}
        shown = check_fields(client.genesis, record, await client.values(committed.transaction_id))["phone"]
        phone = shown.value
    return ContactAsked(committed, result["outcome"], result["code"], phone, result["version"], was_checked)
