"""Numbers that are about to be recorded: who is told that a customer with the number is there already."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain.state import View
from tests.node.api.conftest import Api
from tests.node.api.fake_node import key_of

PATH = "/v1/customers/duplicates"
PHONE, OTHER = "+8613800000001", "+8613800000002"


@pytest.fixture
def stocked(api: Api) -> Api:
    api.node.register("li", "c1", name="张三", phone=PHONE)
    api.node.register("wang", "c2", name="李四", phone=PHONE)
    return api


async def ask(api: Api, name: str, *phones: str, **changes: Any) -> Any:
    body = json.dumps({"phones": list(phones), "purpose": "registration"} | changes).encode()
    return await api.signed("POST", PATH, body, key=key_of(name))


async def test_each_is_told_of_the_customers_that_are_theirs_and_of_no_other(stocked: Api) -> None:
    assert (await ask(stocked, "li", PHONE, OTHER)).json == {"customers": [["c1"], []]}
    assert (await ask(stocked, "wang", OTHER, PHONE)).json == {"customers": [[], ["c2"]]}


async def test_what_is_told_is_on_the_record_first_and_nothing_else_is(stocked: Api) -> None:
    height = stocked.node.ledger.height
    await ask(stocked, "li", PHONE)
    assert stocked.node.ledger.height == height + 1
    view = View(stocked.node.ledger.state.get)
    row = view.get("accesses", "customers.c1.1")
    assert row is not None
    assert (row["by"], row["action"], row["purpose"], row["allowed"]) == (
        "person:li",
        "match",
        "registration",
        ["phone"],
    )
    assert view.get("accesses", "customers.c2.1") is None
    await ask(stocked, "li", OTHER)
    assert stocked.node.ledger.height == height + 1


async def test_the_chain_does_not_learn_the_number_that_was_asked_about(stocked: Api) -> None:
    await ask(stocked, "li", PHONE)
    block = stocked.node.blocks.block(stocked.node.ledger.height)
    for raw in (block.raw, *stocked.node.blocks.receipt_bytes(stocked.node.ledger.height)):
        assert PHONE.encode() not in raw
        assert PHONE[3:].encode() not in raw


@pytest.mark.parametrize(
    ("phones", "changes", "code"),
    [
        (["12345"], {}, "phone."),
        ([], {}, "http."),
        ([PHONE] * 101, {}, "http."),
        ([PHONE], {"purpose": "Für Müller"}, "http."),
    ],
)
async def test_a_question_is_refused_for(stocked: Api, phones: list[str], changes: dict[str, Any], code: str) -> None:
    answer = await ask(stocked, "li", *phones, **changes)
    assert answer.status == 400
    assert answer.code.startswith(code)
    assert not any(phone in answer.body.decode() for phone in phones)


async def test_an_auditor_has_no_business_there(stocked: Api) -> None:
    assert (await ask(stocked, "rui", PHONE)).code == "auth.role"
