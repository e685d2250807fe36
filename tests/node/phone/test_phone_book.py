"""The book of numbers: what the vault holds, as the chain has it now, and nothing in the clear."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from chain.transaction import Call
from node.phone.book import LOOK_AGAIN_MS, PhoneBook
from node.vault.values import VaultValue
from tests.node.api.fake_node import FakeNode

FIRST, SECOND, THIRD = "+8613800000001", "+8613800000002", "+8613800000003"


class Watched(FakeNode):
    """A node whose blocks go to a book, as a real one's do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.book = PhoneBook(self.ledger, self.shelf, bytes(32), self.clock)

    def _append(self, batches: list[Any]) -> Any:
        build, built = self.ledger.build, []

        def keep(*args: Any) -> Any:
            built.append(build(*args))
            return built[-1]

        self.ledger.build = keep  # type: ignore[method-assign]
        try:
            return super()._append(batches)
        finally:
            self.ledger.build = build  # type: ignore[method-assign]
            for executed in built:
                self.book.on_block(executed)


async def test_customers_are_found_by_the_number_they_have_now() -> None:
    node = Watched()
    node.register("li", "c1", name="张三", phone=FIRST)
    assert await node.book.look_up([FIRST, SECOND]) == [["c1"], []]
    node.register("wang", "c2", name="李四", phone=FIRST)
    assert await node.book.look_up([FIRST]) == [["c1", "c2"]]
    change_phone(node, "c1", SECOND)
    assert await node.book.look_up([FIRST, SECOND]) == [["c2"], ["c1"]]


async def test_an_erased_customer_is_found_no_more() -> None:
    node = Watched()
    node.register("li", "c1", name="张三", phone=FIRST)
    assert await node.book.look_up([FIRST]) == [["c1"]]
    node.enact("boss", Call("erasure.order", {"table": "customers", "record": "c1", "reason": "request"}))
    assert await node.book.look_up([FIRST]) == [[]]


async def test_a_number_that_comes_to_the_vault_later_is_found_after_a_while() -> None:
    node = Watched()
    node.register("li", "c1", name="张三", phone=FIRST)
    held = dict(node.shelf.values)
    node.shelf.values.clear()
    assert await node.book.look_up([FIRST]) == [[]]
    node.shelf.values.update(held)
    assert await node.book.look_up([FIRST]) == [[]]
    node.clock.now_ms += LOOK_AGAIN_MS
    assert await node.book.look_up([FIRST]) == [["c1"]]


async def test_the_book_holds_no_number() -> None:
    node = Watched()
    node.register("li", "c1", name="张三", phone=THIRD)
    assert await node.book.look_up([THIRD]) == [["c1"]]
    kept = {name: value for name, value in vars(node.book).items() if name in ("_customers", "_numbers", "_lacking")}
    raw = pickle.dumps(kept)
    assert b"c1" in raw
    assert not any(
        part in raw for part in (THIRD.encode(), THIRD[3:].encode(), hashlib.sha256(THIRD.encode()).digest())
    )


async def test_a_book_that_is_read_in_several_goes_knows_what_changed_meanwhile_and_reads_a_few_keys_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.phone.book.BATCH", 2)
    node, keys_at_once = Watched(), list[int]()
    for number in range(1, 7):
        node.register("li", f"c{number}", name="张三", phone=FIRST)
    state, keys, refresh = node.ledger.state, node.ledger.state.keys, node.book._refresh

    def counted(table: str, after: str = "") -> Iterator[str]:
        keys_at_once.append(0)
        for key in keys(table, after):
            keys_at_once[-1] += 1
            yield key

    async def refresh_and_go_on(customers: list[str]) -> None:
        await refresh(customers)
        if customers[-1:] == ["c4"]:
            change_phone(node, "c1", SECOND)
            node.register("wang", "c0", name="李四", phone=SECOND)
            raise asyncio.CancelledError

    monkeypatch.setattr(state, "keys", counted)
    monkeypatch.setattr(node.book, "_refresh", refresh_and_go_on)
    with pytest.raises(asyncio.CancelledError):
        await node.book.look_up([FIRST, SECOND])
    monkeypatch.setattr(node.book, "_refresh", refresh)
    assert await node.book.look_up([FIRST, SECOND]) == [["c2", "c3", "c4", "c5", "c6"], ["c0", "c1"]]
    assert max(keys_at_once) <= 2


def change_phone(node: FakeNode, customer: str, phone: str) -> None:
    value = VaultValue("customers", customer, "phone", hashlib.sha256(phone.encode()).digest(), phone)
    node.shelf.put(node.genesis.chain_id, value)
    digests = {"phone": value.digest(node.genesis.chain_id)}
    args = {"customer": customer, "version": 1, "fields": digests, "attestation": None, "temporary": True}
    node.enact("li", Call("customers.change_phone", args))
