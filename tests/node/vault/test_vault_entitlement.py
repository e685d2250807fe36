"""What is remembered about entitlement is never older than the state, and never outlives a grant."""

from __future__ import annotations

import pytest

from chain.state import View
from chain.transaction import Call
from contracts.deciding import holders as contract
from node.vault import entitlement
from node.vault.entitlement import Entitlements
from node.vault.seal import RecordId
from tests.contracts.office import Office

C1, C2 = RecordId("customers", "c1"), RecordId("customers", "c2")
AT_C1 = {"table": "customers", "record": "c1"}


class Desk:
    """An office, what is remembered beside it, and how often the contracts were asked."""

    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        self.office, self.known, self.asked = office, Entitlements(), 0

        def counted(*args: object) -> dict[str, tuple[str, ...]]:
            self.asked += 1
            return contract.holders_of(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(entitlement, "holders_of", counted)

    def holders(self, view: View | None = None, time_ms: int | None = None) -> dict[str, tuple[str, ...]]:
        view, time_ms = view or self.office.view(), time_ms or self.office.time_ms
        found = self.known.holders_of(view, C1, time_ms)
        fields = list(found)
        assert found == contract.holders_of(view, *C1, fields, time_ms)
        return dict(found)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    office = Office()
    office.register("c1", position="经理", note="来电优先")
    return Desk(office, monkeypatch)


def test_the_contracts_are_asked_again_only_when_something_was_written_that_the_answer_follows_from(desk: Desk) -> None:
    first = desk.holders()
    view = desk.office.view()
    row = view.get(*C1)
    assert row is not None
    view.put(*C1, {**row, "status": "valid"})
    assert desk.holders(view) == desk.holders() == first
    assert desk.asked == 1
    view.delete("assignments", "customers.c1")
    assert "sales" in first["name"]
    assert "sales" not in desk.holders(view)["name"]
    assert "sales" in desk.holders()["name"], "the view's own writes are not the committed state's"


def test_what_depends_on_a_grant_is_not_remembered_beyond_its_end(desk: Desk) -> None:
    desk.holders()
    expires_ms = desk.office.time_ms + 60_000
    desk.office.grant("g", "department:process", fields=["name"], expires_ms=expires_ms)
    view = desk.office.view()
    assert "process" in desk.holders(view, expires_ms - 1)["name"]
    assert "process" not in desk.holders(view, expires_ms)["name"]


def test_a_block_makes_those_records_be_looked_at_again_of_which_it_wrote_the_ties(desk: Desk) -> None:
    office, known, fields = desk.office, desk.known, ["name", "phone", "note"]

    def agree(height: int) -> None:
        for record in (C1, C2):
            found = known.holders_of(office.view(), record, office.time_ms, height)
            assert found == contract.holders_of(office.view(), *record, list(found), office.time_ms)

    office.register("c2")
    known.follow(1, ())
    agree(1)
    for height, change in enumerate(
        (
            lambda: office.send("boss", Call("permissions.assign", {**AT_C1, "subject": "department:technical"})),
            lambda: office.send("boss", Call("permissions.unassign", {**AT_C1, "subject": "department:technical"})),
            lambda: office.grant("g", "department:process", scope="record:c1", fields=fields, expires_ms=None),
            lambda: office.register("c3"),
        ),
        2,
    ):
        before = dict(office.ledger.state.items())
        change()
        agree(height)  # the state has gone on, and nobody has told of it yet
        after = dict(office.ledger.state.items())
        known.follow(height, [key for key in before | after if before.get(key) != after.get(key)])
        agree(height)
        known.follow(height, ())
        agree(height)


def test_what_a_transaction_would_change_that_is_only_tried_is_not_remembered(desk: Desk) -> None:
    new, time_ms, known = RecordId("customers", "c9"), desk.office.time_ms, desk.known
    known.follow(1, ())
    view = desk.office.view()
    terms = {"department": "technical", "by": "person:sun", "height": 1, "time_ms": 1}
    view.put("assignments", "customers.c9", {"subjects": {"department:technical": terms}})
    assert "technical" in known.holders_of(view, new, time_ms, 1)["name"]
    assert "technical" not in known.holders_of(desk.office.view(), new, time_ms, 1)["name"]
    assert "technical" not in known.held_by("technical", desk.office.view(), new, time_ms, 1)


def test_no_more_records_are_remembered_than_there_is_room_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entitlement, "REMEMBERED_MAX", 3)
    known = entitlement.Entitlements()
    for number in range(5):
        known.holders_of(desk.office.view(), RecordId("customers", f"c{number}"), desk.office.time_ms)
    assert len(known._known) == 3
