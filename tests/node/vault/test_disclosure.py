"""Values leave the vault only for a committed read, to the key that signed it, and only those it was allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chain.errors import KehuError
from chain.receipt import Receipt
from chain.transaction import Call, Transaction
from node.vault.disclosure import WINDOW_MS, allowed_values, disclose
from node.vault.values import VaultValue
from tests.contracts.office import key_of
from tests.node.vault_network import Network, network

FIELDS = {"table": "customers", "fields": ["*"], "purpose": "sale"}


@pytest.fixture
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    """One customer, c1 of sales."""
    async with network(tmp_path_factory.mktemp("net")) as made:
        await made.submit(made.registration())
        await made.holds("sales", "name", "phone", "position")
        yield made


async def access(
    net: Network, name: str, sender: str = "li", via: str = "sales", **args: Any
) -> tuple[Transaction, Receipt]:
    transaction = net.transaction(sender, Call(name, args))
    return transaction, (await net.append([transaction], via))[0]


def shown(net: Network, transaction: Transaction, receipt: Receipt | None, **changes: Any) -> list[VaultValue]:
    node = net.nodes[changes.pop("node", "sales")]
    args = {
        "block_time_ms": net.time_ms,
        "key": transaction.key,
        "now_ms": net.time_ms,
    } | changes
    return disclose(node.vault, node.exchange.duties.view(), transaction, receipt, **args)


def code(net: Network, transaction: Transaction, receipt: Receipt | None, **changes: Any) -> str:
    with pytest.raises(KehuError) as raised:
        shown(net, transaction, receipt, **changes)
    assert "张三" not in str(raised.value)
    return raised.value.code


async def read(net: Network, sender: str = "li", via: str = "sales", **changes: Any) -> tuple[Transaction, Receipt]:
    return await access(net, "access.read", sender, via, **(FIELDS | {"record": "c1"} | changes))


async def test_a_committed_read_gives_exactly_the_allowed_values(net: Network) -> None:
    transaction, receipt = await read(net)
    values = shown(net, transaction, receipt)
    assert {value.field: value.value for value in values} == {
        "name": "张三",
        "phone": "+8613800000001",
        "position": "经理",
    }
    answers = receipt.results[0]["fields"]
    assert all(value.digest(net.chain_id) == answers[value.field]["digest"] for value in values)
    assert not answers["identifier"]["allowed"]


async def test_only_the_asked_fields_are_given(net: Network) -> None:
    values = shown(net, *await read(net, fields=["phone"]))
    assert [value.field for value in values] == ["phone"]


async def test_a_refused_read_gives_nothing_although_the_vault_has_the_values(net: Network) -> None:
    transaction, receipt = await read(net, "wang")
    assert receipt.is_ok
    assert shown(net, transaction, receipt) == []


async def test_a_field_that_was_refused_is_not_given_though_the_vault_of_that_node_has_it(net: Network) -> None:
    transaction, receipt = await read(net)
    values = shown(net, transaction, receipt, node="administration")
    assert "identifier" in net.nodes["administration"].live()
    assert sorted(value.field for value in values) == ["name", "phone", "position"]


async def test_a_list_gives_the_values_of_all_its_records(net: Network) -> None:
    await net.submit(net.registration("c2", name="李四", phone="+8613800000002"))
    await net.submit(net.registration("c3", sender="wang", name="王五", phone="+8613800000003"))
    transaction, receipt = await access(net, "access.list", **(FIELDS | {"fields": ["name"], "after": 0, "limit": 10}))
    assert [value.value for value in shown(net, transaction, receipt)] == ["张三", "李四"]


async def test_a_contact_gives_the_number_and_nothing_else(net: Network) -> None:
    transaction, receipt = await access(net, "access.contact", customer="c1", purpose="sale")
    assert receipt.results[0]["outcome"] == "released"
    assert [value.value for value in shown(net, transaction, receipt)] == ["+8613800000001"]


async def test_a_contact_that_was_refused_gives_no_number(net: Network) -> None:
    transaction, receipt = await access(net, "access.contact", "wang", customer="c1", purpose="sale")
    assert receipt.results[0]["outcome"] == "refused"
    assert shown(net, transaction, receipt) == []


async def test_several_reads_in_one_transaction_give_each_value_once(net: Network) -> None:
    calls = [
        Call("access.read", FIELDS | {"record": "c1", "fields": fields}) for fields in (["name"], ["phone", "name"])
    ]
    transaction = net.transaction("li", *calls)
    (receipt,) = await net.append([transaction], "sales")
    assert [name.field for name, _ in allowed_values(transaction, receipt)] == ["name", "phone"]
    assert [value.field for value in shown(net, transaction, receipt)] == ["name", "phone"]


async def test_another_key_gets_nothing_even_the_administrators(net: Network) -> None:
    transaction, receipt = await read(net)
    for other in ("wang", "boss", "node sales"):
        assert code(net, transaction, receipt, key=key_of(other).public) == "access.not_yours"


async def test_a_read_that_is_not_on_the_record_gives_nothing(net: Network) -> None:
    transaction = net.transaction("li", Call("access.read", FIELDS | {"record": "c1"}))
    assert code(net, transaction, None) == "access.not_committed"


async def test_a_read_that_failed_on_the_record_gives_nothing(net: Network) -> None:
    transaction, receipt = await read(net, record="nobody")
    assert receipt.code == "record.unknown"
    assert code(net, transaction, receipt) == "access.not_committed"


async def test_a_transaction_that_is_no_read_gives_nothing(net: Network) -> None:
    assert code(net, *await access(net, "access.login")) == "access.not_a_read"


async def test_a_read_is_answered_until_its_time_is_up(net: Network) -> None:
    transaction, receipt = await read(net)
    assert shown(net, transaction, receipt, now_ms=net.time_ms + WINDOW_MS) != []
    assert code(net, transaction, receipt, now_ms=net.time_ms + WINDOW_MS + 1) == "access.too_old"


async def test_values_that_are_not_here_are_left_out_and_all_missing_is_an_error_that_names_holders(
    net: Network,
) -> None:
    transaction, receipt = await read(net)
    sales = net.nodes["sales"]
    for name, digest in sales.vault.live("customers", "c1"):
        if name.field != "phone":
            sales.vault.drop([(name, digest)])
    assert [value.field for value in shown(net, transaction, receipt)] == ["phone"]
    sales.vault.drop(sales.vault.live("customers", "c1"))
    with pytest.raises(KehuError) as raised:
        shown(net, transaction, receipt)
    assert raised.value.code == "vault.missing"
    assert raised.value.details["holders"] == "administration,finance,sales"


async def test_a_value_that_was_changed_since_the_read_is_gone_and_the_error_says_so(net: Network) -> None:
    transaction, receipt = await read(net, fields=["position"])
    await net.submit(net.update(1, position="主任"))
    assert code(net, transaction, receipt) == "vault.superseded"


async def test_a_value_erased_since_the_read_is_not_shown_though_the_vault_may_be_a_moment_behind(net: Network) -> None:
    transaction, receipt = await read(net, fields=["name"])
    sales = net.nodes["sales"]
    kept = VaultValue("customers", "c1", "name", net.value("c1", "name", "张三").salt, "张三")
    await net.boss("erasure.order", table="customers", record="c1", reason="withdrawn")
    assert code(net, transaction, receipt) == "record.erased"
    sales.vault._erased.counts.clear()  # as if the erasure were still to come
    sales.vault.put_live([(kept, kept.digest(net.chain_id))])
    assert sales.live() == {"name": "张三"}
    assert code(net, transaction, receipt) == "record.erased"
