"""Erasing from the command line: two steps, receipts, holds; and what the vault lacks."""

from __future__ import annotations

from typing import Any

import pytest

from chain.state import View
from chain.transaction import Call, sign_transaction
from cli.erasing import standing_of
from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble

NODES = ("administration", "finance", "sales", "technical")


@pytest.fixture
def customer(kehu: Kehu) -> str:
    """A temporary customer of li's."""
    fields = ("name=欧阳娜娜", "phone=13812349999", "note=只在周二来访")
    id_: str = kehu.json("customer", "add", *fields, "--temporary", "--allow-duplicate", as_="li")["customer"]
    return id_


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()


def confirm(office: Office, customer: str, *departments: str) -> None:
    """What the departments' nodes send once they have destroyed their copies."""
    for department in departments:
        call = Call("erasure.confirm", {"table": "customers", "record": customer, "values": 3})
        key, height = office.chain.keys[department], office.chain.ledger.height
        nonce = f"{customer}{department}{height}".encode()[-16:].rjust(16)
        transaction = sign_transaction(key, office.chain.genesis.chain_id, nonce, height + 10, [call])
        office.chain.commit(department, [transaction])


def erase(kehu: Kehu, customer: str) -> Any:
    args = ("customer", "erase", customer, "--reason", "withdrawn")
    code = kehu.json(*args, as_="admin")["confirm"]
    return kehu.json(*args, "--confirm", code, as_="admin")


def test_the_first_step_shows_what_would_go_and_changes_nothing(kehu: Kehu, customer: str, office: Office) -> None:
    height = office.chain.ledger.height
    seen = kehu.json("customer", "erase", customer, "--reason", "withdrawn", as_="admin")
    assert (seen["fields"], seen["version"], seen["held"]) == (["name", "note", "phone"], 1, None)
    assert (seen["is_ordered"], seen["transaction"], len(seen["confirm"])) == (False, None, 8)
    assert office.chain.ledger.height == height
    shown = kehu("customer", "erase", customer, "--reason", "withdrawn", as_="admin").out
    assert f"--confirm {seen['confirm']}" in shown


def test_the_first_step_lists_all_that_goes_along_with_its_fields_vaults_and_holds(kehu: Kehu, customer: str) -> None:
    other = kehu.json("customer", "add", "name=王芳", "phone=13812349998", "--temporary", as_="li")["customer"]
    relation = kehu.json("relation", "add", customer, "influences", other, "note=校友", as_="li")["record"]
    demand = kehu.json("demand", "add", customer, "text=需要培训", as_="li")["record"]
    kehu.json("erasure", "hold", demand, "--table", "demands", "--reason", "dispute", as_="admin")
    args = ("customer", "erase", customer, "--reason", "withdrawn")
    seen = kehu.json(*args, as_="admin")
    listed = {(one["table"], one["record"]): (one["fields"], one["held"]) for one in seen["together"]}
    assert list(listed) == [("customers", customer), ("relations", relation), ("demands", demand)]
    assert listed["customers", customer][0]["name"] == ["administration", "finance", "sales"]
    assert listed["relations", relation] == ({"note": ["administration", "finance", "sales"]}, None)
    assert (list(listed["demands", demand][0]), listed["demands", demand][1]) == (["text"], "dispute")
    assert seen["held"] == "dispute"
    screen = kehu(*args, as_="admin").out
    assert all(text in screen for text in ("3 records go together", relation, demand, "dispute"))
    assert kehu.problem(*args, "--confirm", seen["confirm"], as_="admin", exit=1)["code"] == "erasure.held"
    kehu.json("erasure", "release", demand, "--table", "demands", "--reason", "settled", as_="admin")
    code = kehu.json(*args, as_="admin")["confirm"]
    kehu.json("demand", "add", customer, "text=再要一次", as_="li")  # one more than was seen
    assert kehu.problem(*args, "--confirm", code, as_="admin", exit=2)["code"] == "usage.confirm"
    code = kehu.json(*args, as_="admin")["confirm"]
    assert kehu.json(*args, "--confirm", code, as_="admin")["records"] == 4


def test_the_second_step_erases_and_the_receipts_come_in_one_by_one(kehu: Kehu, customer: str, office: Office) -> None:
    ordered = erase(kehu, customer)
    assert (ordered["is_ordered"], ordered["waiting"]) == (True, list(NODES))
    confirm(office, customer, "sales", "finance")
    status = kehu.json("erasure", "status", customer, as_="admin")
    assert (status["state"], status["waiting"], status["overdue"]) == ("waiting", ["administration", "technical"], [])
    assert status["confirmed"]["sales"]["values"] == 3
    listed = kehu.json("customer", "erasures", "--open", as_="admin")["erasures"]
    assert customer in [row["record"] for row in listed]
    confirm(office, customer, "administration", "technical")
    assert kehu.json("erasure", "status", customer, as_="li")["state"] == "complete"
    listed = kehu.json("customer", "erasures", "--open", as_="admin")["erasures"]
    assert customer not in [row["record"] for row in listed]
    assert "withdrawn" in kehu("customer", "erasures", as_="admin").out


