"""What holds for all states: denial by default, holders above readers, one version at a time, revoked is revoked."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from chain.state import View
from contracts.base import ACTIONS
from contracts.deciding.entitlements import assignments
from contracts.deciding.holders import holders
from contracts.deciding.permissions import Resource, may
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import subject_of_person
from contracts.registry import METHODS
from tests.contracts.office import PEOPLE, Office, hex_of
from tests.contracts.test_call_arguments import arguments_of

FIELDS = ["name", "phone", "identifier", "note"]
RECORDS = ["c1", "c2"]
SUBJECTS = [f"person:{person}" for person in PEOPLE] + [
    f"department:{name}" for name in ("sales", "process", "finance")
]
actions = st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True)
field_lists = st.one_of(st.just(["*"]), st.lists(st.sampled_from(FIELDS), min_size=1, unique=True))
rules = st.fixed_dictionaries(
    {
        "department": st.sampled_from(["administration", "sales", "process", "finance"]),
        "table": st.sampled_from(["customers", "people", "*"]),
        "actions": actions,
        "fields": st.just(["*"]),
        "scope": st.sampled_from(["all", "assigned", "department"]),
    }
)
grants = st.fixed_dictionaries(
    {
        "subject": st.sampled_from(SUBJECTS),
        "actions": actions,
        "scope": st.sampled_from(["all", "assigned", *(f"record:{record}" for record in RECORDS)]),
        "fields": field_lists,
        "purpose": st.sampled_from(["*", "sale", "survey"]),
        "expires_ms": st.sampled_from([None, 1_700_000_500_000, 1_800_000_000_000]),
    }
)
questions = st.tuples(
    st.sampled_from(sorted(PEOPLE)), st.sampled_from(ACTIONS), st.sampled_from(RECORDS), st.sampled_from(FIELDS),
    st.sampled_from([None, "sale", "survey"]),
)  # fmt: skip


def stock(policy_rules: list[Any], given_grants: list[Any], assigned: list[tuple[str, str]], revoked: str) -> Office:
    office = Office()
    for record in RECORDS:
        office.register(record, note="记")
    for record, subject in assigned:
        office.call("boss", "permissions.assign", table="customers", record=record, subject=subject)
    for number, grant in enumerate(given_grants):
        purpose = "*" if "change" in grant["actions"] else grant["purpose"]
        office.grant(f"g{number}", **grant | {"purpose": purpose})
    office.ok("boss", "permissions.set_policy", policy=default_policy() | {"rules": policy_rules})
    office.call("boss", "people.revoke", person=revoked)
    return office


def explained_by_hand(
    view: View, office: Office, person: str, action: str, record: str, field: str, purpose: Any
) -> bool:
    """Whether some rule or grant allows, decided the slow way: over the whole policy and every grant in the state."""
    row = view.get("people", person) or {}
    if row["status"] != "active" or not row["keys"]:
        return False
    me, mine = f"person:{person}", f"department:{row['department']}"
    tied = assignments(view, "customers", record)
    for entry in (view.get("policy", "current") or {})["policy"]["rules"]:
        is_meant = entry["department"] == row["department"] and entry["table"] in ("customers", "*")
        in_scope = {"all": True, "assigned": me in tied, "department": me in tied or mine in tied}[entry["scope"]]
        if row["role"] != "auditor" and is_meant and in_scope and action in entry["actions"]:
            return True
    for _, grant in office.ledger.state.scan("grants"):
        is_live = grant["status"] == "active" and (grant["expires_ms"] is None or grant["expires_ms"] > office.time_ms)
        in_scope = {"all": True, "assigned": grant["subject"] in tied, f"record:{record}": True}.get(
            grant["scope"], False
        )
        is_meant = grant["subject"] in (me, mine) and in_scope and action in grant["actions"]
        if is_live and is_meant and grant["purpose"] in ("*", purpose) and {"*", field} & set(grant["fields"]):
            return True
    return False


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.lists(rules, max_size=4),
    st.lists(grants, max_size=5),
    st.lists(st.tuples(st.sampled_from(RECORDS), st.sampled_from(SUBJECTS)), max_size=4),
    st.sampled_from(sorted(PEOPLE)),
    st.lists(questions, min_size=20, max_size=20),
    st.sampled_from([0, 600_000]),
)
def test_may_allows_exactly_what_a_rule_or_live_grant_allows_and_holders_include_it(
    policy_rules: list[Any],
    given_grants: list[Any],
    assigned: list[tuple[str, str]],
    revoked: str,
    asked: list[Any],
    later_ms: int,
) -> None:
    office = stock(policy_rules, given_grants, assigned, revoked)
    office.time_ms += later_ms
    view = office.view()
    for person, action, record, field, purpose in asked:
        subject = subject_of_person(view, person)
        decision = may(view, subject, action, Resource("customers", record, field, purpose), office.time_ms)
        assert decision.allowed == explained_by_hand(view, office, person, action, record, field, purpose)
        assert (decision.because is not None, decision.code == "ok") == (decision.allowed, decision.allowed)
        if decision.allowed:
            assert subject.department in holders(view, "customers", record, field, office.time_ms)
            any_field = Resource("customers", record, None, purpose)
            assert may(view, subject, action, any_field, office.time_ms).allowed


class Records(RuleBasedStateMachine):
    """People change, rotate and revoke in any order; versions grow by one and revoked keys never act again."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.office.register("c1")
        self.version = 1
        self.revoked: list[str] = []
        self.current = {"li": "li", "qian": "qian"}

    @initialize(target=keys)
    def begin(self) -> str:
        return "li"

    @rule(person=st.sampled_from(["li", "qian"]), offset=st.integers(-1, 1))
    def change(self, person: str, offset: int) -> None:
        fields = self.office.fields("c1", note=f"{self.office.time_ms}")
        stated = self.version + offset
        receipt = self.office.call(
            self.current[person],
            "customers.update",
            customer="c1",
            version=stated,
            fields=fields,
            via=self._home(person),
        )
        if receipt.is_ok:
            assert offset == 0
            self.version += 1
        elif stated > 0 and self.current[person] not in self.revoked:
            assert receipt.code == "record.version_conflict"

    @rule(person=st.sampled_from(["li", "qian"]))
    def rotate(self, person: str) -> None:
        new = f"{person} {self.office.time_ms}"
        self.office.ok("boss", "people.rotate_key", person=person, **self.office.possession(person, new))
        self._end(self.current[person])
        self.current[person] = new

    @rule(person=st.sampled_from(["li", "qian"]))
    def revoke(self, person: str) -> None:
        self.office.call("boss", "people.revoke_key", key=hex_of(self.current[person]))
        self._end(self.current[person])

    def _end(self, key: str) -> None:
        if key not in self.revoked:
            self.revoked.append(key)

    def _home(self, person: str) -> str:
        return PEOPLE[person][0]

    @invariant()
    def versions_and_history_agree(self) -> None:
        record = self.office.row("customers", "c1")
        assert record["version"] == self.version
        assert all(1 <= version <= self.version for _, version in record["fields"].values())
        newest = self.office.row("changes", f"customers.c1.{self.version}")
        assert (newest["from"], newest["to"]) == (self.version - 1, self.version)
        assert not self.office.view().has("changes", f"customers.c1.{self.version + 1}")

    @invariant()
    def revoked_keys_never_act(self) -> None:
        for key in self.revoked[-3:]:
            for home in ("sales", "finance"):
                assert self.office.code(key, "access.login", via=home) in ("keys.revoked", "transaction.elsewhere")


TestRecords = Records.TestCase
TestRecords.settings = settings(max_examples=15, stateful_step_count=12)


names = st.sampled_from([*FIELDS, "rules", "a"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(name for name in METHODS if METHODS[name].arguments)), anything, st.data())
def test_no_argument_makes_a_contract_fail_in_a_way_it_did_not_foresee(name: str, value: Any, data: Any) -> None:
    office = Office()
    office.register("c1")
    args = arguments_of(name)
    for argument in data.draw(st.lists(st.sampled_from(sorted(args)), min_size=1, max_size=2, unique=True)):
        args[argument] = {**default_policy(), "rules": value} if argument == "policy" else value
    for sender in ("boss", "li", "node sales"):
        assert office.call(sender, name, **args).code != "contract.fault"
