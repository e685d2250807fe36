"""Changes of membership by agreement of the departments: what is signed, who must agree, what follows and when."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import KehuError
from chain.protocol import NEWEST
from chain.state import View
from contracts.deciding.holders import holders
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.departments.changes import effect_of, is_address
from contracts.departments.governance import counted_approvals
from tests.contracts.office import Office, genesis_value, hex_of, key_of

FOUR = ("administration", "finance", "sales", "technical")
APPROVERS = {"administration": "clerk", "finance": "qian", "sales": "li", "technical": "sun", "process": "zhao"}


def four(protocol: int = NEWEST, **governance: Any) -> Office:
    value = genesis_value(policy={**default_policy(FOUR), "governance": governance}, protocol=protocol)
    value["departments"] = [item for item in value["departments"] if item["id"] in FOUR]
    value["people"] = [item for item in value["people"] if item["department"] in FOUR]
    value["gateways"] = [item for item in value["gateways"] if item["department"] in FOUR]
    return Office(**{name: value[name] for name in ("departments", "people", "gateways", "policy", "protocol")})


@pytest.fixture
def network() -> Office:
    return four()


def node(office: Office, department: str, name: str | None = None) -> dict[str, Any]:
    """Key and possession of a department's (next) node."""
    name = name or f"node {department}"
    payload = possession_payload(department, hex_of(name))
    return {"key": hex_of(name), "possession": key_of(name).sign(POSSESSION_PURPOSE, office.chain_id, payload)}


def addition(office: Office, department: str = "after_sales", **changes: Any) -> dict[str, Any]:
    change = {"kind": "add", "department": department, "name": "售后", "address": "after-sales.example:7000"}
    return {**change, **node(office, department), **changes}


def effect(office: Office, change: dict[str, Any]) -> dict[str, Any]:
    return effect_of(office.view(), change)


def propose(office: Office, change: dict[str, Any], proposal: str = "p1") -> Any:
    return office.ok("boss", "governance.propose", proposal=proposal, change=change, effect=effect(office, change))


def approve(office: Office, change: dict[str, Any], *people: str, proposal: str = "p1") -> Any:
    answer: Any = None
    for person in people:
        answer = office.ok(person, "governance.approve", proposal=proposal, effect=effect(office, change))
    return answer


def pass_until(office: Office, height: int) -> None:
    while office.ledger.height < height:
        office.ok("boss", "access.login")


def agree(office: Office, change: dict[str, Any], proposal: str = "p1") -> int:
    """Proposed, approved by three, active; the height of its activation."""
    propose(office, change, proposal)
    answer = approve(office, change, "clerk", "qian", "li", proposal=proposal)
    while answer["status"] == "open":
        answer = approve(office, change, "sun", proposal=proposal)
    height: int = answer["activation_height"]
    pass_until(office, height)
    return height


def test_the_effect_that_is_signed_names_departments_quorum_and_set_before_and_after(network: Office) -> None:
    change = addition(network)
    answer = propose(network, change)
    assert answer["approvals_needed"] == 3
    said = answer["effect"]
    assert (said["n"], said["f"], said["quorum"]) == ([4, 5], [1, 1], [3, 4])
    assert said["activation_heights"] == 8
    accepted = approve(network, change, "clerk", "qian", "li")
    height = accepted["activation_height"]
    assert height == network.ledger.height + 8
    assert network.ledger.validators(height - 1).n == 4
    assert network.ledger.validators(height).digest == said["validators"]


@pytest.mark.parametrize("field", ["n", "f", "quorum", "validators", "activation_heights", "sole_tables"])
def test_nothing_happens_if_the_signed_effect_is_another(network: Office, field: str) -> None:
    change = addition(network)
    signed = effect(network, change)
    wrong = {**signed, field: [9, 9]}
    refused = network.code("boss", "governance.propose", proposal="p1", change=change, effect=wrong)
    assert refused == "governance.effect"
    propose(network, change)
    assert network.code("li", "governance.approve", proposal="p1", effect=wrong) == "governance.effect"
    more = {**signed, "another": 1}
    assert network.code("li", "governance.approve", proposal="p1", effect=more) == "governance.effect"


def slower(office: Office) -> None:
    """The administration changes what every open proposal would do."""
    policy = office.row("policy", "current")["policy"]
    policy["governance"]["activation_heights"] = 100
    office.ok("boss", "permissions.set_policy", policy=policy)


