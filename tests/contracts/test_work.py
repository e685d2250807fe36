"""What is kept about a project: progress and its answers, demands, payments, feedback."""

from __future__ import annotations

from typing import Any

import pytest

from chain.execution import CallContext
from chain.state import View
from contracts.registry import METHODS
from tests.contracts.client import Client
from tests.contracts.office import DAY_MS, key_of
from tests.contracts.test_projects import WAY


@pytest.fixture
def travelled(client: Client) -> Client:
    """p1 in the hands of process."""
    for number, (sender, to) in enumerate(WAY[:2]):
        client.hand_over(sender, f"h{number}", to)
    return client


# Progress


def test_process_records_progress_and_the_others_confirm_and_answer_with_their_time(travelled: Client) -> None:
    result = travelled.work("zhao", "progress.record", "r1", project="p1")
    assert (result["project"], result["stage"]) == ("p1", "process")
    travelled.work("li", "progress_answers.give", "a1", progress="r1", verdict="confirmed", fields={})
    travelled.hand_over("zhao", "h9", "technical")
    travelled.work("sun", "progress_answers.give", "a2", progress="r1", verdict="answered")
    answers = [travelled.office.row("progress_answers", id_) for id_ in ("a1", "a2")]
    assert [row["verdict"] for row in answers] == ["confirmed", "answered"]
    assert [row["registered"]["department"] for row in answers] == ["sales", "technical"]
    assert answers[0]["registered"]["time_ms"] < answers[1]["registered"]["time_ms"]


@pytest.mark.parametrize(
    ("sender", "code"), [("qian", "ok"), ("li", "permission.denied"), ("sun", "permission.denied")]
)
def test_progress_is_recorded_by_finance_and_process(travelled: Client, sender: str, code: str) -> None:
    args = travelled.work_args("progress.record", "r1", project="p1")
    assert travelled.office.code(sender, "progress.record", **args) == code


def test_process_does_not_record_progress_of_projects_in_other_hands(client: Client) -> None:
    args = client.work_args("progress.record", "r1", project="p1")
    assert client.office.code("zhao", "progress.record", **args) == "permission.denied"
    assert client.office.code("zhao", "progress.record", **args | {"project": "p9"}) == "record.unknown"


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        ("zhao", {}, "progress.own_department"),
        ("wu", {}, "permission.denied"),
        ("li", {"verdict": "disputed", "fields": {}}, "record.field_missing"),
        ("li", {"progress": "r9"}, "record.unknown"),
    ],
)
def test_an_answer_is_refused_for(travelled: Client, sender: str, changes: dict[str, Any], code: str) -> None:
    travelled.work("zhao", "progress.record", "r1", project="p1")
    args = travelled.work_args("progress_answers.give", "a1", progress="r1", verdict="disputed") | changes
    assert travelled.office.code(sender, "progress_answers.give", **args) == code


def test_a_closed_project_takes_no_progress(travelled: Client) -> None:
    travelled.work("zhao", "progress.record", "r1", project="p1")
    version = travelled.office.row("projects", "p1")["version"]
    travelled.office.ok("boss", "projects.close", project="p1", version=version)
    args = travelled.work_args("progress.record", "r2", project="p1")
    assert travelled.office.code("zhao", "progress.record", **args) == "record.closed"
    args = travelled.work_args("progress_answers.give", "a1", progress="r1", verdict="confirmed")
    assert travelled.office.code("li", "progress_answers.give", **args) == "record.closed"


# Demands


@pytest.mark.parametrize("sender", ["li", "qian", "zhao", "boss"])
def test_every_department_registers_demands_of_customers_it_has_to_do_with(travelled: Client, sender: str) -> None:
    assert travelled.work(sender, "demands.register", "n1", customer="c1", project="p1")["state"] == "open"
    assert travelled.office.code(sender, "demands.register", **_alone(travelled, "c1")) == "ok"


def _alone(client: Client, customer: str) -> dict[str, Any]:
    return client.work_args("demands.register", "n9", customer=customer, project=None)


def test_a_demand_of_a_customer_one_has_nothing_to_do_with_is_refused(travelled: Client) -> None:
    assert travelled.office.code("zhao", "demands.register", **_alone(travelled, "c3")) == "permission.denied"
    assert travelled.office.code("sun", "demands.register", **_alone(travelled, "c1")) == "permission.denied"
    args = travelled.work_args("demands.register", "n1", customer="c4", project="p1")
    assert travelled.office.code("li", "demands.register", **args) == "project.other_organisation"


def test_a_demand_goes_from_state_to_state(travelled: Client) -> None:
    travelled.work("li", "demands.register", "n1", customer="c1", project="p1")
    answer = travelled.digests("demands", "n1", answer="下周上门")
    for version, state in enumerate(["accepted", "accepted", "done", "open", "rejected"], 1):
        args = {"demand": "n1", "version": version, "state": state, "fields": answer}
        assert travelled.office.ok("zhao", "demands.update", **args)["state"] == state
    args = {"demand": "n1", "version": 6, "fields": {}}
    assert travelled.office.code("zhao", "demands.update", **args, state="done") == "demand.state"
    assert travelled.office.code("wang", "demands.update", **args, state="open") == "permission.denied"


# Payments


