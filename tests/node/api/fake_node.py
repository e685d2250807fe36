"""A node without consensus or peers behind the real API: real ledger, contracts, receipts and waiting.

`FakeNode.commit` puts what was admitted into a block. What a real node takes from its vault or carrier comes from
plain dictionaries here; whose values they are is still checked, since the API's tests are about who gets what.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chain.attestation import FOUND, phone_digest_of, sign_attestation
from chain.batch import sign_batch
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.errors import CATALOGUE, KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.state import View
from chain.store import MemoryStore
from chain.transaction import Call, Transaction, sign_transaction
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload, subject_of_person
from contracts.registry import contract_table
from node.intake.admission import Admission
from node.intake.mempool import MEMPOOL_FULL
from node.intake.pressure import MEMPOOL_BUSY
from node.intake.waiting import Committed, Waiting, find_committed
from node.members.protocol import describe
from node.phone.due import DuePage, find_due
from node.phone.duplicates import DuplicateDesk
from node.preview import Preview, preview_calls
from node.search.desk import Found, SearchDesk
from node.search.index import RecordIndex
from node.search.query import Query
from node.vault.disclosure import ACCESS_NOT_COMMITTED, disclose
from node.vault.values import VaultValue

TIME_MS = 1_700_000_000_000
DEPARTMENTS = ("administration", "finance", "process", "sales")
PEOPLE = {
    "boss": ("administration", "administrator"),
    "li": ("sales", "operator"),
    "wang": ("sales", "operator"),
    "rui": ("sales", "auditor"),
    "qian": ("finance", "operator"),
}


class Shelf:
    """The one question that disclosure asks of a vault."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str, bytes], VaultValue] = {}

    def put(self, chain_id: bytes, value: VaultValue) -> None:
        self.values[value.table, value.record, value.field, value.digest(chain_id)] = value

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        return self.values.get((table, record, field, digest))


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def make_genesis(network: str = "试验") -> Genesis:
    return Genesis.from_value(
        {
            "version": 1,
            "network": network,
            "time_ms": TIME_MS - 1_000,
            "departments": [
                {"id": name, "name": name, "key": key_of(f"node {name}").public.hex(), "address": f"{name}:1"}
                for name in DEPARTMENTS
            ],
            "people": [
                {"id": name, "department": department, "role": role, "key": key_of(name).public.hex()}
                for name, (department, role) in PEOPLE.items()
            ],
            "gateways": [{"id": "g1", "department": "sales", "key": key_of("gateway").public.hex()}],
            "policy": {},
            "limits": {"expiry_heights_max": 100},
        }
    )


@dataclass
class Clock:
    """Unix time in ms; stands still until a test moves it."""

    now_ms: int = TIME_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True)
class Heard:
    attestation: Any
    reason: str | None = None


