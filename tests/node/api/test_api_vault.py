"""The state of the vault over the API: for those who work in the department, by pages, and without a value."""

from __future__ import annotations

import pytest

from node.api.vault import VaultAnswer
from tests.node.api.conftest import Api
from tests.node.api.fake_node import key_of


async def test_operators_see_counts_and_what_is_missing_with_its_holders(api: Api) -> None:
    answer = await api.signed("GET", "/v1/vault", key=key_of("li"))
    shown = VaultAnswer.model_validate(answer.json)
    assert shown.tables["customers"].missing == 1
    (missing,) = shown.missing
    assert (missing.table, missing.record, missing.field) == ("customers", "c1", "name")
    assert (missing.entitled, missing.held_by, missing.silent) == (["finance"], ["finance"], [])


async def test_a_page_begins_after_the_named_value(api: Api) -> None:
    answer = await api.signed("GET", "/v1/vault?after=customers.c1.name&limit=10", key=key_of("li"))
    assert answer.json["missing"] == []


@pytest.mark.parametrize("query", ["after=customers/c1", "after=", "limit=x", "limit=-1", "limit=1&limit=2"])
async def test_malformed_parameters_are_refused(api: Api, query: str) -> None:
    answer = await api.signed("GET", f"/v1/vault?{query}", key=key_of("li"))
    assert (answer.status, answer.code) == (400, "http.parameter")


@pytest.mark.parametrize(("person", "code"), [("rui", "auth.role"), ("qian", "auth.other_department")])
async def test_nobody_else_sees_it(api: Api, person: str, code: str) -> None:
    assert (await api.signed("GET", "/v1/vault", key=key_of(person))).code == code
    assert (await api.request("GET", "/v1/vault")).status == 401


async def test_erasures_and_holds_are_shown_by_page_and_by_name(api: Api) -> None:
    from chain.transaction import Call
    from tests.node.api.fake_node import PEOPLE

    assert PEOPLE["boss"] == ("administration", "administrator")
    api.node.register("li", "c1", name="张三", phone="+8613800000001")
    api.node.enact("boss", Call("erasure.hold", {"table": "customers", "record": "c1", "reason": "lawsuit"}))
    api.node.enact("boss", Call("erasure.release", {"table": "customers", "record": "c1", "reason": "settled"}))
    api.node.enact("boss", Call("erasure.order", {"table": "customers", "record": "c1", "reason": "withdrawn"}))
    listed = await api.signed("GET", "/v1/erasures", key=key_of("li"))
    (item,) = listed.json["items"]
    assert (item["id"], item["facts"]["reason"]) == ("customers.c1", "withdrawn")
    assert item["facts"]["waiting"] == ["administration", "finance", "process", "sales"]
    hold = await api.signed("GET", "/v1/state/holds/customers.c1", key=key_of("li"))
    assert hold.json["value"]["released"]["reason"] == "settled"