def test_who_approved_another_effect_than_the_others_has_not_approved_this_one(network: Office) -> None:
    change = addition(network)
    propose(network, change)
    approve(network, change, "clerk", "qian")
    slower(network)
    answer = approve(network, change, "li")
    assert (answer["status"], answer["approvals"]) == ("open", ["sales"])
    assert network.row("proposals", "p1")["effect"]["activation_heights"] == 100
    accepted = approve(network, change, "qian", "clerk")
    assert accepted["activation_height"] == network.ledger.height + 100


def test_by_earlier_versions_of_the_rules_a_change_did_what_the_first_had_signed() -> None:
    network = four(protocol=2)
    change = addition(network)
    propose(network, change)
    approve(network, change, "clerk", "qian")
    slower(network)
    open_row = network.row("proposals", "p1")
    assert sorted(counted_approvals(open_row, effect(network, change), 2)) == ["administration", "finance"]
    assert counted_approvals(open_row, effect(network, change), 3) == {}
    assert approve(network, change, "li")["activation_height"] == network.ledger.height + 8


def test_a_new_department_acts_from_its_height_on_and_not_before(network: Office) -> None:
    change = addition(network)
    propose(network, change)
    height = approve(network, change, "clerk", "qian", "li")["activation_height"]
    person = {"person": "wu", "department": "after_sales", "role": "operator", "fields": {}}
    enrolment = {**person, **network.possession("wu", "wu")}
    pass_until(network, height - 2)
    assert network.code("boss", "people.enrol", **enrolment) == "department.unknown"
    assert network.row("keys", change["key"])["status"] == "pending"
    network.ok("boss", "people.enrol", **enrolment)
    assert network.ledger.height == height
    assert network.row("departments", "after_sales")["address"] == "after-sales.example:7000"
    assert network.row("counters", "departments")["value"] == 5
    network.ok("wu", "access.login")
    assert network.row("proposals", "p1")["status"] == "active"


def test_a_removed_department_acts_no_more_and_holds_nothing(network: Office) -> None:
    agree(network, addition(network))
    network.ok("boss", "permissions.grant", grant="g", subject="department:technical", actions=["read"],
               table="customers", scope="all", fields=["*"], purpose="*", expires_ms=None)  # fmt: skip
    network.register("c1")
    assert "technical" in holders(network.view(), "customers", "c1", "name")
    version = network.row("policy", "current")["version"]
    agree(network, {"kind": "remove", "department": "technical"}, "p2")
    assert "technical" not in holders(network.view(), "customers", "c1", "name")
    policy = network.row("policy", "current")
    assert policy["version"] == version + 1
    assert not [rule for rule in policy["policy"]["rules"] if rule["department"] == "technical"]
    with pytest.raises(KehuError) as caught:
        network.call("sun", "access.login")
    assert caught.value.code == "batch.unknown_department"
    assert network.code("sun", "access.login", via="sales") == "transaction.elsewhere"
    assert network.code("node technical", "governance.advance", via="sales") == "transaction.elsewhere"
    given = {"actions": ["read"], "table": "customers", "scope": "record:c1", "fields": ["*"], "purpose": "*"}
    grant = network.code(
        "boss", "permissions.grant", grant="g2", subject="department:technical", expires_ms=None, **given
    )
    assert grant == "department.unknown"
    again = addition(network, "technical", **node(network, "technical", "node technical 2"))
    code = network.code("boss", "governance.propose", proposal="p3", change=again, effect={})
    assert code == "governance.department"


@pytest.mark.parametrize(("protocol", "expected"), [(NEWEST, "department.unknown"), (2, "ok")])
def test_nothing_is_granted_or_assigned_to_people_of_a_removed_department(protocol: int, expected: str) -> None:
    network = four(protocol)
    agree(network, addition(network))
    network.register("c1")
    agree(network, {"kind": "remove", "department": "technical"}, "p2")
    assert network.row("people", "sun")["status"] == "active"
    given = {"actions": ["read"], "scope": "record:c1", "fields": ["name"], "purpose": "*", "expires_ms": None}
    about = {"table": "customers", "subject": "person:sun"}
    assert network.code("boss", "permissions.grant", grant="g", **about, **given) == expected
    assert network.code("boss", "permissions.assign", record="c1", **about) == expected


def test_rules_pass_to_the_department_in_anothers_place(network: Office) -> None:
    before = [rule for rule in network.row("policy", "current")["policy"]["rules"] if rule["department"] == "technical"]
    change = {**addition(network), "kind": "replace", "department": "technical", "by": "after_sales"}
    agree(network, change)
    after = network.row("policy", "current")["policy"]
    assert [
        {**rule, "department": "technical"} for rule in after["rules"] if rule["department"] == "after_sales"
    ] == before
    assert "after_sales" in after["neighbours"]
    assert network.row("departments", "technical")["status"] == "removed"
    assert network.row("counters", "departments")["value"] == 4


