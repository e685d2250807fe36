"""Who signed: every way in which a key is not somebody who may act here and now."""

from __future__ import annotations

from chain.execution import HOME_ONLY
from tests.contracts.office import Office, hex_of, key_of


def test_a_person_acts_through_the_own_departments_node(office: Office) -> None:
    assert office.ok("li", "access.login")["department"] == "sales"


def test_a_key_that_nobody_is_enrolled_with_is_unknown(office: Office) -> None:
    assert office.code("stranger", "access.login") == "keys.unknown"


def test_a_person_is_refused_at_another_departments_node(office: Office) -> None:
    assert office.call("li", "access.login", via="finance").code == "transaction.elsewhere"
    receipt = Office(protocol=HOME_ONLY - 1).call("li", "access.login", via="finance")
    assert (receipt.code, receipt.details) == ("people.wrong_node", {"expected": "sales", "actual": "finance"})


def test_a_nodes_transaction_is_refused_at_another_node(office: Office) -> None:
    args = {"table": "customers", "record": "c1", "fields": ["name"], "version": 1, "to": "finance"}
    assert office.code("node sales", "vault.record_release", via="finance", **args) == "transaction.elsewhere"
    before = Office(protocol=HOME_ONLY - 1)
    assert before.code("node sales", "vault.record_release", via="finance", **args) == "node.wrong_node"


def test_a_revoked_key_is_refused(office: Office) -> None:
    office.ok("boss", "people.revoke_key", key=hex_of("li"))
    assert office.code("li", "access.login") == "keys.revoked"


def test_a_revoked_person_is_refused(office: Office) -> None:
    office.ok("boss", "people.revoke", person="li")
    assert office.code("li", "access.login") == "people.revoked"


def test_nodes_and_gateways_do_not_do_what_people_do(office: Office) -> None:
    assert office.code("node sales", "access.login") == "keys.wrong_kind"
    assert office.code("gateway g1", "people.revoke", person="li") == "keys.wrong_kind"


def test_people_do_not_record_releases(stocked: Office) -> None:
    args = {"table": "customers", "record": "c1", "fields": ["name"], "version": 1, "to": "finance"}
    assert stocked.code("boss", "vault.record_release", **args) == "keys.wrong_kind"


def test_an_unknown_call_is_named_unless_its_name_is_odd(office: Office) -> None:
    assert office.call("li", "customers.erase").details == {"call": "customers.erase"}
    odd = office.call("li", "张三 13800000000")
    assert (odd.code, odd.details) == ("call.unknown", {"call": "(not a plain name)"})


def test_every_login_is_a_row(office: Office) -> None:
    assert office.ok("li", "access.login")["login"] == 1
    assert office.ok("li", "access.login", purpose="console")["login"] == 2
    row = office.row("logins", "li.2")
    assert (row["node"], row["purpose"], row["time_ms"]) == ("sales", "console", office.time_ms)
    assert row["key"] == key_of("li").public.hex()
