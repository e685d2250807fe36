"""The index follows vault and chain: values that come, change, and are destroyed; facts; ties. It writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from chain.state import View
from chain.transaction import Call
from contracts.deciding.policy import load_policy
from node.preview import preview_calls
from node.search.desk import SEARCH_NOT_READY, SearchDesk
from node.search.index import RecordIndex
from node.search.query import Filter, Query
from node.vault.seal import RecordId
from node.vault.values import VaultValue
from tests.contracts.office import key_of
from tests.node.vault_kit import files_with
from tests.node.vault_network import Network, VaultNode, network


class Following:
    """A node's index, kept in step as the service keeps it."""

    def __init__(self, node: VaultNode) -> None:
        self.node = node
        self.index = RecordIndex(node.ledger, node.vault)
        node.vault.on_change = self.index.touch
        follow = node.exchange.on_block

        async def on_block(executed: object) -> None:
            await follow(executed)  # type: ignore[arg-type]
            self.index.on_block(executed)  # type: ignore[arg-type]

        node.exchange.on_block = on_block  # type: ignore[method-assign,assignment]

    async def names(self, start: str = "") -> list[str]:
        await self.index.catch_up()
        return sorted(self.index.tables["customers"].columns["field", "name"].records(start.encode()))

    async def comes_to(self, names: list[str]) -> None:
        """Waits until exactly these are found: the vault tells of a change just after it has made it."""
        async with asyncio.timeout(20):
            while await self.names() != names:
                await self.index.waken()

    async def with_status(self, status: str) -> list[str]:
        await self.index.catch_up()
        column = self.index.tables["customers"].columns["fact", "status"]
        return sorted(column.records(f"{status}\0".encode()))


@pytest.fixture
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    async with network(tmp_path_factory.mktemp("net")) as made:
        await made.submit(made.registration("c1"))
        yield made


@pytest.fixture
async def sales(net: Network) -> Following:
    following = Following(net.nodes["sales"])
    await net.holds("sales", "name", "phone", "position")
    await following.index.walk()
    return following


async def test_looking_through_everything_rests_as_long_as_it_works_while_blocks_come(net: Network) -> None:
    rests: list[float] = []

    async def pause(delay_s: float) -> None:
        rests.append(delay_s)

    following = Following(net.nodes["sales"])
    following.index = RecordIndex(following.node.ledger, following.node.vault, pause)
    await following.index.walk()
    assert rests
    assert set(rests) == {0}
    await net.submit(net.registration("c2"))
    rests.clear()
    await following.index.walk()
    assert min(rests) > 0


async def test_what_the_vault_has_at_the_start_is_found(sales: Following) -> None:
    assert await sales.names("张") == ["c1"]
    assert await sales.with_status("valid") == ["c1"]
    assert sales.index.tables["customers"].assigned.records_of(["person:li"]) == {"c1"}


async def test_new_and_changed_values_are_followed_and_old_ones_are_not_found(net: Network, sales: Following) -> None:
    await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
    assert await sales.names("李") == ["c2"]
    await net.submit(net.update(1, name="赵五"))
    assert (await sales.names("张"), await sales.names("赵")) == ([], ["c1"])


