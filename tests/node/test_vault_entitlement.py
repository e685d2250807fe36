"""What is remembered about entitlement is never older than the state, and never outlives a grant."""

from __future__ import annotations

import pytest

from chain.state import View
from contracts import holders as contract
from node.vault import entitlement
from node.vault.entitlement import Entitlements
from node.vault.seal import RecordId
from tests.contracts.office import Office

C1 = RecordId("customers", "c1")


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


def test_no_more_records_are_remembered_than_there_is_room_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entitlement, "REMEMBERED_MAX", 3)
    for number in range(5):
        desk.known.holders_of(desk.office.view(), RecordId("customers", f"c{number}"), desk.office.time_ms)
    assert len(desk.known._known) == 3
