"""Whatever administrators do to each other and to the policy, somebody remains who can administer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.deciding.policy import default_policy
from contracts.registry import METHODS
from tests.contracts.office import Office, hex_of

ADMINISTRATORS = ("boss", "ma", "hu")
deeds = st.tuples(
    st.sampled_from(["revoke", "revoke_key", "rotate", "silence", "enrol"]),
    st.sampled_from(ADMINISTRATORS),
    st.sampled_from(ADMINISTRATORS),
)


class Administration:
    """`keys` are the names of the keys that people sign with now."""

    def __init__(self) -> None:
        self.office = Office()
        self.keys = {"boss": "boss"}

    def do(self, deed: str, by: str, to: str) -> None:
        sender = self.keys.get(by, by)
        new = f"{to} {self.office.time_ms}"
        name, args = self._call(deed, to, new)
        receipt = self.office.call(sender, name, via="administration", **args)
        if receipt.is_ok and deed in ("rotate", "enrol"):
            self.keys[to] = new

    def _call(self, deed: str, to: str, new: str) -> tuple[str, dict[str, Any]]:
        if deed == "revoke":
            return "people.revoke", {"person": to}
        if deed == "revoke_key":
            return "people.revoke_key", {"key": hex_of(self.keys.get(to, to))}
        if deed == "rotate":
            return "people.rotate_key", {"person": to, **self.office.possession(to, new)}
        if deed == "silence":
            return "permissions.set_policy", {"policy": default_policy() | {"rules": []}}
        role = {"department": "administration", "role": "administrator", "fields": {}}
        return "people.enrol", {"person": to, **role, **self.office.possession(to, new)}

    def able(self) -> list[str]:
        """The administrators who can still give out a grant."""
        found = []
        for person, key in self.keys.items():
            args = {"subject": "department:sales", "actions": ["read"], "table": "customers", "scope": "all"}
            more = {"grant": f"g{self.office.time_ms}", "fields": ["*"], "purpose": "*", "expires_ms": None}
            if self.office.call(key, "permissions.grant", via="administration", **args, **more).is_ok:
                found.append(person)
        return found


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(deeds, max_size=14))
def test_an_administrator_who_can_act_remains_whatever_is_done(done: list[tuple[str, str, str]]) -> None:
    administration = Administration()
    for deed in done:
        administration.do(*deed)
    able = administration.able()
    assert able
    assert administration.office.row("counters", "administrators")["value"] == len(able)


@pytest.mark.parametrize("deed", ["revoke", "revoke_key"])
def test_the_last_administrator_is_not_removed_and_the_next_to_last_is(deed: str) -> None:
    administration = Administration()
    administration.do("enrol", "boss", "ma")
    administration.do(deed, "boss", "ma")
    assert administration.able() == ["boss"]
    name, args = administration._call(deed, "boss", "")
    assert administration.office.code("boss", name, **args) == "people.last_administrator"


def test_role_and_department_are_given_at_enrolment_and_no_call_changes_them() -> None:
    taking = {name for name, method in METHODS.items() if {"role", "department"} & set(method.arguments)}
    # The role in a participation is the customer's, in a project.
    taking -= {"participations.register", "participations.update"}
    assert taking <= {"people.enrol", "gateways.enrol"}
    office = Office()
    args = {"department": "sales", "role": "operator", "fields": {}, **office.possession("boss", "boss 2")}
    assert office.code("boss", "people.enrol", person="boss", **args) == "people.exists"