async def test_values_that_were_staged_here_are_indexed_without_being_unsealed(
    net: Network, sales: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    read = sales.node.vault.get

    def get(table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        asked.append(field)
        return read(table, record, field, digest)

    await sales.names()
    monkeypatch.setattr(sales.node.vault, "get", get)
    await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
    await net.submit(net.update(1, name="赵五"))
    assert (await sales.names("李"), await sales.names("赵")) == (["c2"], ["c1"])
    assert asked == []
    sales.index.touch([RecordId("customers", "c1")])
    assert await sales.names("赵") == ["c1"]
    assert sorted(asked) == ["name", "phone", "position"]


async def test_an_index_beside_a_vault_that_holds_nothing_finds_nothing(net: Network) -> None:
    technical = Following(net.nodes["technical"])
    await technical.index.walk()
    assert await technical.names() == []
    await net.boss("permissions.assign", table="customers", record="c1", subject="person:sun")
    await technical.comes_to(["c1"])
    assert technical.index.tables["customers"].assigned.records_of(["person:sun"]) == {"c1"}
    await net.boss("permissions.unassign", table="customers", record="c1", subject="person:sun")
    await technical.comes_to([])


async def test_what_the_vault_destroys_is_forgotten(sales: Following) -> None:
    sales.node.vault.erase([RecordId("customers", "c1")])
    assert await sales.names() == []


async def test_a_grant_on_a_record_is_a_tie(net: Network, sales: Following) -> None:
    args = {
        "subject": "person:wang",
        "actions": ["read"],
        "table": "customers",
        "scope": "record:c1",
        "fields": ["name"],
    }
    await net.boss("permissions.grant", grant="g", purpose="*", expires_ms=None, **args)
    await sales.index.catch_up()
    assert sales.index.tables["customers"].granted.records_of(["person:wang"]) == {"c1"}
    await net.boss("permissions.revoke", grant="g")
    await sales.index.catch_up()
    assert sales.index.tables["customers"].granted.records_of(["person:wang"]) == set()


async def test_a_field_that_the_policy_had_dropped_is_found_by_again_once_it_is_back(
    net: Network, sales: Following
) -> None:
    policy = load_policy(View(sales.node.ledger.state.get))
    fields = [field for field in policy["tables"]["customers"] if field != "position"]
    rules = [rule | {"fields": [field for field in rule["fields"] if field != "position"]} for rule in policy["rules"]]
    narrower = policy | {"tables": policy["tables"] | {"customers": fields}, "rules": rules}
    await net.boss("permissions.set_policy", policy=narrower)
    restarted = Following(net.nodes["sales"])
    await restarted.index.walk()
    await net.boss("permissions.set_policy", policy=policy)
    await net.holds("sales", "name", "phone", "position")
    await restarted.index.catch_up()
    assert list(restarted.index.tables["customers"].columns["field", "position"].records(b"")) == ["c1"]
    await net.submit(net.update(1, position="主任"))
    await restarted.index.catch_up()
    column = restarted.index.tables["customers"].columns["field", "position"]
    assert list(column.records("主任".encode())) == list(column.records(b"")) == ["c1"]


async def test_it_goes_on_in_the_background_and_whoever_searches_waits_for_it(net: Network, sales: Following) -> None:
    task = asyncio.create_task(sales.index.run())
    await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
    assert await sales.names("李") == ["c2"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_preview_knows_of_a_record_that_came_a_moment_ago(net: Network, sales: Following) -> None:
    ledger, now_ms = sales.node.ledger, net.time_ms
    grant = {"grant": "g", "subject": "person:sun", "actions": ["read"], "table": "customers", "scope": "all"}
    calls = [Call("permissions.grant", {**grant, "fields": ["name"], "purpose": "*", "expires_ms": None})]

    async def gained() -> list[int]:
        found = await preview_calls(ledger, sales.index, key_of("boss").public, "administration", calls, now_ms)
        return [one.gained for one in found.differences]

    before = await gained()
    await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
    assert await gained() == [count + 1 for count in before] != before


async def test_a_preview_of_an_assignment_tells_of_what_is_reached_through_the_record_too(
    net: Network, sales: Following
) -> None:
    await net.boss("demands.register", demand="d1", customer="c1", project=None, fields={"text": bytes(32)})
    ledger, assignment = sales.node.ledger, {"table": "customers", "record": "c1", "subject": "person:sun"}

    async def changes(name: str) -> set[tuple[str, int, int]]:
        calls = [Call(name, assignment)]
        found = await preview_calls(ledger, sales.index, key_of("boss").public, "administration", calls, net.time_ms)
        return {(one.table, one.gained, one.lost) for one in found.differences if one.action == "read"}

    assert await changes("permissions.assign") == {("customers", 1, 0), ("demands", 1, 0)}
    await net.boss("permissions.assign", **assignment)
    assert await changes("permissions.unassign") == {("customers", 0, 1), ("demands", 0, 1)}


async def test_a_preview_of_a_policy_with_a_grant_on_a_record_tells_of_the_grant_too(
    net: Network, sales: Following
) -> None:
    policy = load_policy(View(sales.node.ledger.state.get))
    grant = {"grant": "g", "subject": "person:wang", "actions": ["read"], "table": "customers", "scope": "record:c1"}
    calls = [
        Call("permissions.set_policy", {"policy": policy}),
        Call("permissions.grant", {**grant, "fields": ["name"], "purpose": "*", "expires_ms": None}),
    ]
    for several in (calls, calls[::-1]):
        found = await preview_calls(
            sales.node.ledger, sales.index, key_of("boss").public, "administration", several, net.time_ms
        )
        assert [(one.person, one.field, one.gained, one.lost) for one in found.differences] == [("wang", "name", 1, 0)]


async def test_no_file_of_the_node_has_a_value_or_what_it_was_compared_as(net: Network, sales: Following) -> None:
    await net.submit(net.registration("c2", name="ＺＨＡＯ Mingyu", phone="+8613800000002"))
    assert await sales.names("zhao") == ["c2"]
    folder: Path = net.folder
    for trace in ("张三", "zhao mingyu", "ＺＨＡＯ", "+8613800000001"):
        assert files_with(folder, trace.encode()) == []


async def test_a_search_before_the_index_is_filled_is_told_to_come_again(net: Network) -> None:
    node = net.nodes["sales"]
    query = Query((Filter("field", "name", "张"),), ("id", ""))
    args = {"table": "customers", "query": query.digest(net.chain_id, bytes(32)), "over": ["name"], "fields": ["name"]}
    receipt = await net.commit("li", Call("access.search", args | {"limit": 1, "purpose": "x"}), via="sales")
    assert receipt.is_ok

    async def never(_calls: object) -> object:
        raise AssertionError("nothing may go on the chain")

    desk = SearchDesk(node.ledger, RecordIndex(node.ledger, node.vault), never, lambda: net.time_ms)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=SEARCH_NOT_READY.code):
        await desk.answer(key_of("li").public, "li", 1, bytes(32), query)
