"""Customer transactions as an operator's client makes them: signed calls, and the values that they commit to.

The mix: one registration (name, phone) to nine updates of two fields (position, note), each with its values, salts and
digests. A lane is a set of customers that one operator works on; each update states the version it was made from, so
what a lane sends next waits for what it sent before.
"""

from __future__ import annotations

import secrets
from typing import Any

from chain import codec
from chain.crypto import SigningKey
from chain.transaction import NONCE_BYTES, Call, Transaction, sign_transaction
from cli.records import seal_fields
from node.vault.values import VaultValue, encode_values

REGISTER_EVERY = 10
EXPIRY_HEIGHTS = 9_000

Made = tuple[Transaction, list[VaultValue]]


class Lane:
    """`name` begins the ids of its customers; `size` customers are updated in turn."""

    def __init__(self, department: str, key: SigningKey, chain_id: bytes, name: str, size: int) -> None:
        self.department, self.key = department, key
        self._chain_id, self._name = chain_id, name
        self._versions = {f"{name}-{place}": 0 for place in range(size)}
        self._turn = 0
        self._new = 0

    @classmethod
    def over(cls, department: str, key: SigningKey, chain_id: bytes, customers: dict[str, int], name: str) -> Lane:
        """A lane of customers that are there, with their versions; those that it registers begin with `name`."""
        lane = cls(department, key, chain_id, name, 0)
        lane._versions = customers
        return lane

    def undo(self, made: Made) -> None:
        """The node refused it: its customer stays at the version that it had."""
        (call,) = made[0].calls
        if call.name == "customers.update":
            self._versions[call.args["customer"]] -= 1

    def first(self, height: int) -> list[Made]:
        """The registrations of the lane's own customers."""
        self._versions = dict.fromkeys(self._versions, 1)
        return [self._register(customer, height) for customer in self._versions]

    def next(self, count: int, height: int) -> list[Made]:
        """The next `count` transactions, at most one for each customer."""
        return [self._one(height) for _ in range(count)]

    def customer(self) -> str:
        """One that is there, in turn."""
        customers = list(self._versions)
        return customers[self._turn % len(customers)]

    def _one(self, height: int) -> Made:
        self._turn += 1
        if self._turn % REGISTER_EVERY == 0:
            self._new += 1
            return self._register(f"{self._name}-n{self._new}", height)
        customer = self.customer()
        version, self._versions[customer] = self._versions[customer], self._versions[customer] + 1
        fields = {"position": f"采购经理 {self._turn}", "note": f"第 {self._turn} 次回访：对方案满意，下月再联系"}
        return self._sign("customers.update", customer, fields, height, version=version)

    def _register(self, customer: str, height: int) -> Made:
        number = int.from_bytes(secrets.token_bytes(4), "big") % 10**8
        fields = {"name": "王小明", "phone": f"+86138{number:08d}"}
        return self._sign("customers.register", customer, fields, height, attestation=None, temporary=True)

    def _sign(self, call: str, customer: str, fields: dict[str, str], height: int, **more: Any) -> Made:
        digests, values = seal_fields(self._chain_id, "customers", customer, fields)
        calls = [Call(call, {"customer": customer, "fields": digests, **more})]
        nonce = secrets.token_bytes(NONCE_BYTES)
        return sign_transaction(self.key, self._chain_id, nonce, height + EXPIRY_HEIGHTS, calls), values


def body_of(made: list[Made]) -> bytes:
    """The request that submits them, as `application/msgpack`."""
    return codec.encode_flat([[transaction.raw, encode_values(values)] for transaction, values in made])
