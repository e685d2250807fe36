"""A node's word that its vote log is lost: by nodes only, about themselves, numbered."""

from __future__ import annotations

from tests.contracts.office import Office


def test_a_node_puts_the_loss_of_its_votes_on_the_record(office: Office) -> None:
    assert office.ok("node sales", "votes.report_loss", votes_from=9)["number"] == 1
    result = office.ok("node sales", "votes.report_loss", votes_from=9)
    assert result == {"department": "sales", "number": 2, "votes_from": 9}
    row = office.view().get("vote_losses", "sales.2")
    assert row is not None
    assert row["votes_from"] == 9
    assert office.code("boss", "votes.report_loss", votes_from=9) == "keys.wrong_kind"
