"""People who write and read through their own department's node, whatever happens to it.

A writer registers a customer and changes it again and again. A transaction that got no answer is sent again, the very
same, until somebody says what became of it. A reader asks for a customer that was acknowledged before: it must see that
version or a later one, with a value that was written for it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from random import Random
from typing import Any, Final
from zlib import crc32

from chain.errors import KehuError
from chain.transaction import NONCE_BYTES, Call, sign_transaction
from cli.client import Draft, NodeClient
from cli.exits import RemoteRefusal
from cli.records import read_record, seal_fields
from cli.transport import NeverSent
from cli.verify import Committed
from node.vault.values import VaultValue
from tests.chaos.network import Network
from tests.chaos.told import Intent, Outcome, Told

FIELD: Final = "note"
WAIT_S: Final = 6.0
"""How long a client waits for one answer before it asks again."""
PATIENCE_S: Final = 12.0
PAUSE_S: Final = 0.3
LOGIN_PAUSE_S: Final = 0.1
EXPIRY_HEIGHTS: Final = 9_000
"""Far enough ahead that nothing expires while its node is away."""
CHANGES_PER_CUSTOMER: Final = 12
EDITORS: Final = ("administration", "finance", "sales", "technical", "after_sales")
READERS: Final = ("administration", "finance")
"""Who may read every customer by the default policy."""


class Clients:
    """`told` is what they heard. Writers stop when `stop` is set, having settled what they had sent."""

    def __init__(self, network: Network, told: Told, seed: int) -> None:
        self.network, self.told = network, told
        self.stop = asyncio.Event()
        self.give_up = asyncio.Event()
        self.versions: dict[str, int] = {}
        """Customer -> the newest version that was acknowledged."""
        self.written: dict[tuple[str, int], set[str]] = defaultdict(set)
        """(customer, version) -> what was sent to become it."""
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, writers_per_department: int) -> None:
        for department in self.network.departments:
            self._go(self._log_in(department))
            if department in EDITORS:
                for number in range(writers_per_department):
                    self._go(self._write(department, number))
            if department in READERS:
                self._go(self._read(department))

    def _go(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def finish(self, timeout_s: float) -> None:
        """Everybody settles what is under way; what nobody tells in time stays unknown."""
        self.stop.set()
        _done, pending = await asyncio.wait(self._tasks, timeout=timeout_s)
        self.give_up.set()
        for task in pending:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    # Writing

    async def _log_in(self, department: str) -> None:
        """Small transactions without values: these need nobody's vault, only the agreement."""
        while not self.stop.is_set():
            async with self.network.client(department, wait_s=WAIT_S) as client:
                intent = await self._send(client, [Call("access.login", {"purpose": "chaos"})], [])
            if intent is not None and intent.outcome is Outcome.FAILED:
                self.told.wrongs.append(f"a login at {department} failed: {intent.code}")
            await asyncio.sleep(LOGIN_PAUSE_S)

    async def _write(self, department: str, number: int) -> None:
        turn = 0
        while not self.stop.is_set():
            customer = f"c-{department.replace('_', '-')}-{number}-{turn}"
            async with self.network.client(department, wait_s=WAIT_S) as client:
                await self._tend(client, customer)
            turn += 1

    async def _tend(self, client: NodeClient, customer: str) -> None:
        """One customer from its registration through its changes; ends early when an outcome stays unknown."""
        for version in range(1, CHANGES_PER_CUSTOMER + 2):
            text = f"第 {version} 次回访 {customer}"
            call, fields = "customers.update", {FIELD: text}
            more: dict[str, Any] = {"version": version - 1}
            if version == 1:
                call, more = "customers.register", {"attestation": None, "temporary": True}
                fields = {"name": "王小明", "phone": f"+86138{crc32(customer.encode()) % 10**8:08d}", FIELD: text}
            self.written[customer, version].add(text)
            while True:
                digests, values = seal_fields(client.genesis.chain_id, "customers", customer, fields)
                calls = [Call(call, {"customer": customer, "fields": digests, **more})]
                intent = await self._send(client, calls, values)
                if intent is None or intent.outcome is not Outcome.REFUSED or self.stop.is_set():
                    break
                await asyncio.sleep(PAUSE_S)
            if intent is None or intent.outcome is not Outcome.COMMITTED:
                if intent is not None and intent.outcome is Outcome.FAILED:
                    self.told.wrongs.append(f"{call} {customer} version {version} by its only writer: {intent.code}")
                return
            self.versions[customer] = version
            if self.stop.is_set():
                return

    async def _send(self, client: NodeClient, calls: list[Call], values: list[VaultValue]) -> Intent | None:
        """One transaction until its end is known. None: told to stop before it was signed."""
        while (height := await self._height(client)) is None:
            if self.stop.is_set():
                return None
            await asyncio.sleep(PAUSE_S)
        expires = height + EXPIRY_HEIGHTS
        nonce = secrets.token_bytes(NONCE_BYTES)
        transaction = sign_transaction(client.key, client.genesis.chain_id, nonce, expires, calls)
        intent = self.told.intend(transaction, client.department, time.monotonic())
        while intent.outcome is Outcome.UNKNOWN and not self.give_up.is_set():
            await self._try(client, Draft(transaction, tuple(values)), intent)
        return intent

    async def _height(self, client: NodeClient) -> int | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return int((await client.status())["height"])
        except (KehuError, TimeoutError):
            return None

    async def _try(self, client: NodeClient, draft: Draft, intent: Intent) -> None:
        intent.tries += 1
        said: Committed | BaseException
        try:
            async with asyncio.timeout(PATIENCE_S):
                (said,) = await client.submit([draft])
        except NeverSent as error:
            said = error
        except (KehuError, TimeoutError) as error:
            said = error
            intent.was_uncertain |= not isinstance(error, RemoteRefusal)
        now_s = time.monotonic()
        if isinstance(said, Committed):
            outcome = Outcome.COMMITTED if said.receipt.is_ok else Outcome.FAILED
            self.told.settle(intent, outcome, now_s, said.receipt.code, said.height)
            return
        if isinstance(said, RemoteRefusal) and not intent.was_uncertain:
            self.told.settle(intent, Outcome.REFUSED, now_s, said.code)
            return
        # Whatever is no certain no may have gone through: the same transaction again.
        intent.was_uncertain |= not isinstance(said, (NeverSent, RemoteRefusal))
        await asyncio.sleep(PAUSE_S)

    # Reading

    async def _read(self, department: str) -> None:
        chance = Random(f"{self._seed}-{department}")
        while not self.stop.is_set():
            await asyncio.sleep(PAUSE_S)
            if self.versions:
                await self.read(department, chance.choice(sorted(self.versions)))

    async def read(self, department: str, customer: str) -> str:
        """One read on the record and what came of it: "shown", "missing", "refused" or "no answer"."""
        known = self.versions[customer]
        try:
            async with asyncio.timeout(PATIENCE_S), self.network.client(department, wait_s=WAIT_S) as client:
                _, shown = await read_record(client, "customers", customer, [FIELD], "chaos")
        except (KehuError, TimeoutError) as error:
            kind = f"no answer ({error.code})" if isinstance(error, KehuError) else "no answer"
            self.told.reads[kind] += 1
            return kind
        found = shown.fields[FIELD]
        self.told.reads[found.state] += 1
        if shown.version < known:
            self.told.wrongs.append(
                f"{department} read version {shown.version} of {customer}, {known} was acknowledged"
            )
        # The field's own version, as a later change of others would leave it.
        if found.state == "shown" and found.value not in self.written[customer, shown.version]:
            self.told.wrongs.append(f"{department} read of {customer} version {shown.version} what was not written")
        return found.state