def test_one_change_at_a_time(network: Office) -> None:
    change = addition(network)
    propose(network, change)
    other = {"kind": "move", "department": "sales", "address": "10.0.0.9:7000"}
    args = {"change": other, "effect": effect(network, other)}
    assert network.code("boss", "governance.propose", proposal="p2", **args) == "governance.busy"
    assert network.code("boss", "governance.propose", proposal="p1", **args) == "governance.exists"
    approve(network, change, "clerk", "qian", "li")
    assert network.code("boss", "governance.propose", proposal="p2", **args) == "governance.busy"
    assert network.code("sun", "governance.approve", proposal="p1", effect={}) == "governance.over"
    assert network.code("boss", "governance.withdraw", proposal="p1") == "governance.over"
    pass_until(network, network.row("proposals", "p1")["activation_height"])
    args = {"change": other, "effect": effect(network, other)}
    propose(network, other, "p2")
    assert network.ok("boss", "governance.withdraw", proposal="p2")["status"] == "withdrawn"
    assert network.code("boss", "governance.withdraw", proposal="p9") == "governance.unknown"


def test_a_department_counts_once_and_two_people_of_one_are_no_two_departments(network: Office) -> None:
    change = addition(network)
    propose(network, change)
    signed = effect(network, change)
    approve(network, change, "clerk")
    assert network.code("clerk", "governance.approve", proposal="p1", effect=signed) == "governance.approved"
    assert network.code("boss", "governance.approve", proposal="p1", effect=signed) == "governance.approved"
    approve(network, change, "li")
    assert network.code("wang", "governance.approve", proposal="p1", effect=signed) == "governance.approved"
    assert network.code("rui", "governance.approve", proposal="p1", effect=signed) == "governance.approver"
    assert network.row("proposals", "p1")["status"] == "open"


def test_the_policy_says_who_approves_and_how_many() -> None:
    network = four(approvals="all", approvers={"sales": ["wang"]})
    change = addition(network)
    propose(network, change)
    assert approve(network, change, "clerk", "qian", "sun")["status"] == "open"
    code = network.code("li", "governance.approve", proposal="p1", effect=effect(network, change))
    assert code == "governance.approver"
    assert approve(network, change, "wang")["status"] == "accepted"


def test_only_administrators_propose(network: Office) -> None:
    change = addition(network)
    for person in ("li", "clerk"):
        code = network.code(person, "governance.propose", proposal="p1", change=change, effect={})
        assert code == "permission.administrator_only"


def test_fewer_than_four_departments_are_refused_and_the_administration_stays(network: Office) -> None:
    for change, expected in (
        ({"kind": "remove", "department": "technical"}, "governance.too_few"),
        ({"kind": "remove", "department": "administration"}, "governance.department"),
        ({"kind": "remove", "department": "nobody"}, "governance.department"),
        (
            {**addition(network), "kind": "replace", "department": "administration", "by": "boss"},
            "governance.department",
        ),
        (addition(network, "sales"), "governance.department"),
    ):
        assert network.code("boss", "governance.propose", proposal="p1", change=change, effect={}) == expected


def test_values_that_no_other_department_may_hold_are_not_left_behind() -> None:
    policy = default_policy(FOUR)
    policy["rules"] = [rule for rule in policy["rules"] if rule["department"] != "administration"]
    warned = four(removal="warn")
    network = Office(
        **{name: warned.genesis.value[name] for name in ("departments", "people", "gateways")}, policy=policy
    )
    agree(network, addition(network))
    change = {"kind": "remove", "department": "finance"}
    code = network.code("boss", "governance.propose", proposal="p2", change=change, effect={})
    assert code == "governance.sole_values"
    assert effect(four(), {"kind": "rotate", "department": "finance", **node(warned, "finance", "node finance 2")})
    policy = {**policy, "governance": {**policy["governance"], "removal": "warn"}}
    network.ok("boss", "permissions.set_policy", policy=policy)
    assert "payments" in effect(network, change)["sole_tables"]


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "http://10.0.0.1:7000"},
        {"address": "10.0.0.1"},
        {"address": "user@host:7000"},
        {"address": "host:70000"},
        {"address": "host:7000/x"},
        {"address": "ho st:7000"},
        {"address": "[::1]:0"},
        {"name": ""},
        {"key": "00"},
        {"kind": "invent"},
        {"extra": 1},
    ],
)
def test_a_change_has_its_parts_in_their_form_and_no_others_s24(network: Office, changes: dict[str, Any]) -> None:
    change = {**addition(network), **changes}
    assert network.code("boss", "governance.propose", proposal="p1", change=change, effect={}) == "governance.change"


