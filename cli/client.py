"""One node as the command line uses it: signs, submits, waits, fetches, and checks every answer.

What became of a transaction is believed when its receipt is proven under a header that a quorum of departments
signed. When the node goes quiet after it got a transaction, the outcome is looked up and, failing that, called
unknown: sending the same transaction again is safe, because an id is executed once.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.following import KnownSets
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof
from chain.transaction import NONCE_BYTES, Call, Transaction, sign_transaction
from cli.exits import RemoteRefusal, is_uncertain
from cli.profile import KEY_NAME_MISSING
from cli.transport import NODE_ANSWER_MALFORMED, NODE_UNREACHABLE, NeverSent, Transport, is_height, problem_error
from cli.verify import Committed, check_receipt, check_state
from node.vault.values import VaultValue

EXPIRY_HEIGHTS: Final = 1_000
"""How many blocks a transaction may wait; the network's own limit may be lower."""
WAIT_S: Final = 30.0
LOOK_UP_PAUSE_S: Final = 0.25
LOOK_UPS_AT_ONCE: Final = 8
PAGE: Final = 200
BUSY: Final = frozenset({"mempool.busy", "mempool.full", "mempool.sender_limit"})
"""Refusals that only say: later. The node has kept nothing, and sending again is safe."""
BUSY_PAUSE_S: Final = 1.0
"""Where the node names no time. Up to half as much again is waited, so that clients don't come back all at once."""
_PAUSE_MS_MAX: Final = 3_600_000
NOT_COMMITTED: Final = "transaction.not_committed"
"""Whose proof is asked for is in no block that the node has."""

OUTCOME_UNKNOWN = define(
    "transaction.unknown_outcome",
    "the transaction was handed to the node, and nobody has said yet what became of it",
    "look it up with `kehu tx show ID`; doing the command's work again before its expiry height could do it twice. If "
    "it lasts, `kehu doctor` says what the network waits for",
)

ID_MALFORMED = define(
    "usage.id",
    "an id, or the name of a table, is lower-case letters, digits, - and _ only",
    "copy it from the command that listed it",
)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,255}", re.ASCII)
"""What keys of the state are made of; anything else would be another path of the node's API."""

_NOBODY_SAID: Final = (NODE_UNREACHABLE, NODE_ANSWER_MALFORMED)
"""No answer, or one that is not the node's: what stands between says nothing of what the node was given."""

Outcome = Committed | KehuError
Handed = RemoteRefusal | bool
"""What handing a transaction over came to: the node's refusal, or whether it is known to have it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed transaction and the personal values that its digests commit to."""

    transaction: Transaction
    values: tuple[VaultValue, ...] = ()