@dataclass
class FakeNode:
    """One department's node. `pending` holds what was admitted, `values` what came with it."""

    clock: Clock = field(default_factory=Clock)
    department: str = "sales"
    network: str = "试验"
    is_ready: bool = True
    is_full: bool = False
    is_busy: bool = False
    commits_at_once: bool = False
    fault: Exception | None = None

    def __post_init__(self) -> None:
        self.genesis = make_genesis(self.network)
        self.ledger, self.blocks = Ledger.open(self.genesis, contract_table(), MemoryStore())
        self.pending: dict[bytes, Transaction] = {}
        self.values: list[VaultValue] = []
        self.shelf = Shelf()
        self.asked: list[str] = []
        self.failures: list[Exception] = []
        self.waiting = Waiting(self.blocks)
        self.admitted = asyncio.Event()
        self.subscribed = asyncio.Event()
        self._nonce = 0

    def now_ms(self) -> int:
        return self.clock()

    def status(self) -> Mapping[str, Any]:
        return {"peers": 3}

    def why(self, *, is_operator: bool) -> Mapping[str, Any]:
        return {"headline": "Network progresses", "findings": [], "facts": {"is_operator": is_operator}}

    def protocol(self) -> Mapping[str, Any]:
        return describe(self.ledger, self.department, {self.department: (1, 2)})

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    def require_room(self) -> None:
        if self.is_busy:
            raise KehuError(MEMPOOL_BUSY, waiting=300, expected_ms=9_000, limit_ms=5_000, retry_after_ms=6_500)

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        if self.fault is not None:
            raise self.fault
        answers = [self._admit(envelope) for envelope in envelopes]
        self.values += values
        self.admitted.set()
        if self.commits_at_once:
            self.commit()
        return answers

    def _admit(self, envelope: bytes) -> Admission:
        try:
            transaction = Transaction.from_bytes(envelope)
        except KehuError as error:
            return Admission(None, error)
        try:
            transaction.verify(self.genesis.chain_id)
            if self.is_full:
                raise KehuError(MEMPOOL_FULL, held=1, limit=1)
        except KehuError as error:
            return Admission(transaction.id, error)
        if self.blocks.find(transaction.id) is None:
            self.pending[transaction.id] = transaction
        return Admission(transaction.id)

    async def wait_all(self, transaction_ids: Sequence[bytes], timeout_s: float) -> Mapping[bytes, Committed]:
        return await self.waiting.wait_all(transaction_ids, timeout_s)

    def find(self, transaction_id: bytes) -> Committed | Literal["pending", "unknown"]:
        found = find_committed(self.blocks, transaction_id)
        return found if found is not None else "pending" if transaction_id in self.pending else "unknown"

    async def disclose(self, transaction_id: bytes, key: bytes) -> Sequence[VaultValue]:
        found = find_committed(self.blocks, transaction_id)
        if found is None:
            raise KehuError(ACCESS_NOT_COMMITTED, transaction=transaction_id)
        block = self.blocks.block(found.height)
        _, transaction = block.transactions()[found.index]
        vault: Any = self.shelf
        view = View(self.ledger.state.get)
        return disclose(vault, view, transaction, found.receipt, block.header.time_ms, key, self.now_ms())

    async def search(self, key: bytes, person: str, number: int, salt: bytes, query: Query) -> Found:
        desk = SearchDesk(self.ledger, await self._index(), self._commit_own, self.now_ms)
        return await desk.answer(key, person, number, salt, query)

    async def preview(self, key: bytes, calls: Sequence[Call]) -> Preview:
        return await preview_calls(self.ledger, await self._index(), key, self.department, calls, self.now_ms())

    async def _index(self) -> RecordIndex:
        index = RecordIndex(self.ledger, self.shelf)
        await index.walk()
        return index

    async def _commit_own(self, calls: list[Call]) -> Committed:
        transaction = self.transaction(f"node {self.department}", *calls)
        batch = sign_batch(key_of(f"node {self.department}"), self.genesis.chain_id, self.department, [transaction])
        (receipt,) = self._append([batch])
        if not receipt.is_ok:
            raise KehuError(CATALOGUE[receipt.code], **receipt.details)
        return Committed(self.ledger.height, 0, receipt)

    async def attest_phone(self, key: bytes, customer: str, phone: str, phone_salt: bytes) -> Heard:
        self.asked.append(customer)
        attestation = sign_attestation(
            key_of("gateway"),
            self.genesis.chain_id,
            customer=customer,
            phone_digest=phone_digest_of(self.genesis.chain_id, customer, phone_salt, phone),
            outcome=FOUND,
            identifier_digest=phone_digest_of(self.genesis.chain_id, customer, bytes(32), "id-1"),
            carrier="simulator",
            time_ms=self.now_ms(),
            gateway="g1",
            nonce=bytes(16),
        )
        return Heard(attestation.to_value())

    async def due_phones(self, key: bytes, after: int, limit: int) -> DuePage:
        row = View(self.ledger.state.get).get("keys", key.hex())
        assert row is not None
        subject = subject_of_person(View(self.ledger.state.get), row["id"])
        view = lambda: View(self.ledger.state.get)  # noqa: E731
        return await find_due(view, self.department, subject, self.clock(), after, limit)

    async def check_phone(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        self.asked.append(customer)
        return {"customer": customer, "status": "valid", "was_asked": max_age_ms is None}

    async def vault_report(self, after: str | None, limit: int) -> Mapping[str, Any]:
        counts = {"live": 2, "missing": 1, "surplus": 0}
        row = {"table": "customers", "record": "c1", "field": "name", "version": 1}
        missing = [{**row, "entitled": ["finance"], "held_by": ["finance"], "silent": []}] if after is None else []
        totals = {"live_values": 2, "staged_transactions": 0, "staged_values": 0, "erased_records": 0}
        return {
            "department": self.department,
            "height": self.ledger.height,
            "is_examined": True,
            "tables": {"customers": counts},
            **totals,
            "missing": missing[:limit],
            "next": None,
        }

    async def find_duplicates(self, person: str, phones: Sequence[str], purpose: str) -> list[list[str]]:
        async def look_up(numbers: Sequence[str]) -> list[list[str]]:
            held = [value for value in self.shelf.values.values() if value.field == "phone"]
            return [[value.record for value in held if value.value == number] for number in numbers]

        async def commit_own(calls: list[Call]) -> Committed:
            transaction = self.transaction(f"node {self.department}", *calls)
            self.pending[transaction.id] = transaction
            self.commit()
            found = self.find(transaction.id)
            assert not isinstance(found, str)
            return found

        desk = DuplicateDesk(lambda: View(self.ledger.state.get), look_up, commit_own, self.clock)
        return await desk.find(person, phones, purpose)

    async def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        self.subscribed.set()
        async for event in self.waiting.subscribe():
            yield event

    # What the tests do to it

    def transaction(self, sender: str, *calls: Call) -> Transaction:
        """A new signed transaction; by default a login."""
        self._nonce += 1
        chosen = list(calls) or [Call("access.login", {})]
        nonce = self._nonce.to_bytes(16, "big")
        return sign_transaction(key_of(sender), self.genesis.chain_id, nonce, self.ledger.height + 50, chosen)

    def commit(self) -> None:
        """One block with all that is pending."""
        department, chain_id = self.department, self.genesis.chain_id
        batch = sign_batch(key_of(f"node {department}"), chain_id, department, list(self.pending.values()))
        self._append([batch])
        self.pending.clear()

    def enact(self, sender: str, *calls: Call) -> bytes:
        """A block in which `sender` does something at the own department's node, and succeeds; the id."""
        department, transaction = PEOPLE[sender][0], self.transaction(sender, *calls)
        batch = sign_batch(key_of(f"node {department}"), self.genesis.chain_id, department, [transaction])
        receipts = self._append([batch])
        assert receipts[0].is_ok, receipts[0]
        return transaction.id

    def register(self, sender: str, customer: str, **values: str) -> None:
        """A temporary customer whose values lie on this node's shelf."""
        fields = {}
        for field_name, text in values.items():
            value = VaultValue("customers", customer, field_name, hashlib.sha256(text.encode()).digest(), text)
            self.shelf.put(self.genesis.chain_id, value)
            fields[field_name] = value.digest(self.genesis.chain_id)
        arguments = {"customer": customer, "fields": fields, "attestation": None, "temporary": True}
        self.enact(sender, Call("customers.register", arguments))

    def _append(self, batches: list[Any]) -> Any:
        executed = self.ledger.build("sales", self.now_ms(), batches)
        header = executed.block.header
        members = self.genesis.validators.departments[: self.genesis.validators.quorum]
        certificate = Certificate.of(
            sign_vote(key_of(f"node {name}"), header.chain_id, "commit", 0, header.height, 0, executed.block.id, name)
            for name in members
        )
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)
        self.waiting.block_appended(executed)
        return executed.receipts

    def enrolment(self, person: str, department: str = "sales", role: str = "operator") -> Call:
        key = key_of(person)
        possession = key.sign(POSSESSION_PURPOSE, self.genesis.chain_id, possession_payload(person, key.public.hex()))
        return Call(
            "people.enrol",
            {
                "person": person,
                "department": department,
                "role": role,
                "key": key.public.hex(),
                "possession": possession,
                "fields": {},
            },
        )
