"""GET /v1/phone/due: pages of public facts, of those whom the asker may have checked."""

from __future__ import annotations

from typing import Any

from tests.node.api.fake_node import key_of

DAY_MS = 86_400_000


async def due(api: Any, person: str = "li", query: str = "") -> Any:
    return (await api.signed("GET", f"/v1/phone/due{query}", key=key_of(person))).json


async def test_who_is_due_comes_in_pages_without_any_value(api: Any) -> None:
    for number in range(1, 6):
        api.node.register("li", f"c{number}", name=f"客户{number}", phone=f"+861380000000{number}")
    page = await due(api, query="?limit=2")
    assert [item["customer"] for item in page["items"]] == ["c1", "c2"]
    assert (page["next"], page["sweep_age_ms"]) == (2, 7 * DAY_MS)
    assert set(page["items"][0]) == {"customer", "sequence", "status", "checked_ms", "asked_ms"}
    rest = await due(api, query="?after=2&limit=100")
    assert ([item["sequence"] for item in rest["items"]], rest["next"]) == ([3, 4, 5], None)


async def test_only_those_whom_one_may_have_checked_are_named(api: Any) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    assert [item["customer"] for item in (await due(api))["items"]] == ["c1"]
    assert (await due(api, "wang"))["items"] == []


async def test_auditors_and_strangers_are_refused(api: Any) -> None:
    assert (await api.signed("GET", "/v1/phone/due", key=key_of("rui"))).code == "auth.role"
    assert (await api.request("GET", "/v1/phone/due")).status == 401
    assert (await api.signed("GET", "/v1/phone/due?after=-1")).code == "http.parameter"