def test_addresses_are_host_and_port_and_nothing_else() -> None:
    for good in ("10.0.0.1:7000", "kehu-1.example:65535", "[2001:db8::1]:7000", "localhost:1"):
        assert is_address(good)
    for bad in ("", ":7000", "a:0", "a:07", "A:7000", "-a:7000", "a..b:7000", "a:7000\n", "file:///x:1", 7000):
        assert not is_address(bad)


def test_a_key_that_nobody_has_proven_or_that_is_taken_is_refused(network: Office) -> None:
    stolen = addition(network, key=hex_of("somebody else"))
    code = network.code("boss", "governance.propose", proposal="p1", change=stolen, effect={})
    assert code == "keys.possession"
    taken = addition(network, **node(network, "after_sales", "li"))
    code = network.code("boss", "governance.propose", proposal="p1", change=taken, effect=effect(network, taken))
    assert code == "keys.taken"


def test_a_node_changes_over_to_its_own_next_key(network: Office) -> None:
    new = node(network, "sales", "node sales 2")
    answer = network.ok("node sales", "governance.rotate", proposal="r1", **new)
    assert answer["effect"]["quorum"] == [3, 3]
    height = answer["activation_height"]
    assert (
        network.code("node sales", "governance.rotate", proposal="r2", **node(network, "sales", "x"))
        == "governance.busy"
    )
    assert network.ok("node finance", "governance.advance") == {"proposal": "r1"}
    pass_until(network, height)
    assert network.code("node finance", "governance.advance") == "governance.nothing_due"
    assert network.ledger.validators(height).key_of("sales") == key_of("node sales 2").public
    assert network.code("node sales", "governance.advance", via="sales") == "keys.revoked"
    again = node(network, "sales", "node sales 3")
    assert network.code("node sales 2", "governance.rotate", proposal="r2", **again) == "governance.too_soon"
    assert (
        network.code("node finance", "governance.rotate", proposal="r1", **node(network, "finance", "y"))
        == "governance.exists"
    )
    assert network.code("li", "governance.rotate", proposal="r2", **again) == "keys.wrong_kind"


def test_a_compromised_key_is_replaced_by_agreement_whatever_its_holder_does(network: Office) -> None:
    change = {"kind": "rotate", "department": "sales", **node(network, "sales", "node sales 2")}
    propose(network, change)
    code = network.code("node sales", "governance.rotate", proposal="r1", **node(network, "sales", "thief"))
    assert code == "governance.busy"
    height = approve(network, change, "clerk", "qian", "sun")["activation_height"]
    pass_until(network, height)
    assert network.row("keys", hex_of("node sales"))["status"] == "revoked"
    assert network.row("departments", "sales")["key_height"] == height


def test_a_gateway_of_a_removed_department_is_not_believed(network: Office) -> None:
    agree(network, addition(network))
    agree(network, {"kind": "remove", "department": "sales"}, "p2")
    fields = network.fields("c1", name="张三", phone="+8613800000001")
    args = {"customer": "c1", "fields": fields, "temporary": False}
    code = network.code("qian", "customers.register", attestation=network.attest("c1", gateway="g2").to_value(), **args)
    assert code == "attestation.revoked_gateway"


def test_an_address_changes_without_a_new_set(network: Office) -> None:
    epoch = network.ledger.validators(1).epoch
    agree(network, {"kind": "move", "department": "sales", "address": "[2001:db8::5]:7000"})
    assert network.row("departments", "sales")["address"] == "[2001:db8::5]:7000"
    assert network.ledger.newest_validators()[1].epoch == epoch


def test_the_acceptance_of_another_address_names_the_set_as_it_is_which_is_no_step_to_follow(network: Office) -> None:
    change = {"kind": "move", "department": "sales", "address": "10.0.0.9:7000"}
    propose(network, change)
    answer = approve(network, change, "clerk", "qian", "li")
    assert answer["accepted_set"] == network.ledger.newest_validators()[1].to_value()


def test_the_state_says_which_transactions_made_which_set(network: Office) -> None:
    height = agree(network, addition(network))
    row = View(network.ledger.state.get).get("memberships", "1")
    assert row is not None
    assert row["activation_height"] == height
