"""A whole network in one thread: real APIs over real HTTP, one real ledger with the real contracts, a real carrier
simulator behind a real gateway. What it lacks is consensus and vaults of their own: each submission is a block, and
values lie in one dictionary. `Trouble` says what goes wrong.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

from chain.batch import sign_batch
from chain.certificate import Certificate, sign_vote
from chain.errors import KehuError
from chain.execution import TRANSACTION_ELSEWHERE
from chain.ledger import Ledger
from chain.state import View
from chain.store import MemoryStore
from chain.transaction import Call, Transaction, sign_transaction
from cli.founding import gateway_id
from cli.profile import Profile
from contracts.deciding.subjects import subject_of_person
from contracts.registry import contract_table
from node.api.app import make_app
from node.api.limits import ApiLimits
from node.api.server import ApiServer, serve
from node.carrier.gateway import Gateway
from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.numbers import parse_number
from node.carrier.platform import PlatformTable
from node.carrier.simulator import SimulatorConfig, make_simulator, serving
from node.folder.config import Home
from node.intake.admission import Admission
from node.intake.pressure import MEMPOOL_BUSY
from node.intake.waiting import Committed, Waiting, find_committed
from node.keys.files import load_key
from node.phone.desk import PhoneAnswer
from node.phone.due import DuePage, find_due
from node.phone.duplicates import DuplicateDesk
from node.phone.question import Questions
from node.preview import preview_calls
from node.search.desk import SearchDesk
from node.search.index import RecordIndex
from node.search.query import Query
from node.storage.durable import STORAGE_IO, StorageFailure
from node.vault.disclosure import disclose
from node.vault.duty import Duties
from node.vault.values import VaultValue


@dataclass
class Trouble:
    """is_stalled: nothing is committed. is_lying: values come out altered. is_forgetful: values don't come out.
    is_deaf: the answer to a submission gets lost after the commit. times_busy: so often clients are told to wait.
    times_failing: so often the disk is said to have failed once the commit is made, at the answer or a look-up."""

    is_stalled: bool = False
    is_lying: bool = False
    is_forgetful: bool = False
    is_deaf: bool = False
    times_busy: int = 0
    times_failing: int = 0


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Chain:
    """The one ledger; `commit` makes a block that a quorum certifies."""

    def __init__(self, profile: Profile) -> None:
        self.genesis = profile.genesis
        self.keys, self.gateway_keys = {}, {}
        for department in profile.nodes:
            home = Home(profile.node_home(department))
            passphrase = (home.path / "secrets" / "passphrase").read_text().strip()
            self.keys[department] = load_key(home.node_key, passphrase)
            self.gateway_keys[department] = load_key(home.gateway_key, passphrase)
        self.ledger, self.blocks = Ledger.open(self.genesis, contract_table(), MemoryStore())
        self.waiting = Waiting(self.blocks)
        self.values: dict[bytes, VaultValue] = {}
        self.trouble = Trouble()
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """The network's time: this machine's, and as much ahead of it as a test says."""
        return wall_ms() + self.ahead_ms

    def commit(self, department: str, transactions: list[Transaction]) -> None:
        batch = sign_batch(self.keys[department], self.genesis.chain_id, department, transactions)
        executed = self.ledger.build(department, self.now_ms(), [batch])
        header, id_ = executed.block.header, executed.block.id
        signers = self.genesis.validators.departments[: self.genesis.validators.quorum]
        certificate = Certificate.of(
            sign_vote(self.keys[name], header.chain_id, "commit", 0, header.height, 0, id_, name) for name in signers
        )
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)
        self.waiting.block_appended(executed)


class _Values:
    """The dictionary as the index asks a vault."""

    def __init__(self, values: dict[bytes, VaultValue]) -> None:
        self._values = values

    def get(self, _table: str, _record: str, _field: str, digest: bytes) -> VaultValue | None:
        return self._values.get(digest)


class OfficeNode:
    """One department's `NodeFacade`."""

    def __init__(self, chain: Chain, department: str, gateway: Gateway) -> None:
        self.department = department
        self.is_ready = True
        self._chain = chain
        self._gateway = gateway
        self._pending: dict[bytes, Transaction] = {}

    @property
    def genesis(self) -> Any:
        return self._chain.genesis

    @property
    def ledger(self) -> Any:
        return self._chain.ledger

    @property
    def blocks(self) -> Any:
        return self._chain.blocks

    def now_ms(self) -> int:
        return self._chain.now_ms()

    def status(self) -> Mapping[str, Any]:
        return {"peers": 5, "is_ready": self.is_ready}

    def fail(self, error: Exception) -> None:
        if not isinstance(error, StorageFailure):
            raise error

    def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        return self._chain.waiting.subscribe()

    def require_room(self) -> None:
        if self._chain.trouble.times_busy:
            self._chain.trouble.times_busy -= 1
            raise KehuError(MEMPOOL_BUSY, retry_after_ms=10)

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> list[Admission]:
        transactions = [Transaction.from_bytes(envelope) for envelope in envelopes]
        plans = await Duties(self.department, self._chain.ledger, self.now_ms).plan(transactions, self.department)
        answers = list(map(self._admit, transactions, plans))
        for value in values:
            self._chain.values[value.digest(self.genesis.chain_id)] = value
        if not self._chain.trouble.is_stalled and self._pending:
            self._chain.commit(self.department, list(self._pending.values()))
            self._pending.clear()
        if self._chain.trouble.is_deaf:
            raise RuntimeError("the answer gets lost")
        self._fail_if_told()
        return answers

    def _fail_if_told(self) -> None:
        if self._chain.trouble.times_failing:
            self._chain.trouble.times_failing -= 1
            raise StorageFailure(STORAGE_IO, operation="write")

    def _admit(self, transaction: Transaction, plan: object) -> Admission:
        try:
            transaction.verify(self.genesis.chain_id)
            if self._chain.ledger.elsewhere()(transaction, self.department):
                raise KehuError(TRANSACTION_ELSEWHERE, department=self.department)
            if isinstance(plan, KehuError):
                raise plan
        except KehuError as error:
            return Admission(transaction.id, error)
        if self.blocks.find(transaction.id) is None:
            self._pending[transaction.id] = transaction
        return Admission(transaction.id)

    async def wait_all(self, transaction_ids: Sequence[bytes], timeout_s: float) -> Mapping[bytes, Committed]:
        return await self._chain.waiting.wait_all(transaction_ids, timeout_s)

    def find(self, transaction_id: bytes) -> Committed | Literal["pending", "unknown"]:
        self._fail_if_told()
        found = find_committed(self.blocks, transaction_id)
        return found if found is not None else "pending" if transaction_id in self._pending else "unknown"

    async def disclose(self, transaction_id: bytes, key: bytes) -> list[VaultValue]:
        found = find_committed(self.blocks, transaction_id)
        assert found is not None
        block = self.blocks.block(found.height)
        _, transaction = block.transactions()[found.index]
        vault: Any = _Values(self._chain.values)
        view, time_ms = View(self.ledger.state.get), block.header.time_ms
        values = disclose(vault, view, transaction, found.receipt, time_ms, key, self.now_ms())
        if self._chain.trouble.is_forgetful:
            return values[1:]
        if self._chain.trouble.is_lying:
            return [VaultValue(*one.id, one.salt, f"{one.value}?") for one in values]
        return values

    async def search(self, key: bytes, person: str, number: int, salt: bytes, query: Query) -> Any:
        desk = SearchDesk(self.ledger, await self._index(), self._commit_own, self.now_ms)
        return await desk.answer(key, person, number, salt, query)

    async def preview(self, key: bytes, calls: Sequence[Call]) -> Any:
        return await preview_calls(self.ledger, await self._index(), key, self.department, calls, self.now_ms())

    async def _index(self) -> RecordIndex:
        index = RecordIndex(self.ledger, _Values(self._chain.values))
        await index.walk()
        return index

    async def _commit_own(self, calls: list[Call]) -> Committed:
        key, nonce = self._chain.keys[self.department], secrets.token_bytes(16)
        transaction = sign_transaction(key, self.genesis.chain_id, nonce, self.ledger.height + 50, calls)
        self._chain.commit(self.department, [transaction])
        found = find_committed(self.blocks, transaction.id)
        assert found is not None
        assert found.receipt.is_ok, found.receipt
        return found

    async def vault_report(self, after: str | None, limit: int) -> Mapping[str, Any]:
        """One shelf for all: nothing is lacking, but for a name that only the sales department's people can place."""
        live = len(self._chain.values)
        row = {"table": "customers", "record": "c1", "field": "name", "version": 1}
        missing = [{**row, "entitled": ["sales"], "held_by": ["sales"], "silent": []}]
        is_lacking = self._chain.trouble.is_forgetful
        return {
            "department": self.department,
            "height": self.ledger.height,
            "is_examined": True,
            "tables": {"customers": {"live": live, "missing": int(is_lacking), "surplus": 0}},
            "live_values": live,
            "staged_transactions": 0,
            "staged_values": 0,
            "erased_records": 0,
            "missing": missing if is_lacking and after is None else [],
            "next": None,
        }

    async def attest_phone(self, _key: bytes, customer: str, phone: str, phone_salt: bytes) -> Any:
        number = parse_number(phone)
        value = VaultValue("customers", customer, "phone", phone_salt, number)
        digest = value.digest(self.genesis.chain_id)
        vault: Any = _Values(self._chain.values)
        view = View(self.ledger.state.get)
        Questions(vault, secrets.token_bytes).require_new_number(view, customer, digest, number)
        salt = secrets.token_bytes(32)
        heard = await self._attest(customer, number, digest, salt, phone_salt)
        if heard.identifier is not None:
            kept = VaultValue("customers", customer, "identifier", salt, heard.identifier)
            self._chain.values[kept.digest(self.genesis.chain_id)] = kept
        return PhoneAnswer(heard.attestation.to_value(), heard.reason)

    async def _attest(
        self, customer: str, number: str, digest: bytes, identifier_salt: bytes, phone_salt: bytes
    ) -> Any:
        return await self._gateway.attest(customer, number, digest, identifier_salt, phone_salt=phone_salt)

    async def due_phones(self, key: bytes, after: int, limit: int) -> DuePage:
        view = View(self.ledger.state.get)
        row = view.get("keys", key.hex())
        assert row is not None
        subject = subject_of_person(view, row["id"])
        return await find_due(
            lambda: View(self.ledger.state.get), self.department, subject, self.now_ms(), after, limit
        )

    async def find_duplicates(self, person: str, phones: Sequence[str], purpose: str) -> list[list[str]]:
        desk = DuplicateDesk(lambda: View(self.ledger.state.get), self._look_up, self._commit_own, self.now_ms)
        return await desk.find(person, phones, purpose)

    async def _look_up(self, numbers: Sequence[str]) -> list[list[str]]:
        state = View(self.ledger.state.get)
        of: dict[str, list[str]] = {}
        for digest, value in self._chain.values.items():
            record = state.get("customers", value.record) if value.field == "phone" else None
            if record is not None and record["fields"].get("phone", [None])[0] == digest:
                of.setdefault(value.value, []).append(value.record)
        return [of.get(number, []) for number in numbers]

    async def _commit_own(self, calls: list[Call]) -> Committed:
        key = self._chain.keys[self.department]
        nonce, expires = secrets.token_bytes(16), self.ledger.height + 50
        transaction = sign_transaction(key, self.genesis.chain_id, nonce, expires, calls)
        self._chain.commit(self.department, [transaction])
        found = find_committed(self.blocks, transaction.id)
        assert found is not None
        assert found.receipt.is_ok, found.receipt
        return found

    async def check_phone(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        """The number is asked about again, and the answer recorded under the gateway's key."""
        record = View(self.ledger.state.get).get("customers", customer)
        assert record is not None
        if max_age_ms is not None and self.now_ms() - (record["checked_ms"] or 0) < max_age_ms:
            return {"customer": customer, **_facts(record), "was_asked": False}
        person = View(self.ledger.state.get).get("keys", key.hex())
        assert person is not None
        digest = record["fields"]["phone"][0]
        phone = self._chain.values[digest]
        known = record["fields"].get("identifier")
        salt = self._chain.values[known[0]].salt if known else secrets.token_bytes(32)
        heard = await self._attest(customer, phone.value, digest, salt, phone.salt)
        call = Call("phone.record", {"attestation": heard.attestation.to_value(), "asked_by": person["id"]})
        signer = self._chain.gateway_keys[self.department]
        nonce, expires = secrets.token_bytes(16), self.ledger.height + 50
        transaction = sign_transaction(signer, self.genesis.chain_id, nonce, expires, [call])
        if heard.identifier and not known:
            value = VaultValue("customers", customer, "identifier", salt, heard.identifier)
            self._chain.values[value.digest(self.genesis.chain_id)] = value
        self._chain.commit(self.department, [transaction])
        after = View(self.ledger.state.get).get("customers", customer)
        assert after is not None
        return {
            "customer": customer,
            **_facts(after),
            "was_asked": True,
            "outcome": heard.attestation.outcome,
            "no_answer_reason": heard.reason,
            "retry_after_ms": heard.retry_after_ms,
            "transaction_id": transaction.id.hex(),
            "receipt_code": "ok",
        }


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("status", "reason", "version", "checked_ms")}


