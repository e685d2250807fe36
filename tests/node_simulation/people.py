"""The people of the departments: they write, read, grant and erase, and ask again until they know what became of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from chain.errors import KehuError
from chain.records import field_digest
from chain.transaction import NONCE_BYTES, Call, Transaction, sign_transaction
from node.intake.waiting import Committed
from node.vault.disclosure import allowed_values
from node.vault.values import VaultValue
from tests.node.cluster import PEOPLE, key_of
from tests.node_simulation.checkers import ViolationError
from tests.node_simulation.machine import UnreachableError

if TYPE_CHECKING:
    from tests.node_simulation.world import World

NAMES = ("欧阳娜娜与她的朋友", "司马相如的远房亲戚", "诸葛亮的书童小明", "上官婉儿的女史官")
EXPIRES_AFTER = 500
AGAIN = {
    "vault.not_enough_holders", "vault.staged_full", "mempool.full", "mempool.sender_limit",
    "storage.io", "storage.refused", "node.not_level", "peer.timeout", "peer.disconnected", "vault.missing",
    "access.not_committed",
}  # fmt: skip
"""What a client answers by asking again, with the same transaction."""
FINAL = {"transaction.expired", "record.erased", "vault.superseded", "record.unknown", "access.too_old"}
"""What refuses a request for good."""


class People:
    """`is_done` once every operation has ended: known to be committed, or refused for good."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, Random(f"people {world.seed}")
        self.departments = world.plan.departments
        self.staff = {name: place for name, (place, _) in PEOPLE.items() if place in self.departments}
        self.customers: dict[str, int] = {}
        """Registered customers, and the version last seen."""
        self.grants: list[str] = []
        self.numbers = 0
        self.running = 0

    @property
    def is_done(self) -> bool:
        return self.running == 0

    def begin(self) -> None:
        for _ in range(self.world.plan.operations):
            self.running += 1
            self.world.later(self.rng.uniform(0.0, self.world.plan.chaos_s), self._spawn)

    def _spawn(self) -> None:
        self.world.spawn(self._operate())

    async def _operate(self) -> None:
        kinds = (self.register, self.rename, self.read, self.grant, self.assign, self.revoke, self.erase, self.log_in)
        weights = (6, 3, 5, 3, 3, 3, 1, 1)
        operation = self.rng.choices(kinds, weights)[0] if self.customers else self.register
        try:
            await operation()
            self.world.count(operation.__name__)
        finally:
            self.running -= 1

    # What they do

    async def register(self) -> None:
        customer = f"c{self._number()}"
        values = self._values(customer, "name", "phone")
        args = {"customer": customer, "fields": self._digests(values), "attestation": None, "temporary": True}
        if await self._settle("li", Call("customers.register", args), values=values, is_sure=True):
            self.customers[customer] = 1

    async def rename(self) -> None:
        customer = self._customer()
        values = self._values(customer, "name")
        version = self.customers[customer]
        args = {"customer": customer, "version": version, "fields": self._digests(values)}
        done = await self._settle(self.rng.choice(("li", "wang")), Call("customers.update", args), values=values)
        if done is not None and done[1].receipt.is_ok:
            self.customers[customer] = version + 1

    async def read(self) -> None:
        person = self.rng.choice(sorted(set(self.staff) - {"boss"}))
        args = {"table": "customers", "record": self._customer(), "fields": ["name", "phone"], "purpose": "sale"}
        done = await self._settle(person, Call("access.read", args))
        if done is None or not done[1].receipt.is_ok:
            return
        transaction, committed = done
        allowed = set(allowed_values(transaction, committed.receipt))
        if allowed:
            shown = await self._show(self.staff[person], transaction)
            self.world.checker.on_disclosed(allowed, shown, self.world.genesis.chain_id)
            self.world.counts["values_shown"] += len(shown)

    async def _show(self, department: str, transaction: Transaction) -> list[VaultValue]:
        machine = self.world.machines[department]
        while True:
            try:
                return list(await machine.ask(lambda node: node.disclose(transaction.id, transaction.key), 20.0))
            except UnreachableError:
                pass
            except KehuError as error:
                if self._is_final(error):
                    return []
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))

    async def grant(self) -> None:
        grant = f"g{self._number()}"
        scope = self.rng.choice(("all", *(f"record:{self._customer()}" for _ in range(3))))
        subject = self.rng.choice(("department:after_sales", "person:wu"))
        args = {"grant": grant, "subject": subject, "actions": ["read"], "table": "customers", "scope": scope,
                "fields": ["*"], "purpose": "*", "expires_ms": None}  # fmt: skip
        if await self._settle("boss", Call("permissions.grant", args)):
            self.grants.append(grant)

    async def revoke(self) -> None:
        if self.grants:
            grant = self.grants.pop(self.rng.randrange(len(self.grants)))
            await self._settle("boss", Call("permissions.revoke", {"grant": grant}))

    async def assign(self) -> None:
        subject = self.rng.choice(("person:wu", "department:after_sales", "person:qian"))
        args = {"table": "customers", "record": self._customer(), "subject": subject}
        if await self._settle("boss", Call("permissions.assign", args)) and self.rng.random() < 0.5:
            await self._settle("boss", Call("permissions.unassign", args))

    async def erase(self) -> None:
        args = {"table": "customers", "record": self._customer(), "reason": "withdrawn"}
        await self._settle("boss", Call("erasure.order", args))

    async def log_in(self) -> None:
        await self._settle(self.rng.choice(sorted(self.staff)), Call("access.login", {}), is_sure=True)

    # How

    async def _settle(
        self, person: str, call: Call, *, values: list[VaultValue] | None = None, is_sure: bool = False
    ) -> tuple[Transaction, Committed] | None:
        """Sends until it is committed, or refused for good. `is_sure`: nothing can refuse it."""
        world, machine = self.world, self.world.machines[self.staff[person]]
        nonce, expires = self.rng.randbytes(NONCE_BYTES), world.checker.height + EXPIRES_AFTER
        transaction = sign_transaction(key_of(person), world.genesis.chain_id, nonce, expires, [call])
        while True:
            try:
                (admission,) = await machine.ask(lambda node: node.submit([transaction.raw], values or []), 20.0)
                if admission.error is not None:
                    raise admission.error
                committed = await machine.ask(lambda node: node.wait_committed(transaction.id, 5.0), 8.0)
                if committed is not None:
                    world.checker.on_committed(transaction.id, committed)
                    if is_sure and not committed.receipt.is_ok:
                        raise ViolationError(f"{call.name} of {person} failed: {committed.receipt.code}")
                    world.counts["committed" if committed.receipt.is_ok else "committed_failed"] += 1
                    return transaction, committed
            except UnreachableError:
                world.count("unknown_outcome")
            except KehuError as error:
                if self._is_final(error):
                    return None
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))

    def _is_final(self, error: KehuError) -> bool:
        self.world.count(f"refused {error.code}")
        if error.code not in AGAIN | FINAL:
            raise error
        return error.code in FINAL

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _customer(self) -> str:
        return self.rng.choice(list(self.customers))

    def _values(self, customer: str, *fields: str) -> list[VaultValue]:
        made = []
        for field in fields:
            number = self._number()
            text = f"+861380000{number:04}" if field == "phone" else f"{self.rng.choice(NAMES)}{number}"
            value = VaultValue("customers", customer, field, self.rng.randbytes(32), text)
            made.append(value)
            self.world.checker.values[value.id, value.digest(self.world.genesis.chain_id)] = value
        return made

    def _digests(self, values: list[VaultValue]) -> dict[str, bytes]:
        chain_id = self.world.genesis.chain_id
        return {
            one.field: field_digest(chain_id, one.table, one.record, one.field, one.salt, one.value) for one in values
        }
