"""The administration's calls: grants, assignments, the policy."""

from __future__ import annotations

from typing import Any

import pytest

from chain.batch import sign_batch
from chain.receipt import Receipt
from chain.transaction import Call, sign_transaction
from contracts.deciding.entitlements import ASSIGNED_SUBJECTS_MAX, GRANTS_MAX
from contracts.deciding.policy import default_policy
from tests.contracts.office import Office, key_of

GRANT = {
    "grant": "g",
    "subject": "person:wang",
    "actions": ["read"],
    "table": "customers",
    "scope": "record:c1",
    "fields": ["name"],
    "purpose": "*",
    "expires_ms": None,
}


def test_a_grant_covers_its_action_table_record_fields_and_purpose_only(stocked: Office) -> None:
    stocked.register("c2")
    stocked.grant("g", "person:wang", fields=["name"], purpose="survey")
    assert stocked.may("wang", "read", "c1", "name", purpose="survey").because == "grant:g"
    for action, record, field, purpose in (
        ("change", "c1", "name", "survey"),
        ("read", "c2", "name", "survey"),
        ("read", "c1", "phone", "survey"),
        ("read", "c1", "name", "sale"),
        ("read", "c1", "name", None),
    ):
        assert not stocked.may("wang", action, record, field, purpose=purpose).allowed
    assert not stocked.may("wang", "read", "wang", "name", table="people", purpose="survey").allowed
    assert not stocked.may("zhao", "read", "c1", "name", purpose="survey").allowed


def test_a_grant_to_a_department_is_for_all_its_people(stocked: Office) -> None:
    stocked.grant("g", "department:process", scope="all")
    assert stocked.may("zhao", "read", "c1", "identifier").because == "grant:g"


def test_a_grant_ends_at_its_expiry_by_the_blocks_time(stocked: Office) -> None:
    expires_ms = stocked.time_ms + 5_000
    stocked.grant("g", "person:wang", expires_ms=expires_ms)
    assert stocked.may("wang", "read", "c1", "name", time_ms=expires_ms - 1).allowed
    assert not stocked.may("wang", "read", "c1", "name", time_ms=expires_ms).allowed
    read = {"table": "customers", "record": "c1", "fields": ["name"], "purpose": "sale"}
    assert stocked.ok("wang", "access.read", **read)["fields"]["name"]["allowed"]
    stocked.time_ms = expires_ms - 1_000
    assert stocked.ok("wang", "access.read", **read)["fields"]["name"] == {
        "allowed": False,
        "code": "permission.denied",
    }


def test_a_revoked_grant_ends_at_once_and_stays_on_the_record(stocked: Office) -> None:
    stocked.grant("g", "person:wang")
    stocked.ok("boss", "permissions.revoke", grant="g")
    assert not stocked.may("wang", "read", "c1", "name").allowed
    row = stocked.row("grants", "g")
    assert (row["status"], row["revoked"]["by"], row["granted"]["by"]) == ("revoked", "person:boss", "person:boss")
    assert stocked.code("boss", "permissions.revoke", grant="g") == "grant.revoked"
    assert not stocked.view().has("subject_grants", "person:wang.customers.record:c1")
    assert not stocked.view().has("scope_grants", "customers.record:c1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": "person:nobody"}, "people.unknown"),
        ({"subject": "department:marketing"}, "department.unknown"),
        ({"table": "wishes"}, "record.table_unknown"),
        ({"scope": "record:c9"}, "record.unknown"),
        ({"fields": ["salary"]}, "record.field_unknown"),
        ({"actions": ["read", "change"], "purpose": "survey"}, "grant.purpose"),
        ({"expires_ms": 1}, "grant.expired"),
    ],
)
def test_a_grant_is_refused_for(stocked: Office, changes: dict[str, Any], code: str) -> None:
    assert stocked.code("boss", "permissions.grant", **GRANT | changes) == code