class Office:
    """The network of a profile, serving in a thread of its own until `stop`."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.chain = Chain(profile)
        self.simulator: Any = None
        self.platform: Any = None
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._is_up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="office")

    @property
    def trouble(self) -> Trouble:
        return self.chain.trouble

    def start(self) -> None:
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
            self._is_up.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            platform = await self._start_carrier(stack)
            # All at once: each waits for the end of its first second.
            starts = [self._start_node(department, url, platform) for department, url in self.profile.nodes.items()]
            for server in await asyncio.gather(*starts):
                stack.push_async_callback(server.close)
            self._is_up.set()
            await self._stopping.wait()

    async def _start_node(self, department: str, url: str, platform: IdentifierLookup) -> ApiServer:
        gateway = Gateway(
            gateway_id(department),
            self.chain.gateway_keys[department],
            PlatformTable(platform),
            self.chain.genesis.chain_id,
            self.chain.now_ms,
            secrets.token_bytes,
        )
        app = make_app(OfficeNode(self.chain, department, gateway), wall_ms, ApiLimits())
        return await serve(app, "127.0.0.1", int(url.rpartition(":")[2]))

    async def _start_carrier(self, stack: AsyncExitStack) -> IdentifierLookup:
        assert self.profile.carrier_url is not None
        port = int(self.profile.carrier_url.rpartition(":")[2])
        config = SimulatorConfig("127.0.0.1", port, self.profile.carrier_home / "numbers.json", "seed")
        self.simulator = make_simulator(config)
        url = await stack.enter_async_context(serving(self.simulator, config.host, config.port))
        lookup = LookupConfig("simulator", url, self.simulator.lookup_token, deadline_ms=2_000)
        platform = await stack.enter_async_context(IdentifierLookup(lookup))
        self.platform = platform
        return platform
