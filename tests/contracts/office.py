"""A network without consensus: a real ledger, real contracts, real signatures; blocks are made at once.

`Office` stands for the whole organisation. `send` signs a transaction with somebody's key, admits it through a
department's node, executes it in a block of its own and gives its receipt.
"""

from __future__ import annotations

import hashlib
from typing import Any

from chain.attestation import DATED, FOUND, Attestation, Outcome, sign_attestation
from chain.batch import sign_batch
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.protocol import NEWEST
from chain.receipt import Receipt
from chain.records import field_digest
from chain.state import View
from chain.transaction import Call, Transaction, sign_transaction
from contracts.deciding.permissions import Decision, Resource, may
from contracts.deciding.policy import DEPARTMENTS
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload, subject_of_person
from contracts.registry import contract_table

TIME_MS = 1_700_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
PEOPLE = {
    "boss": ("administration", "administrator"),
    "clerk": ("administration", "operator"),
    "li": ("sales", "operator"),
    "wang": ("sales", "operator"),
    "qian": ("finance", "operator"),
    "zhao": ("process", "operator"),
    "sun": ("technical", "operator"),
    "wu": ("after_sales", "operator"),
    "rui": ("finance", "auditor"),
}


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def hex_of(name: str) -> str:
    return key_of(name).public.hex()


def salt_of(text: str) -> bytes:
    return hashlib.sha256(b"salt " + text.encode()).digest()


def genesis_value(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "network": "客户网络",
        "time_ms": TIME_MS,
        "departments": [
            {"id": name, "name": f"部门 {name}", "key": hex_of(f"node {name}"), "address": f"127.0.0.1:{port}"}
            for port, name in enumerate(DEPARTMENTS, 7000)
        ],
        "people": [
            {"id": name, "department": department, "role": role, "key": hex_of(name)}
            for name, (department, role) in PEOPLE.items()
        ],
        "gateways": [
            {"id": "g1", "department": "administration", "key": hex_of("gateway g1")},
            {"id": "g2", "department": "sales", "key": hex_of("gateway g2")},
        ],
        "policy": {},
        "limits": {},
        "protocol": NEWEST,
        **changes,
    }