def test_a_grant_id_is_used_once_and_an_unknown_one_is_not_revoked(stocked: Office) -> None:
    stocked.ok("boss", "permissions.grant", **GRANT)
    assert stocked.code("boss", "permissions.grant", **GRANT) == "grant.exists"
    assert stocked.code("boss", "permissions.revoke", grant="x") == "grant.unknown"


def test_revoked_people_are_granted_and_assigned_nothing(stocked: Office) -> None:
    stocked.ok("boss", "people.revoke", person="wang")
    assert stocked.code("boss", "permissions.grant", **GRANT) == "people.revoked"
    assignment = {"table": "customers", "record": "c1", "subject": "person:wang"}
    assert stocked.code("boss", "permissions.assign", **assignment) == "people.revoked"


@pytest.mark.parametrize("sender", ["li", "clerk", "qian", "rui"])
def test_only_administrators_grant_assign_and_set_the_policy(stocked: Office, sender: str) -> None:
    assignment = {"table": "customers", "record": "c1", "subject": "person:wang"}
    for name, args in (
        ("permissions.grant", GRANT),
        ("permissions.revoke", {"grant": "g"}),
        ("permissions.assign", assignment),
        ("permissions.unassign", assignment),
        ("permissions.set_policy", {"policy": default_policy()}),
    ):
        assert stocked.code(sender, name, **args) == "permission.administrator_only"


def test_grants_are_limited_and_expired_ones_make_room(stocked: Office) -> None:
    expires_ms = stocked.time_ms + 1_000_000
    for number in range(GRANTS_MAX):
        stocked.grant(f"g{number}", "person:wang", expires_ms=expires_ms)
    assert stocked.code("boss", "permissions.grant", **GRANT) == "grant.limit"
    stocked.time_ms = expires_ms
    stocked.ok("boss", "permissions.grant", **GRANT)
    assert list(stocked.row("subject_grants", "person:wang.customers.record:c1")["grants"]) == ["g"]
    stocked.ok("boss", "permissions.revoke", grant="g0")


def test_assignments_are_refused_twice_unknown_and_beyond_the_limit(stocked: Office) -> None:
    assignment = {"table": "customers", "record": "c1", "subject": "person:wang"}
    stocked.ok("boss", "permissions.assign", **assignment)
    assert stocked.code("boss", "permissions.assign", **assignment) == "assignment.exists"
    stocked.ok("boss", "permissions.unassign", **assignment)
    assert stocked.code("boss", "permissions.unassign", **assignment) == "assignment.unknown"
    assert stocked.code("boss", "permissions.assign", **assignment | {"record": "c9"}) == "record.unknown"
    assert stocked.code("boss", "permissions.assign", **assignment | {"subject": "person:no"}) == "people.unknown"
    for number in range(ASSIGNED_SUBJECTS_MAX - 1):
        person = f"p{number}"
        args = {"person": person, "department": "sales", "role": "operator", "fields": {}}
        stocked.ok("boss", "people.enrol", **args, **stocked.possession(person, person))
        stocked.ok("boss", "permissions.assign", **assignment | {"subject": f"person:{person}"})
    assert stocked.code("boss", "permissions.assign", **assignment) == "assignment.limit"


def test_a_new_policy_counts_from_the_next_call(stocked: Office) -> None:
    policy = default_policy()
    policy["rules"] = [rule for rule in policy["rules"] if rule["department"] != "finance"]
    assert stocked.ok("boss", "permissions.set_policy", policy=policy) == {"version": 2}
    assert not stocked.may("qian", "read", "c1", "name").allowed
    assert stocked.row("policy", "current")["height"] == stocked.ledger.height


def in_one_block(office: Office, *parts: tuple[str, str, str, dict[str, Any]]) -> list[Receipt]:
    """The receipts of (department, sender, call, arguments), each a batch of its own, in this order."""
    batches = []
    for number, (department, sender, name, args) in enumerate(parts):
        nonce, expires = (1_000 + number).to_bytes(16, "big"), office.ledger.height + 10
        transaction = sign_transaction(key_of(sender), office.chain_id, nonce, expires, [Call(name, args)])
        batches.append(sign_batch(office.node_key(department), office.chain_id, department, [transaction]))
    executed = office.ledger.build("sales", office.time_ms + 1_000, batches)
    checked = office.ledger.check(executed.block, lambda *_: None)
    assert checked.receipt_bytes == executed.receipt_bytes
    return executed.receipts


