"""The part of the story in which versions of the rules differ: whatever comes of a call is in the roots."""

from __future__ import annotations

from chain.transaction import Call
from tests.contracts.client import Client
from tests.contracts.office import DAY_MS

LEVELS = 66


def tell_seams(client: Client) -> None:
    """On top of `tell_own`: zhang is c0, who is placed in o1 and takes part in no project that is open."""
    office = client.office
    client.project("p2", by="boss")
    office.send(
        "zhang",
        Call("feedback.send", client.work_args("feedback.send", "f8", customer="c0", project="p2", correction=False)),
    )
    office.ok("boss", "erasure.hold", table="customers", record="c4", reason="lawsuit")
    client.work("boss", "demands.register", "n8", customer="c4", project=None)
    office.call("boss", "erasure.order", table="demands", record="n8", reason="story")
    _number_out_of_service(client)
    _deep_tree(client)


def _number_out_of_service(client: Client) -> None:
    office, phone = client.office, "+8613800000008"
    first = office.attest("c8", phone, outcome="same").to_value()
    fields = office.fields("c8", name="无名", phone=phone)
    office.ok("li", "customers.register", customer="c8", fields=fields, attestation=first, temporary=False)
    since_day = office.row("customers", "c8")["trusted_ms"] // DAY_MS
    for outcome in ("none", "found", "same"):
        day = since_day if outcome == "same" else None
        answer = office.attest("c8", phone, outcome=outcome, since_day=day)  # type: ignore[arg-type]
        office.ok("gateway g1", "phone.record", attestation=answer.to_value())


def _deep_tree(client: Client) -> None:
    """One below the other, and then the first below the last."""
    fields = client.digests("client_departments", "e", name="科")
    above: str | None = None
    for number in range(LEVELS):
        args = {"client_department": f"e{number}", "organisation": "o1", "parent": above, "fields": fields}
        client.office.send("li", Call("client_departments.register", args))
        above = f"e{number}"
    moved = {"client_department": "e0", "version": 1, "parent": f"e{LEVELS - 3}"}
    client.office.send("li", Call("client_departments.move", moved))