class Office:
    def __init__(self, **changes: Any) -> None:
        self.genesis = Genesis.from_value(genesis_value(**changes))
        self.chain_id = self.genesis.chain_id
        self.ledger, _ = Ledger.at_genesis(self.genesis, contract_table())
        self.time_ms = TIME_MS
        self._nonce = 0

    # Blocks

    def send(self, sender: str, *calls: Call, via: str | None = None) -> Receipt:
        """The receipt of one transaction in a block of its own, one second after the last."""
        self.time_ms += 1_000
        self._nonce += 1
        key = key_of(sender)
        transaction = sign_transaction(
            key, self.chain_id, self._nonce.to_bytes(16, "big"), self.ledger.height + 10, list(calls)
        )
        return self.append(transaction, via or self._department(sender))

    def append(self, transaction: Transaction, department: str) -> Receipt:
        """Its receipt in a block of its own, in a batch of the department."""
        batch = sign_batch(self.node_key(department), self.chain_id, department, [transaction])
        executed = self.ledger.build("sales", self.time_ms, [batch])
        height = executed.block.header.height
        members = self.ledger.validators(height)
        batch.verify(members, self.chain_id)
        votes = [
            sign_vote(self.node_key(name), self.chain_id, "commit", members.epoch, height, 0, executed.block.id, name)
            for name in members.departments[: members.quorum]
        ]
        Certificate.of(votes).verify(members, self.chain_id)
        self.ledger.advance(executed, Certificate.of(votes))
        return executed.receipts[0]

    def node_key(self, department: str) -> SigningKey:
        """The department's at the next height; one that came later is made like the first, under another name."""
        key = self.ledger.validators(self.ledger.height + 1).key_of(department)
        names = (f"node {department}", f"node {department} 2", f"node {department} 3")
        return next((key_of(name) for name in names if key_of(name).public == key), key_of(names[0]))

    def _department(self, sender: str) -> str:
        row = self.view().get("keys", hex_of(sender))
        return "sales" if row is None else str(row["department"])

    def call(self, sender: str, name: str, /, via: str | None = None, **args: Any) -> Receipt:
        return self.send(sender, Call(name, args), via=via)

    def ok(self, sender: str, name: str, /, **args: Any) -> Any:
        """The result of a call that must succeed."""
        receipt = self.call(sender, name, **args)
        assert receipt.is_ok, receipt
        return receipt.results[0]

    def code(self, sender: str, name: str, /, via: str | None = None, **args: Any) -> str:
        """The code of a call that is expected to fail; a failed transaction must leave the state as it was."""
        root = self.ledger.state.root
        receipt = self.call(sender, name, via=via, **args)
        assert receipt.is_ok or self.ledger.state.root == root
        return receipt.code

    def code_of(self, transaction: Transaction, via: str) -> str:
        """Of its receipt, or that of the refusal of a block with nothing else in it."""
        try:
            return self.append(transaction, via).code
        except KehuError as error:
            return error.code

    def view(self) -> View:
        return View(self.ledger.state.get)

    def row(self, table: str, key: str) -> dict[str, Any]:
        value = self.view().get(table, key)
        assert value is not None, f"{table}/{key}"
        return value

    def may(self, person: str, action: str, record: str | None, field: str | None, **more: Any) -> Decision:
        resource = Resource(more.pop("table", "customers"), record, field, more.pop("purpose", None))
        view = self.view()
        return may(view, subject_of_person(view, person), action, resource, more.pop("time_ms", self.time_ms))

    # Values

    def digest(self, record: str, field: str, value: str, table: str = "customers") -> bytes:
        return field_digest(self.chain_id, table, record, field, salt_of(f"{record} {field} {value}"), value)

    def identifier(self, customer: str, identifier: str) -> bytes:
        """Under one salt per customer: a second answer about the same subscriber has the same digest."""
        return field_digest(self.chain_id, "customers", customer, "identifier", salt_of(customer), identifier)

    def fields(self, customer: str, **values: str) -> dict[str, bytes]:
        return {field: self.digest(customer, field, value) for field, value in values.items()}

    def attest(
        self,
        customer: str,
        phone: str = "+8613800000001",
        identifier: str | None = "subscriber-1",
        outcome: Outcome = FOUND,
        gateway: str = "g1",
        signer: str | None = None,
        age_ms: int = 0,
        since_day: int | None = None,
    ) -> Attestation:
        """What the gateway hears just before the next block; dated outcomes are about today if nothing else is said."""
        time_ms = self.time_ms + 1_000 - age_ms
        if outcome in DATED and since_day is None:
            since_day = time_ms // DAY_MS
        return sign_attestation(
            key_of(signer or f"gateway {gateway}"),
            self.chain_id,
            customer=customer,
            phone_digest=self.digest(customer, "phone", phone),
            outcome=outcome,
            identifier_digest=self.identifier(customer, identifier or "") if outcome == FOUND else None,
            carrier="carrier-1",
            time_ms=time_ms,
            since_day=since_day,
            gateway=gateway,
            nonce=self._nonce.to_bytes(16, "big"),
        )

    def register(self, customer: str = "c1", by: str = "li", phone: str = "+8613800000001", **values: str) -> Any:
        """A valid customer."""
        fields = self.fields(customer, name="张三", phone=phone, **values)
        attestation = self.attest(customer, phone).to_value()
        return self.ok(
            by, "customers.register", customer=customer, fields=fields, attestation=attestation, temporary=False
        )

    def possession(self, id_: str, new_key: str) -> dict[str, Any]:
        """The arguments `key` and `possession` for the key of this name."""
        payload = possession_payload(id_, hex_of(new_key))
        return {
            "key": hex_of(new_key),
            "possession": key_of(new_key).sign(POSSESSION_PURPOSE, self.chain_id, payload),
        }

    def grant(self, grant: str, subject: str, **changes: Any) -> Any:
        args = {
            "actions": ["read"],
            "table": "customers",
            "scope": "record:c1",
            "fields": ["*"],
            "purpose": "*",
            "expires_ms": None,
        } | changes
        return self.ok("boss", "permissions.grant", grant=grant, subject=subject, **args)