@pytest.mark.parametrize("is_read_first", [True, False])
def test_in_one_block_a_revocation_counts_for_what_comes_behind_it_scenario_36(
    stocked: Office, is_read_first: bool
) -> None:
    stocked.grant("g", "person:wang")
    read = {"table": "customers", "record": "c1", "fields": ["name"], "purpose": "sale"}
    parts = [("sales", "wang", "access.read", read), ("administration", "boss", "permissions.revoke", {"grant": "g"})]
    receipts = in_one_block(stocked, *(parts if is_read_first else parts[::-1]))
    assert [receipt.code for receipt in receipts] == ["ok", "ok"]
    (shown,) = [receipt.results[0]["fields"] for receipt in receipts if "fields" in receipt.results[0]]
    assert shown["name"]["allowed"] is is_read_first


@pytest.mark.parametrize("is_login_first", [True, False])
def test_in_one_block_who_was_revoked_does_nothing_more_scenario_36(stocked: Office, is_login_first: bool) -> None:
    parts: list[tuple[str, str, str, dict[str, Any]]]
    parts = [("sales", "wang", "access.login", {}), ("administration", "boss", "people.revoke", {"person": "wang"})]
    receipts = in_one_block(stocked, *(parts if is_login_first else parts[::-1]))
    codes = [receipt.code for receipt in receipts]
    assert codes == (["ok", "ok"] if is_login_first else ["ok", "people.revoked"])


def _rule(**changes: Any) -> dict[str, Any]:
    rule = {"department": "sales", "table": "customers", "actions": ["read"], "fields": ["name"], "scope": "all"}
    return rule | changes


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("neighbours", ["sales", "marketing"]),
        ("neighbours", ["sales", "sales"]),
        ("rules", [_rule(department="marketing")]),
        ("rules", [_rule(table="wishes")]),
        ("rules", [_rule(fields=["salary"])]),
        ("rules", [_rule(fields=[])]),
        ("rules", [_rule(actions=["delete"])]),
        ("rules", [_rule(actions=["read", "read"])]),
        ("rules", [_rule(actions=[["read"]])]),
        ("rules", [_rule(scope="some")]),
        ("rules", [_rule(extra=1)]),
        ("rules", [_rule()] * 257),
        ("rules", {}),
        ("tables", default_policy()["tables"] | {"customers": ["name", "phone"]}),
        ("tables", default_policy()["tables"] | {"Bad": ["x"]}),
        ("tables", default_policy()["tables"] | {"customers": ["*"]}),
        ("tables", {table: fields for table, fields in default_policy()["tables"].items() if table != "projects"}),
        ("relation_kinds", {}),
        ("relation_kinds", {"assists": "anywhere"}),
        ("relation_kinds", {"reports_to": "anywhere"}),
        ("relation_kinds", {"reports_to": "organisation", "knows": "somewhere"}),
        ("relation_kinds", {"reports_to": "organisation", "Knows": "anywhere"}),
        ("vault_holders_min", 0),
        ("vault_holders_min", 7),
        ("vault_holders_min", True),
        ("phone", {}),
        ("phone", default_policy()["phone"] | {"gateways_required": 0}),
        ("phone", default_policy()["phone"] | {"contact_age_ms_max": "1"}),
        ("extra", 1),
    ],
)
def test_a_policy_that_is_not_whole_and_sound_is_refused(office: Office, part: str, value: Any) -> None:
    assert office.code("boss", "permissions.set_policy", policy=default_policy() | {part: value}) == "policy.invalid"


def test_a_policy_with_a_part_missing_is_refused(office: Office) -> None:
    for part in default_policy():
        policy = {name: value for name, value in default_policy().items() if name != part}
        assert office.code("boss", "permissions.set_policy", policy=policy) == "policy.invalid"