def test_a_code_confirms_the_reason_that_was_looked_at_and_no_other(kehu: Kehu, customer: str) -> None:
    code = kehu.json("customer", "erase", customer, "--reason", "withdrawn", as_="admin")["confirm"]
    other = kehu.problem(
        "customer", "erase", customer, "--reason", "lawsuit-lost", "--confirm", code, as_="admin", exit=2
    )
    assert other["code"] == "usage.confirm"
    assert kehu.problem("erasure", "status", customer, as_="admin", exit=1)["code"] == "erasure.unknown"


def test_a_code_of_another_version_is_refused_and_nothing_is_ordered(kehu: Kehu, customer: str) -> None:
    args = ("customer", "erase", customer, "--reason", "withdrawn")
    code = kehu.json(*args, as_="admin")["confirm"]
    kehu.json("customer", "update", customer, "note=改了", as_="li")
    assert kehu.problem(*args, "--confirm", code, as_="admin", exit=2)["code"] == "usage.confirm"
    assert kehu.problem("erasure", "status", customer, as_="admin", exit=1)["code"] == "erasure.unknown"


def test_an_erased_customer_is_refused_by_name_to_every_command(kehu: Kehu, customer: str) -> None:
    erase(kehu, customer)
    for command in (("show",), ("contact", "--purpose", "sale"), ("update", "note=新")):
        name, *more = command
        problem = kehu.problem("customer", name, customer, *more, as_="li", exit=1)
        assert problem["code"] in ("record.erased", "permission.denied"), command
    args = ("customer", "erase", customer, "--reason", "again")
    assert kehu.problem(*args, as_="admin", exit=1)["code"] == "record.erased"


def test_departments_that_are_late_are_named_as_overdue(kehu: Kehu, customer: str, office: Office) -> None:
    erase(kehu, customer)
    confirm(office, customer, "sales")
    row = View(office.chain.ledger.state.get).get("erasures", f"customers.{customer}")
    assert row is not None
    assert standing_of(row)["state"] == "waiting"
    late = standing_of(row | {"due_ms": row["time_ms"] - 1})
    assert (late["state"], late["overdue"]) == ("overdue", ["administration", "finance", "technical"])
    assert kehu.json("customer", "erasures", "--overdue", as_="admin")["erasures"] == []


def test_only_the_administration_erases(kehu: Kehu, customer: str) -> None:
    args = ("customer", "erase", customer, "--reason", "withdrawn")
    code = kehu.json(*args, as_="li")["confirm"]
    assert kehu.problem(*args, "--confirm", code, as_="li", exit=1)["code"] == "permission.administrator_only"


def test_a_hold_stops_the_second_step_and_shows_in_the_first(kehu: Kehu, customer: str) -> None:
    args = ("customer", "erase", customer, "--reason", "withdrawn")
    held = kehu.json("erasure", "hold", customer, "--reason", "lawsuit", as_="admin")
    assert held["held"] is True
    seen = kehu.json(*args, as_="admin")
    assert seen["held"] == "lawsuit"
    assert kehu.problem(*args, "--confirm", seen["confirm"], as_="admin", exit=1)["code"] == "erasure.held"
    assert kehu.json("erasure", "status", customer, as_="admin")["state"] == "held"
    assert kehu.json("erasure", "release", customer, "--reason", "settled", as_="admin")["held"] is False
    assert kehu.json(*args, "--confirm", seen["confirm"], as_="admin")["is_ordered"] is True


def test_a_hold_on_a_customer_shows_at_the_customers_demands(kehu: Kehu, customer: str) -> None:
    demand = kehu.json("demand", "add", customer, "text=新需求", as_="li")["record"]
    status = ("erasure", "status", demand, "--table", "demands")
    assert kehu.problem(*status, as_="admin", exit=1)["code"] == "erasure.unknown"
    kehu.json("erasure", "hold", customer, "--reason", "lawsuit", as_="admin")
    seen = kehu.json(*status, as_="admin")
    assert (seen["state"], seen["held"], seen["held_on"]) == ("held", "lawsuit", f"customers.{customer}")
    kehu.json("erasure", "hold", demand, "--table", "demands", "--reason", "dispute", as_="admin")
    assert kehu.json(*status, as_="admin")["held_on"] == f"demands.{demand}"
    kehu.json("erasure", "release", customer, "--reason", "settled", as_="admin")
    assert kehu.json(*status, as_="admin")["held"] == "dispute"


def test_people_are_revoked_before_they_are_erased(kehu: Kehu) -> None:
    args = ("erasure", "order", "li", "--table", "people", "--reason", "left")
    seen = kehu.json(*args, as_="admin")
    assert kehu.problem(*args, "--confirm", seen["confirm"], as_="admin", exit=1)["code"] == "erasure.person_active"


def test_the_vaults_status_names_what_is_missing_and_who_holds_it(kehu: Kehu, customer: str, office: Office) -> None:
    whole = kehu.json("vault", "status", as_="admin")
    assert (whole["department"], whole["missing"], whole["tables"]["customers"]["missing"]) == ("administration", [], 0)
    office.trouble.is_forgetful = True
    lacking = kehu.json("vault", "status", as_="admin", exit=9)
    assert lacking["missing"][0]["held_by"] == ["sales"]
    shown = kehu("vault", "status", as_="admin").out
    assert "held_by" in shown
    assert "欧阳" not in shown