class NodeClient:
    """`genesis` is this machine's own copy; `department` is whose node it is, `key` signs transactions and requests."""

    def __init__(
        self, url: str, genesis: Genesis, department: str, key: SigningKey | None, wait_s: float = WAIT_S
    ) -> None:
        self.url = url
        self.genesis = genesis
        self.department = department
        self._key = key
        self._wait_s = wait_s
        self._height: int | None = None
        self.known = KnownSets(genesis)
        self._learning = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._transport = Transport(self.url, self.genesis.chain_id, self.department, self._key)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def key(self) -> SigningKey:
        if self._key is None:
            raise KehuError(KEY_NAME_MISSING)
        return self._key

    async def status(self) -> dict[str, Any]:
        status = await self._transport.json("GET", "/v1/status")
        if not isinstance(status, dict) or not is_height(status.get("height")):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/status")
        self._height = status["height"]
        return status

    async def draft(self, calls: list[Call], values: Sequence[VaultValue] = ()) -> Draft:
        """Signs `calls`; the transaction expires a fixed number of blocks after the node's height.

        Errors: call.arguments, before anything is sent.
        """
        from contracts.registry import require_arguments

        for call in calls:
            require_arguments(call)
        if self._height is None:
            await self.status()
        span = min(EXPIRY_HEIGHTS, self.genesis.expiry_heights_max)
        expires = (self._height or 0) + span
        nonce = secrets.token_bytes(NONCE_BYTES)
        transaction = sign_transaction(self.key, self.genesis.chain_id, nonce, expires, calls)
        return Draft(transaction, tuple(values))

    async def execute(self, calls: list[Call], values: Sequence[VaultValue] = ()) -> Committed:
        """Submits one transaction and waits for its proven receipt. Errors: refused, conflict, unknown outcome."""
        (outcome,) = await self.submit([await self.draft(calls, values)])
        if isinstance(outcome, KehuError):
            raise outcome
        return outcome.require_ok()

    async def submit(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """What became of each, in order: a proven receipt (which may say no), or an error.

        Raises when the node certainly took nothing: node.unreachable before anything was sent, or a refusal of the
        request as a whole.
        """
        deadline = time.monotonic() + self._wait_s
        handed = await self._hand_over_patiently(drafts, deadline)
        gate = asyncio.Semaphore(LOOK_UPS_AT_ONCE)

        async def settle(draft: Draft, came_to: Handed) -> Outcome:
            async with gate:
                if isinstance(came_to, RemoteRefusal):
                    return came_to
                return await self._settle(draft, deadline, is_there=came_to)

        outcomes = list(await asyncio.gather(*map(settle, drafts, handed)))
        heights = [outcome.height for outcome in outcomes if isinstance(outcome, Committed)]
        # What is signed next expires so many blocks from here; where nothing is proven, the node is asked again.
        self._height = max(*heights, self._height or 0) if heights else None
        return outcomes

    async def _hand_over_patiently(self, drafts: Sequence[Draft], deadline: float) -> list[Handed]:
        """`_hand_over`, again for those that the node has no room for now, as long as there is time."""
        handed = await self._hand_over(drafts, deadline)
        while busy := {place: one for place, one in enumerate(handed) if _is_busy(one)}:
            pause_s = max(_pause_s(one) for one in busy.values())
            if time.monotonic() + pause_s >= deadline:
                break
            await asyncio.sleep(pause_s)
            try:
                again = await self._hand_over([drafts[place] for place in busy], deadline)
            except KehuError:
                if len(busy) == len(drafts):
                    raise
                break  # the node took others of them before, and of these it said no
            for place, came_to in zip(busy, again, strict=True):
                handed[place] = came_to
        return handed

    async def _hand_over(self, drafts: Sequence[Draft], deadline: float) -> list[Handed]:
        """Posts the drafts. Errors: as `submit`."""
        body = {
            "transactions": [base64.b64encode(draft.transaction.raw).decode() for draft in drafts],
            "values": [_value_json(value) for draft in drafts for value in draft.values],
            "wait": "committed",
            "timeout_ms": max(0, int((deadline - time.monotonic()) * 1000)),
        }
        nobody_knows: list[Handed] = [False] * len(drafts)
        try:
            answers = (await self._transport.json("POST", "/v1/transactions", body))["transactions"]
        except NeverSent:
            raise
        except RemoteRefusal as error:
            if is_uncertain(error):
                return nobody_knows
            if error.answers is None and error.code in BUSY:
                return [error] * len(drafts)
            if error.answers is None:
                raise
            answers = error.answers
        except KehuError as error:
            if error.spec not in _NOBODY_SAID:
                raise
            return nobody_knows
        except (KeyError, TypeError):
            return nobody_knows
        if not isinstance(answers, list) or len(answers) != len(drafts):
            return nobody_knows
        return [_handed_in(answer) for answer in answers]

    async def _settle(self, draft: Draft, deadline: float, *, is_there: bool) -> Outcome:
        """The proven outcome, looked up until the deadline. A refused look-up says nothing of the transaction. One that
        may never have come to the node is sent again: its id is executed once, however often it comes."""
        transaction = draft.transaction
        while True:
            try:
                found = await self.find(transaction.id)
            except KehuError as error:
                if error.spec not in _NOBODY_SAID and not isinstance(error, RemoteRefusal):
                    return error
                found = None
            if found is not None:
                return found
            if time.monotonic() >= deadline:
                return KehuError(OUTCOME_UNKNOWN, transaction=transaction.id, expires_height=transaction.expires_height)
            await asyncio.sleep(LOOK_UP_PAUSE_S)
            is_there = is_there or await self._is_there_now(draft, deadline)

    async def _is_there_now(self, draft: Draft, deadline: float) -> bool:
        """Sends it once more; whether there is no use in doing so again. A refusal is of this time only: it does not
        say what became of the one before."""
        try:
            (came_to,) = await self._hand_over([draft], deadline)
        except NeverSent:
            return False
        except KehuError:
            return True
        if _is_busy(came_to):
            await asyncio.sleep(max(0.0, min(_pause_s(came_to), deadline - time.monotonic())))
            return False
        return came_to is not False

    async def find(self, transaction_id: bytes) -> Committed | None:
        """The proven receipt of a transaction; None while it is in no block that the node has."""
        try:
            proof = await self.receipt_proof(transaction_id)
        except RemoteRefusal as error:
            if error.code != NOT_COMMITTED:
                raise
            return None
        await self.know(ReceiptProof.from_bytes(proof).certificate.epoch)
        return check_receipt(self.genesis, transaction_id, proof, self.known)

    async def membership(self) -> dict[str, Any]:
        """Departments, quorum, the change under way, as the node says."""
        told = await self._transport.json("GET", "/v1/membership")
        if not isinstance(told, dict) or not isinstance(told.get("changes"), list):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/membership")
        return told

    async def protocol(self) -> dict[str, Any]:
        """Which version of the rules counts, which comes, what each department's software speaks, as the node says."""
        told = await self._transport.json("GET", "/v1/protocol")
        if not isinstance(told, dict) or not isinstance(told.get("nodes"), list):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/protocol")
        return told

    async def know(self, epoch: int) -> None:
        """Follows the changes of membership, each proven, until the set of `epoch` is known."""
        async with self._learning:  # each change follows on the one before: two requests would take one twice
            if epoch <= self.known.epoch:
                return
            changes = (await self.membership())["changes"][self.known.epoch :]
            try:
                ids = [bytes.fromhex(change["transaction"]) for change in changes]
            except (KeyError, TypeError, ValueError):
                raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/membership") from None
            for id_ in ids:
                self.known.follow(ReceiptProof.from_bytes(await self.receipt_proof(id_)))

    async def receipt_proof(self, transaction_id: bytes) -> bytes:
        """A committed transaction's `chain.light.ReceiptProof`, not checked."""
        return await self._transport.raw("GET", f"/v1/transactions/{transaction_id.hex()}/proof")

    async def transaction_status(self, transaction_id: bytes) -> str:
        """ "committed", "pending" or "unknown", as the node says."""
        said = await self._transport.json("GET", f"/v1/transactions/{transaction_id.hex()}")
        return str(said.get("status")) if isinstance(said, dict) else "unknown"

    async def values(self, transaction_id: bytes) -> list[VaultValue]:
        """The values that a committed access call of this key may see; not checked yet (`check_fields`)."""
        path = f"/v1/transactions/{transaction_id.hex()}/values"
        said = await self._transport.json("GET", path, is_signed=True)
        try:
            return [_value_of(item) for item in said["values"]]
        except (KeyError, TypeError, ValueError):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/transactions/ID/values") from None

    async def state(self, table: str, key: str) -> tuple[dict[str, Any] | None, int]:
        """A proven state value (None: absent) and the height of the header it is proven under."""
        raw, proof = await self.state_proof(table, key)
        value, header = check_state(self.genesis, table, key, raw, proof, self.known)
        return value, header.height

    async def state_proof(self, table: str, key: str) -> tuple[bytes | None, bytes]:
        """A state value's canonical bytes (None: absent) and its `chain.light.StateProof`, not checked; who can check
        it is known then."""
        if not (_ID.fullmatch(table) and _ID.fullmatch(key)):
            raise KehuError(ID_MALFORMED)
        said = await self._transport.json("GET", f"/v1/state/{table}/{key}?proof=1", is_signed=True)
        try:
            raw, proof = None if said["raw"] is None else bytes.fromhex(said["raw"]), bytes.fromhex(said["proof"])
        except (KeyError, TypeError, ValueError):
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/state") from None
        await self.know(StateProof.from_bytes(proof).certificate.epoch)
        return raw, proof

    async def pages(self, path: str) -> list[dict[str, Any]]:
        """All pages of a signed listing: [{"id", "facts"}], as the node says them, which could leave some out."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            mark = "" if after is None else f"&after={quote(after, safe='')}"
            said = await self._transport.json("GET", f"{path}?limit={PAGE}{mark}", is_signed=True)
            try:
                items += [{"id": str(item["id"]), "facts": dict(item["facts"])} for item in said["items"]]
                following = said["next"]
                if following is None:
                    return items
                if following <= (after or ""):
                    raise ValueError("not further on")
                after = following
            except (KeyError, TypeError, ValueError):
                raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path=path) from None

    async def former_departments(self) -> frozenset[str]:
        """Those that were removed: their people and grants ended with them, though rows of their own say active."""
        items = await self.pages("/v1/departments")
        return frozenset(item["id"] for item in items if item["facts"].get("status") == "removed")

    async def vault_status(self, after: str | None, limit: int) -> dict[str, Any]:
        """What the node says of its vault (the API's VaultAnswer)."""
        mark = "" if after is None else f"&after={quote(after, safe='')}"
        said = await self._transport.json("GET", f"/v1/vault?limit={limit}{mark}", is_signed=True)
        if not isinstance(said, dict) or not {"tables", "missing", "next"} <= said.keys():
            raise KehuError(NODE_ANSWER_MALFORMED, url=self.url, path="/v1/vault")
        return said

    async def get(self, path: str) -> Any:
        """A signed GET."""
        return await self._transport.json("GET", path, is_signed=True)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """A signed POST."""
        return await self._transport.json("POST", path, body, is_signed=True)

    def export(self, first: int, last: int | None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The export stream from height `first` (1: with genesis) to `last`."""
        return self._transport.stream(f"/v1/export?from={first}" + ("" if last is None else f"&to={last}"))

    def backup(self, *, with_vault: bool) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The stream of a backup's two files (node/api/backup.py)."""
        return self._transport.stream(f"/v1/backup?vault={'yes' if with_vault else 'no'}", is_signed=True)


def _value_json(value: VaultValue) -> dict[str, str]:
    return {
        "table": value.table,
        "record": value.record,
        "field": value.field,
        "salt": value.salt.hex(),
        "value": value.value,
    }


def _value_of(item: dict[str, str]) -> VaultValue:
    return VaultValue(item["table"], item["record"], item["field"], bytes.fromhex(item["salt"]), item["value"])


def _is_busy(came_to: Handed) -> bool:
    return isinstance(came_to, RemoteRefusal) and came_to.code in BUSY


def _pause_s(came_to: Handed) -> float:
    """How long the node asks to be left alone, and a little more at random."""
    asked_ms = came_to.details.get("retry_after_ms") if isinstance(came_to, RemoteRefusal) else None
    pause_s = min(asked_ms, _PAUSE_MS_MAX) / 1000 if type(asked_ms) is int and asked_ms > 0 else BUSY_PAUSE_S
    return pause_s * (1 + secrets.randbelow(500) / 1000)


def _handed_in(answer: Any) -> Handed:
    """What one element of the node's answer says; of anything unclear nobody knows."""
    try:
        if answer["status"] == "refused":
            return problem_error(answer["error"])
        return answer["status"] in ("committed", "pending")
    except (KeyError, TypeError, ValueError):
        return False