def test_finance_follow_a_payment_until_it_is_paid(travelled: Client) -> None:
    due_ms = travelled.office.time_ms + DAY_MS
    travelled.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=due_ms)
    note = travelled.digests("payments", "y1", note="客户请求延期")
    args = {"payment": "y1", "version": 1, "due_ms": due_ms + DAY_MS, "fields": note}
    travelled.office.ok("qian", "payments.update", **args)
    paid = travelled.digests("payments", "y1", paid="1250000")
    settle = {"payment": "y1", "version": 2, "paid_ms": due_ms, "fields": paid}
    assert travelled.office.ok("qian", "payments.settle", **settle)["state"] == "paid"
    row = travelled.office.row("payments", "y1")
    assert (row["currency"], row["due_ms"], row["paid_ms"]) == ("CNY", due_ms + DAY_MS, due_ms)
    later = {"payment": "y1", "version": 3, "fields": {}}
    assert travelled.office.code("qian", "payments.settle", **later, paid_ms=1) == "payment.state"
    assert travelled.office.code("qian", "payments.update", **later, due_ms=1) == "payment.state"
    assert travelled.office.code("qian", "payments.cancel", **later) == "payment.state"


def test_a_payment_is_overdue_by_the_blocks_time(travelled: Client) -> None:
    office = travelled.office
    due_ms = office.time_ms + DAY_MS
    travelled.work("qian", "payments.register", "y1", project="p1", currency="JPY", due_ms=due_ms)
    read = {"table": "payments", "record": "y1", "fields": ["amount"], "purpose": "billing"}
    office.time_ms = due_ms - 1_000  # the next block is one second later
    assert office.ok("qian", "access.read", **read)["facts"]["overdue"] is False
    facts = office.ok("qian", "access.read", **read)["facts"]
    assert (facts["overdue"], facts["state"]) == (True, "open")
    office.ok("qian", "payments.settle", payment="y1", version=1, paid_ms=due_ms, fields={})
    assert office.ok("qian", "access.read", **read)["facts"]["overdue"] is False


@pytest.mark.parametrize("sender", ["li", "zhao", "sun", "wu", "rui"])
def test_payments_are_finances_and_the_administrations(travelled: Client, sender: str) -> None:
    args = travelled.work_args("payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    assert travelled.office.code(sender, "payments.register", **args) == "permission.denied"
    travelled.work("qian", "payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    read = {"table": "payments", "record": "y1", "fields": ["*"], "purpose": "x"}
    fields = travelled.office.ok(sender, "access.read", **read)["fields"]
    assert fields == {"amount": {"allowed": False, "code": "permission.denied"}}


def test_a_payment_needs_an_amount_and_an_open_project(travelled: Client) -> None:
    args = travelled.work_args("payments.register", "y1", project="p1", currency="CNY", due_ms=1)
    note = travelled.digests("payments", "y1", note="首付")
    assert travelled.office.code("qian", "payments.register", **args | {"fields": note}) == "record.field_missing"
    version = travelled.office.row("projects", "p1")["version"]
    travelled.office.ok("boss", "projects.close", project="p1", version=version)
    assert travelled.office.code("qian", "payments.register", **args) == "record.closed"


# Feedback


def test_the_administration_records_feedback_on_a_customers_behalf_and_resolves_it(travelled: Client) -> None:
    travelled.work("clerk", "feedback.send", "f1", customer="c1", project="p1", correction=True)
    row = travelled.office.row("feedback", "f1")
    assert (row["own"], row["correction"], row["state"]) == (False, True, "open")
    args = {"feedback": "f1", "version": 1, "outcome": "resolved"}
    resolution = travelled.digests("feedback", "f1", resolution="已更正")
    assert travelled.office.code("li", "feedback.resolve", **args, fields=resolution) == "permission.denied"
    text = travelled.digests("feedback", "f1", text="改")
    assert travelled.office.code("boss", "feedback.resolve", **args, fields=text) == "record.field_missing"
    assert travelled.office.ok("boss", "feedback.resolve", **args, fields=resolution)["state"] == "resolved"
    again = args | {"version": 2, "outcome": "rejected"}
    assert travelled.office.code("boss", "feedback.resolve", **again, fields=resolution) == "feedback.state"


def test_feedback_does_not_come_from_colleagues(travelled: Client) -> None:
    args = travelled.work_args("feedback.send", "f1", customer="c1", project=None, correction=False)
    for sender in ("li", "sun", "rui"):
        assert travelled.office.code(sender, "feedback.send", **args) == "feedback.author"
    other = args | {"customer": "c4", "project": "p1"}
    assert travelled.office.code("boss", "feedback.send", **other) == "project.other_organisation"


def _as_customer(client: Client, person: str, **args: Any) -> tuple[View, Any]:
    """What the call does when somebody of the role customer, with this id, makes it at the administration's node."""
    office, view = client.office, client.office.view()
    key = key_of(f"customer {person}").public
    row = {"kind": "person", "id": person, "department": "administration", "status": "active"}
    view.put("keys", key.hex(), row)
    row = {"department": "administration", "role": "customer", "status": "active", "keys": [key.hex()]}
    view.put("people", person, {**row, "version": 1, "fields": {}})
    context = CallContext(
        1, office.chain_id, office.ledger.height + 1, office.time_ms, bytes(32), key, "administration", 0
    )
    return view, METHODS["feedback.send"](context, view, client.work_args("feedback.send", "f1", **args))


def test_a_customer_sends_feedback_about_the_own_record_only(travelled: Client) -> None:
    view, result = _as_customer(travelled, "c1", customer="c1", project="p1", correction=False)
    assert result["state"] == "open"
    row = view.get("feedback", "f1")
    assert row is not None
    assert (row["own"], row["registered"]["by"]) == (True, "person:c1")
    with pytest.raises(Exception, match=r"feedback\.author"):
        _as_customer(travelled, "c1", customer="c2", project=None, correction=False)
