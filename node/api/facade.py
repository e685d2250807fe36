"""What the HTTP API needs of a node, and nothing else; `node.service.Node` conforms to it.

The API decides who is asking and in what form; what is allowed and what is true, the node says. Values that
leave through `disclose` have been on the record before, by the access call whose receipt names them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from chain.blocks import BlockStore
from chain.codec import Value
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.receipt import Receipt
from chain.transaction import Call
from node.phone.due import DuePage
from node.preview import Preview
from node.search.desk import Found
from node.search.query import Query
from node.vault.values import VaultValue


class Admission(Protocol):
    """What became of one submitted envelope. `error` is None once it is in the mempool (or was there before)."""

    @property
    def transaction_id(self) -> bytes | None:
        """32 bytes; None where the envelope was too malformed to have an id."""
        ...

    @property
    def error(self) -> KehuError | None: ...


class Committed(Protocol):
    """Where a transaction stands (`index` counts the block's transactions from 0) and what it gave."""

    @property
    def height(self) -> int: ...

    @property
    def index(self) -> int: ...

    @property
    def receipt(self) -> Receipt: ...


class PhoneAnswer(Protocol):
    """A gateway's signed answer. The identifier behind its digest is personal and stays with the node."""

    @property
    def attestation(self) -> Value:
        """What a call takes as its `attestation`: one (chain.attestation), or a list of several gateways'."""
        ...

    @property
    def reason(self) -> str | None:
        """With the outcome "no_answer", why there was none."""
        ...


class NodeFacade(Protocol):
    """A running node. Every method may raise `KehuError`."""

    @property
    def genesis(self) -> Genesis: ...

    @property
    def department(self) -> str: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def blocks(self) -> BlockStore: ...

    def now_ms(self) -> int:
        """Unix time in ms by this node's clock."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the node takes part and is not behind: what a load balancer asks."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Public facts, JSON values only: peers, view, queues, …."""
        ...

    def why(self, *, is_operator: bool) -> Mapping[str, Any]:
        """Why the network does or does not progress: {"headline", "findings", "facts"}, JSON values."""
        ...

    def require_room(self) -> None:
        """Raises mempool.busy when what waits already takes longer than clients are made to wait."""
        ...

    def protocol(self) -> Mapping[str, Any]:
        """Which version of the rules counts, which is agreed on, and what each department's software speaks."""
        ...

    async def submit(self, envelopes: Sequence[bytes], values: Sequence[VaultValue]) -> Sequence[Admission]:
        """One answer per envelope, in order. Safe to repeat: what is pending or committed is not admitted twice."""
        ...

    async def wait_all(self, transaction_ids: Sequence[bytes], timeout_s: float) -> Mapping[bytes, Committed]:
        """Those that are committed when all are, or when the time is up; the others may still commit."""
        ...

    def find(self, transaction_id: bytes) -> Committed | Literal["pending", "unknown"]: ...

    async def disclose(self, transaction_id: bytes, key: bytes) -> Sequence[VaultValue]:
        """The values that a committed access call of `key` was allowed to see; refuses every other key."""
        ...

    async def search(self, key: bytes, person: str, number: int, salt: bytes, query: Query) -> Found:
        """Answers a search that `key` has put on the record: what was found stands in a transaction of this node's."""
        ...

    async def preview(self, key: bytes, calls: Sequence[Call]) -> Preview:
        """What these changes of permissions by `key` would change, for whom. Nothing is done."""
        ...

    async def attest_phone(self, key: bytes, customer: str, phone: str, phone_salt: bytes) -> PhoneAnswer:
        """Asks the carrier about a number that is about to be recorded; signs what it heard. An identifier is kept for
        the transaction that brings the answer."""
        ...

    async def check_phone(self, key: bytes, customer: str, max_age_ms: int | None) -> Mapping[str, Any]:
        """Has a recorded number checked again unless the last answer is younger than `max_age_ms`, and recorded.

        Public facts only, JSON values: {"customer", "status", "checked_ms", "was_asked", "transaction_id", …}.
        """
        ...

    async def due_phones(self, key: bytes, after: int, limit: int) -> DuePage:
        """Customers whose numbers are due and that the person behind `key` may have checked, by sequence number."""
        ...

    async def vault_report(self, after: str | None, limit: int) -> Mapping[str, Any]:
        """What the department's vault holds and lacks (node.vault.report). JSON values, no personal ones."""
        ...

    async def find_duplicates(self, person: str, phones: Sequence[str], purpose: str) -> Sequence[Sequence[str]]:
        """For each number the customers with it that the person may know of; on the record before it returns."""
        ...

    def backup(self, *, with_vault: bool) -> Iterator[tuple[int, bytes]]:
        """The bytes of a backup's two files (node.backup.making); to be taken off the event loop."""
        ...

    def subscribe(self) -> AsyncIterator[Mapping[str, Any]]:
        """One event per appended block, from now on: {"height", "block_id", "time_ms", "transactions": [id, …]}.

        JSON values, public facts only. The API reads it with one task and fans out; closing ends the subscription.
        """
        ...

    def fail(self, error: Exception) -> None:
        """An `InvariantError` or a `StorageFailure` came up while a request was served: the node stops, saying why."""
        ...
