"""Identifiers that wait in the node for the transaction that records them: how long, how many, and when they go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chain.state import state_key
from node.phone.kept import KeptIdentifiers
from node.vault.values import VaultValue
from tests.contracts.office import Office, salt_of

FOR_MS = 600_000


class Shelf:
    """What is kept over a real state, by a clock that stands still."""

    def __init__(self) -> None:
        self.office, self.now_ms = Office(), 1_000_000
        self.kept = KeptIdentifiers(self.office.chain_id, self.office.view, lambda: self.now_ms)

    def keep(self, customer: str = "c1", identifier: str = "subscriber-1", salt: str | None = None) -> bytes:
        """The digest under which it was kept."""
        value = VaultValue("customers", customer, "identifier", salt_of(salt or customer), identifier)
        self.kept.keep(value, FOR_MS)
        return value.digest(self.office.chain_id)

    def block(self, *customers: str) -> None:
        executed: Any = SimpleNamespace(writes={state_key("customers", one): b"" for one in customers})
        self.kept.on_block(executed)


def test_an_identifier_is_found_by_its_digest_for_as_long_as_its_attestation_is_taken() -> None:
    shelf = Shelf()
    digest = shelf.keep()
    shelf.now_ms += FOR_MS
    kept = shelf.kept.find(digest)
    assert kept is not None
    assert (kept.record, kept.value) == ("c1", "subscriber-1")
    assert shelf.kept.find(bytes(32)) is None
    shelf.now_ms += 1
    assert shelf.kept.find(digest) is None
    shelf.keep("c2")
    assert len(shelf.kept) == 1  # the old one has gone from memory, too


def test_above_so_many_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.phone.kept.KEPT_MAX", 2)
    shelf = Shelf()
    digests = [shelf.keep(f"c{number}") for number in range(3)]
    assert [shelf.kept.find(digest) is not None for digest in digests] == [False, True, True]


def test_what_a_block_recorded_is_kept_no_longer_and_what_is_still_to_come_is() -> None:
    shelf = Shelf()
    recorded, coming, others = shelf.keep(), shelf.keep(identifier="subscriber-2"), shelf.keep("c2")
    shelf.office.register("c1")
    assert shelf.office.row("customers", "c1")["fields"]["identifier"][0] == recorded
    shelf.block("c1")
    assert [shelf.kept.find(digest) is not None for digest in (recorded, coming, others)] == [False, True, True]


def test_of_a_customer_who_is_erased_nothing_is_kept() -> None:
    shelf = Shelf()
    shelf.office.register("c1")
    digest = shelf.keep(identifier="subscriber-2")
    shelf.office.ok("boss", "erasure.order", table="customers", record="c1", reason="withdrawn")
    shelf.block("c1")
    assert shelf.kept.find(digest) is None
    assert len(shelf.kept) == 0
