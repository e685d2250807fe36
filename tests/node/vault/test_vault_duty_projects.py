"""A project that changes hands takes entitlement with it: the vaults notice every record for which it changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.state import View, state_key
from chain.transaction import Call, sign_transaction
from contracts.deciding.holders import holders
from contracts.records import RECORD_TABLES
from node.vault.affected import affected_by
from node.vault.commitments import commitments
from node.vault.seal import RecordId
from tests.contracts.client import Client, stocked_client
from tests.contracts.office import Office, key_of
from tests.contracts.test_projects import WAY


def held(view: View, office: Office) -> dict[RecordId, Any]:
    """Who may hold which field of every record."""
    return {
        RecordId(table, key): {field: holders(view, table, key, field) for field in row["fields"]}
        for table in RECORD_TABLES
        for key, row in office.ledger.state.scan(table)
    }


def noticed(office: Office, before: dict[bytes, bytes]) -> set[RecordId]:
    """What `affected_by` says of the writes since `before`."""
    after = dict(office.ledger.state.items())
    writes = {key: after.get(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    found = affected_by(writes, office.view())
    of_tables = {RecordId(table, key) for table in found.tables for key, _ in office.ledger.state.scan(table)}
    return set(found.records) | of_tables


def full_client() -> Client:
    client = stocked_client(Office())
    client.customer("c5", None)
    client.work("li", "demands.register", "n1", customer="c1", project="p1")
    client.work("li", "demands.register", "n2", customer="c3", project=None)
    client.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    client.work("qian", "progress.record", "r1", project="p1")
    client.work("boss", "feedback.send", "f1", customer="c1", project="p1", correction=False)
    return client


ASSIGNED = [("customers", "c1"), ("customers", "c3"), ("projects", "p1"), ("demands", "n2"), ("relations", "l1")]
steps = st.one_of(
    st.tuples(st.just("correct"), st.sampled_from([to for _, to in WAY])),
    st.tuples(
        st.sampled_from(["assign", "unassign"]),
        st.sampled_from(ASSIGNED),
        st.sampled_from(["department:process", "person:sun", "person:wang", "department:technical"]),
    ),
    st.tuples(st.just("join"), st.sampled_from(["c1", "c2", "c3"])),
    st.tuples(st.just("leave"), st.sampled_from(["t1", "t2"])),
    st.tuples(st.just("project"), st.sampled_from(["p2", "p3"])),
    st.tuples(st.just("demand"), st.sampled_from(["c1", "c2", "c3"])),
    st.tuples(st.just("revoke"), st.sampled_from(["sun", "li"])),
    st.tuples(
        st.just("grant"),
        st.sampled_from(["person:wu", "department:technical"]),
        st.sampled_from(["customers", "demands", "*"]),
        st.sampled_from(["project:p1", "assigned", "all"]),
    ),
    st.tuples(st.just("end"), st.integers(0, 7)),
    st.tuples(st.just("erase"), st.sampled_from([("projects", "p1"), ("customers", "c1"), ("participations", "t2")])),
)


def act(client: Client, number: int, step: tuple[Any, ...]) -> None:
    """One step, which may be refused."""
    office, (deed, what, *more) = client.office, step
    if deed == "correct":
        office.call("boss", "handovers.correct", **client.handover_args(f"h{number}", what))
    elif deed in ("assign", "unassign"):
        office.call("boss", f"permissions.{deed}", table=what[0], record=what[1], subject=more[0])
    elif deed == "join":
        office.call("boss", "participations.register", **client.part_args(f"t{number}-{what}", what))
    elif deed == "leave":
        office.call("boss", "participations.close", participation=what, version=1)
    elif deed == "project":
        fields = client.digests("projects", what, name="二期")
        office.call("boss", "projects.register", project=what, organisation="o1", fields=fields)
    elif deed == "demand":
        args = client.work_args("demands.register", f"n-{number}", customer=what, project=None)
        office.call("boss", "demands.register", **args)
    elif deed == "grant":
        table, scope = more
        args = {"actions": ["read"], "table": table, "scope": scope, "fields": ["*"], "purpose": "*"}
        office.call("boss", "permissions.grant", grant=f"g{number}", subject=what, expires_ms=None, **args)
    elif deed == "erase":
        office.call("boss", "erasure.order", table=what[0], record=what[1], reason="withdrawn")
    elif deed == "end":
        office.call("boss", "permissions.revoke", grant=f"g{what}")
    else:
        office.call("boss", "people.revoke", person=what)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=3, max_size=8))
def test_no_change_of_entitlement_goes_unnoticed(done: list[Any]) -> None:
    client = full_client()
    office = client.office
    for number, step in enumerate(done):
        before, values = held(office.view(), office), dict(office.ledger.state.items())
        act(client, number, step)
        after = held(office.view(), office)
        changed = {record for record in after if after[record] != before.get(record)}
        assert changed <= noticed(office, values), step


@pytest.mark.parametrize("stage", ["process", "technical"])
def test_handing_over_concerns_what_belongs_to_the_project_and_nothing_else(stage: str) -> None:
    client = full_client()
    values = dict(client.office.ledger.state.items())
    client.office.ok("boss", "handovers.correct", **client.handover_args("h9", stage))
    found = noticed(client.office, values)
    assert RecordId("customers", "c2") in found
    assert RecordId("demands", "n1") in found
    assert RecordId("organisations", "o1") in found
    assert not {RecordId("customers", "c4"), RecordId("customers", "c5"), RecordId("organisations", "o2")} & found


def test_erasing_a_project_that_nobody_is_assigned_to_concerns_what_was_reached_through_it() -> None:
    client = full_client()
    office = client.office
    office.ok("boss", "handovers.correct", **client.handover_args("h9", "process"))
    office.ok("boss", "permissions.unassign", table="projects", record="p1", subject="person:li")
    values = dict(office.ledger.state.items())
    assert "process" in holders(office.view(), "customers", "c1", "name")
    office.ok("boss", "erasure.order", table="projects", record="p1", reason="withdrawn")
    assert "process" not in holders(office.view(), "customers", "c1", "name")
    assert RecordId("customers", "c1") in noticed(office, values)


def test_a_change_of_a_projects_text_concerns_the_project_only() -> None:
    client = full_client()
    values = dict(client.office.ledger.state.items())
    fields = client.digests("projects", "p1", note="注")
    client.office.ok("li", "projects.update", project="p1", version=1, fields=fields)
    assert noticed(client.office, values) == {RecordId("projects", "p1")}


@pytest.mark.parametrize(
    ("call", "args", "table"),
    [
        ("handovers.make", {"handover": "x", "project": "p1"}, "handovers"),
        ("handovers.correct", {"handover": "x", "project": "p1"}, "handovers"),
        ("progress_answers.give", {"progress_answer": "x", "progress": "r1"}, "progress_answers"),
        ("payments.settle", {"payment": "x"}, "payments"),
        ("client_departments.register", {"client_department": "x", "organisation": "o1"}, "client_departments"),
    ],
)
def test_the_values_of_a_call_are_those_of_the_record_it_names(call: str, args: dict[str, Any], table: str) -> None:
    calls = [Call(call, args | {"fields": {"note": bytes(32)}})]
    transaction = sign_transaction(key_of("li"), bytes(32), bytes(16), 9, calls)
    ((name, digest),) = commitments(transaction)
    assert (name.table, name.record, name.field, digest) == (table, "x", "note", bytes(32))
    assert state_key(name.table, name.record) == f"{table}/x".encode()
