"""The second half of the story: what changes and ends in the work with a client, customers of their own, erasure."""

from __future__ import annotations

from typing import Any

from contracts.deciding.policy import default_policy
from tests.contracts.client import Client
from tests.contracts.office import DAY_MS, Office
from tests.contracts.test_invitations import invitation, redemption


def tell_work(client: Client) -> None:
    """Every way to change and end what `story` has made: o1 with d1 and d2, l1, p1 with t1 and t2, n1, r1, y1, f1."""
    office = client.office
    _change(client, "li", "organisations.update", "organisations", "o1", name="西方公司")
    _change(client, "li", "client_departments.update", "client_departments", "d2", name="总部")
    _turn(client, "li", "client_departments.move", "client_departments", "d2", parent=None)
    _change(client, "boss", "relations.update", "relations", "l1", weight=10, note="新同事")
    _change(client, "qian", "projects.update", "projects", "p1", goal="明年")
    part = {"role": "user", "right": "uses", "weight": None, "stance": "neutral"}
    _change(client, "boss", "participations.update", "participations", "t2", **part, note="换人")
    for version, state in ((1, "accepted"), (2, "done")):
        answer = client.digests("demands", "n1", answer=f"答复{version}")
        office.ok("li", "demands.update", demand="n1", version=version, state=state, fields=answer)
    _change(client, "qian", "payments.update", "payments", "y1", due_ms=2, note="延期")
    _change(client, "qian", "payments.settle", "payments", "y1", paid_ms=3, paid="1250000")
    client.work("qian", "payments.register", "y2", project="p1", currency="CNY", due_ms=1)
    _change(client, "qian", "payments.cancel", "payments", "y2", note="重复")
    _change(client, "boss", "feedback.resolve", "feedback", "f1", outcome="resolved", resolution="已更正")
    office.ok("boss", "handovers.correct", **client.handover_args("h2", "sales"))
    for id_, record in (("t2", "participations"), ("l1", "relations"), ("p1", "projects")):
        _turn(client, "boss", f"{record}.close", record, id_)
    client.place("c4", "o1", None, by="boss")
    _turn(client, "li", "client_departments.close", "client_departments", "d2")
    client.organisation("o9")
    _turn(client, "li", "organisations.close", "organisations", "o9")


def tell_own(office: Office) -> None:
    """A customer with a key of their own; another whose invitation is taken back."""
    for customer in ("c0", "c4"):
        office.ok("boss", "customers.invite", **invitation(office, customer=customer))
    office.ok("boss", "customers.withdraw_invitation", customer="c4")
    redeem = redemption(office, "zhang", customer="c0")
    office.ok("zhang", "customers.redeem_invitation", via="administration", **redeem)
    office.ok("zhang", "access.login")
    for number, table in enumerate(("projects", "progress")):
        office.grant(f"own{number}", "person:c0", table=table, scope="project:p1" if table == "progress" else "all")
    office.ok("zhang", "access.own_projects", purpose="own")
    office.ok("zhang", "access.read", table="customers", record="c0", fields=["*"], purpose="own")
    match = {"person": "li", "table": "customers", "field": "phone", "records": ["c0", "c4"], "purpose": "registration"}
    office.ok("node sales", "access.match", **match)


def tell_erasure(office: Office) -> None:
    """Held, released, ordered and confirmed; then a retention period that is over for everybody at once."""
    c0 = {"table": "customers", "record": "c0"}
    office.ok("boss", "erasure.hold", **c0, reason="lawsuit")
    office.code("boss", "erasure.order", **c0, reason="withdrawn")
    office.ok("boss", "erasure.release", **c0, reason="settled")
    office.ok("boss", "erasure.order", **c0, reason="withdrawn")
    for department in office.row("erasures", "customers.c0")["waiting"]:
        office.ok(f"node {department}", "erasure.confirm", **c0, values=3)
    office.ok("boss", "permissions.set_policy", policy=default_policy() | {"retention": {"customers": DAY_MS}})
    office.time_ms += 2 * DAY_MS
    for number in (1, 2, 3):
        office.ok("node process", "erasure.expire", table="customers", record=f"c{number}")


def _change(client: Client, sender: str, call: str, table: str, record: str, **given: Any) -> Any:
    """`given`: texts become fields, unless the call has them as facts."""
    facts = {"weight", "role", "right", "stance", "due_ms", "paid_ms", "outcome"}
    texts = {name: value for name, value in given.items() if name not in facts}
    rest = {name: value for name, value in given.items() if name in facts}
    return _turn(client, sender, call, table, record, fields=client.digests(table, record, **texts), **rest)


def _turn(client: Client, sender: str, call: str, table: str, record: str, **args: Any) -> Any:
    from contracts.records import RECORD_ARGUMENTS

    office = client.office
    version = office.row(table, record)["version"]
    return office.ok(sender, call, **{RECORD_ARGUMENTS[table]: record}, version=version, **args)
