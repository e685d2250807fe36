"""A story through every call; run as a module it prints each block's state root and the receipts' root, and then the
calls that succeeded in it."""

from __future__ import annotations

from chain.protocol import NEWEST
from chain.receipt import Receipt
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from tests.contracts.client import Client
from tests.contracts.office import Office, hex_of
from tests.contracts.story_governance import tell_governance
from tests.contracts.story_seams import tell_seams
from tests.contracts.story_work import tell_erasure, tell_own, tell_work

FIELDS = ("name", "note", "address", "position", "organisation", "email")


def tell(protocol: int = NEWEST) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """(state root, receipts root) of every block; the names of the calls that succeeded. `protocol`: the version of the
    rules."""
    office = _Recording(protocol=protocol)
    for number in range(8):
        office.register(f"c{number}", by=("li", "wang", "qian", "boss")[number % 4], note="记", address="北京")
    for subject in ("department:process", "person:sun", "person:wu", "department:technical"):
        office.ok("boss", "permissions.assign", table="customers", record="c1", subject=subject)
    for number, subject in enumerate(("person:rui", "person:wang", "department:process", "person:zhao")):
        fields = list(FIELDS[number:])
        office.grant(f"g{number}", subject, fields=fields, actions=["read", "contact"], scope="all")
    office.ok("boss", "permissions.revoke", grant="g1")
    for sender in ("li", "sun", "wu", "zhao", "rui", "boss"):
        read = {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "story"}
        office.ok(sender, "access.read", **read)
        office.ok(sender, "access.list", table="customers", after=0, limit=9, fields=["*"], purpose="story")
        office.ok(sender, "access.contact", customer="c1", purpose="story")
        office.ok(sender, "access.why", person=sender, action="read", table="customers", record="c1")
        for log in ("logins", "accesses", "changes"):
            office.ok(sender, "access.log", log=log, person=sender, after=0, limit=9, purpose="story")
        for kind in ("changes", "accesses", "answers"):
            rows = {"table": "customers", "record": "c1", "after": 0, "limit": 9, "purpose": "story", "kind": kind}
            office.ok(sender, "access.history", **rows)
    search = {
        "table": "customers",
        "query": bytes(32),
        "over": ["name"],
        "fields": ["*"],
        "limit": 5,
        "purpose": "story",
    }
    office.ok("li", "access.search", **search)
    office.ok("node sales", "access.found", person="li", search=1, records=["c4", "c1", "c0"])
    _change(office)
    client = Client(office)
    _work(client)
    tell_work(client)
    tell_own(office)
    tell_seams(client)
    tell_erasure(office)
    tell_governance(office)
    return office.roots, sorted(office.succeeded)


def _work(client: Client) -> None:
    office = client.office
    client.organisation("o1")
    client.department("d1")
    client.department("d2", parent="d1")
    for customer, department in (("c0", "d1"), ("c4", "d2")):
        client.place(customer, "o1", department, by="boss")
    client.relation("l1", "c4", "reports_to", "c0", by="boss")
    client.project("p1")
    for participation, customer in (("t1", "c0"), ("t2", "c4")):
        client.participate(participation, customer, by="boss")
    client.work("li", "demands.register", "n1", customer="c0", project="p1")
    client.hand_over("li", "h1", "finance")
    client.work("qian", "progress.record", "r1", project="p1")
    client.work("li", "progress_answers.give", "a1", progress="r1", verdict="confirmed")
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    client.work("boss", "feedback.send", "f1", customer="c0", project="p1", correction=True)
    for table in ("client_departments", "customers", "relations"):
        args = {"of": "organisations", "record": "o1", "table": table, "as_of": office.ledger.height}
        rest = {"after": 0, "limit": 9, "fields": ["*"], "purpose": "story"}
        office.ok("boss", "access.members", **args, **rest)
        office.ok("qian", "access.members", **args, **rest)


def _change(office: Office) -> None:
    fields = office.fields("c0", **dict.fromkeys(FIELDS, "改"))
    office.ok("li", "customers.update", customer="c0", version=1, fields=fields)
    office.code("li", "customers.update", customer="c0", version=1, fields=fields)
    for outcome in ("none", "no_answer", "found"):
        attestation = office.attest("c0", outcome=outcome, gateway="g2")  # type: ignore[arg-type]
        office.ok("gateway g2", "phone.record", attestation=attestation.to_value())
    new = {"customer": "c0", "version": 2, "fields": office.fields("c0", phone="+8613900000002"), "temporary": True}
    office.ok("li", "customers.change_phone", **new, attestation=None)
    enrolment = {"person": "ma", "department": "sales", "role": "operator", "fields": {}}
    office.ok("boss", "people.enrol", **enrolment, **office.possession("ma", "ma"))
    office.ok("ma", "people.rotate_key", person="ma", **office.possession("ma", "ma 2"))
    name = {"name": office.digest("ma", "name", "马", table="people")}
    office.ok("boss", "people.update", person="ma", version=1, fields=name)
    office.ok("boss", "people.revoke_key", key=hex_of("ma 2"))
    office.ok("boss", "people.revoke", person="wang")
    office.ok("boss", "gateways.enrol", gateway="g3", department="finance", **office.possession("g3", "gateway g3"))
    office.ok("boss", "gateways.revoke", gateway="g3")
    office.ok("boss", "permissions.unassign", table="customers", record="c1", subject="person:sun")
    release = {"table": "customers", "record": "c0", "fields": ["*"], "version": 3, "to": "finance"}
    office.ok("node sales", "vault.record_release", **release)
    office.ok("boss", "permissions.set_policy", policy=default_policy())


class _Recording(Office):
    @property
    def roots(self) -> list[tuple[bytes, bytes]]:
        return self._roots

    @property
    def succeeded(self) -> set[str]:
        return self._succeeded

    def send(self, sender: str, *calls: Call, via: str | None = None) -> Receipt:
        receipt = super().send(sender, *calls, via=via)
        self._succeeded = getattr(self, "_succeeded", set()) | {call.name for call in calls if receipt.is_ok}
        header = self.ledger.head.header
        self._roots = [*getattr(self, "_roots", []), (header.state_root, header.receipts_root)]
        return receipt


if __name__ == "__main__":
    blocks, succeeded = tell()
    for state_root, receipts_root in blocks:
        print(state_root.hex(), receipts_root.hex())
    print(*succeeded)
