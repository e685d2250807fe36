"""People at every department's node who log in, read and change the same few customers, again and again.

Most of what they send is refused on the record, a change made from a version that is not there, or a read of a customer
who is not there. It goes the whole way through admission, agreement, execution and receipts, and leaves the state as
it was.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from chain.transaction import NONCE_BYTES, Call, sign_transaction
from cli.client import NodeClient
from cli.records import read_record, seal_fields
from node.vault.values import VaultValue
from tools.bench.load import WAIT_MS
from tools.bench.network import Network
from tools.bench.workload import Made, body_of

STALE, ABSENT = 6, 56
"""Refused changes and reads in one request, beside one change and one login that are good."""
EXPIRY_HEIGHTS: Final = 200
"""So that what is remembered against replays reaches its full number in the warm part of a run."""
FIELDS: Final = {"name": "王小明", "phone": "+8613800000000", "note": "初次登记"}
READ_EVERY: Final = 4
BUSY_S: Final = 1.0


class Person:
    """One operator at the own department's node, with one customer."""

    def __init__(self, network: Network, department: str, number: int, counts: Counter[str]) -> None:
        self._client: NodeClient = network.client(department)
        self._chain_id = network.chain_id
        self._customer = f"soak-{department.replace('_', '-')}-{number}"
        self._counts, self._version, self._height = counts, 0, 0

    async def work(self, stop: asyncio.Event) -> None:
        async with self._client, aiohttp.ClientSession() as session:
            while not self._version:
                await self._send(
                    session, [self._change("customers.register", FIELDS, attestation=None, temporary=True)]
                )
            turn = 0
            while not stop.is_set():
                turn += 1
                self._height = int((await self._client.status())["height"])
                await self._send(session, self._request(turn))
                if turn % READ_EVERY == 0:
                    await read_record(self._client, "customers", self._customer, ["note"], "visit")
                    self._counts["read"] += 1

    def _request(self, turn: int) -> list[Made]:
        note = {"note": f"第 {turn} 次回访：对方案满意，下月再联系"}
        absent = {"table": "customers", "record": "soak-nobody", "fields": ["note"], "purpose": "visit"}
        return [
            self._change("customers.update", note, version=self._version),
            self._sign(Call("access.login", {"purpose": "shift"}), []),
            *(self._change("customers.update", note, version=self._version + 9) for _ in range(STALE)),
            *(self._sign(Call("access.read", absent), []) for _ in range(ABSENT)),
        ]

    def _change(self, call: str, fields: dict[str, str], **more: Any) -> Made:
        digests, values = seal_fields(self._chain_id, "customers", self._customer, fields)
        return self._sign(Call(call, {"customer": self._customer, "fields": digests, **more}), values)

    def _sign(self, call: Call, values: list[VaultValue]) -> Made:
        nonce, expires = secrets.token_bytes(NONCE_BYTES), self._height + EXPIRY_HEIGHTS
        return sign_transaction(self._client.key, self._chain_id, nonce, expires, [call]), values

    async def _send(self, session: aiohttp.ClientSession, made: list[Made]) -> None:
        """The first of them changes the customer, and must be taken."""
        url = f"{self._client.url}/v1/transactions?wait=committed&timeout_ms={WAIT_MS}"
        headers = {"Content-Type": "application/msgpack"}
        async with session.post(url, data=body_of(made), headers=headers) as response:
            said = await response.json(content_type=None)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._counts[str(said["code"])] += 1
            await asyncio.sleep(BUSY_S)
            return
        if "transactions" not in said:
            raise RuntimeError(f"the node takes no request: {said['code']}")
        codes = [str((item.get("receipt") or item.get("error") or item)["code"]) for item in said["transactions"]]
        self._counts.update(codes)
        if codes[0] != "ok":
            raise RuntimeError(f"a change by its only writer: {codes[0]}")
        self._version += 1
