"""One person hands in as much work as a node lets them: everybody else's is committed all the same."""

from __future__ import annotations

import base64
import secrets

import pytest

from chain.records import field_digest
from chain.transaction import CALLS_MAX, NONCE_BYTES, Call, Transaction, sign_transaction
from cli.client import NodeClient
from cli.exits import RemoteRefusal
from node.vault.values import VaultValue
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

TRANSACTIONS, AT_ONCE = 300, 100
FIELDS = (("name", "王芳"), ("phone", "+8613800000000"))
READ = Call("access.read", {"table": "customers", "record": "much-work", "fields": ["*"], "purpose": "x"})


async def register(client: NodeClient, chain_id: bytes) -> None:
    values = [VaultValue("customers", "much-work", name, secrets.token_bytes(32), text) for name, text in FIELDS]
    digests = {
        value.field: field_digest(chain_id, value.table, value.record, value.field, value.salt, value.value)
        for value in values
    }
    args = {"customer": "much-work", "fields": digests, "attestation": None, "temporary": True}
    assert (await client.execute([Call("customers.register", args)], values)).receipt.is_ok


async def hand_in(client: NodeClient, transactions: list[Transaction]) -> int:
    """How many were taken; the others are more than one key may have waiting."""
    encoded = [base64.b64encode(one.raw).decode() for one in transactions]
    body = {"transactions": encoded, "values": [], "wait": "admitted", "timeout_ms": 1}
    try:
        said = (await client.post("/v1/transactions", body))["transactions"]
    except RemoteRefusal as refused:
        if refused.code != "mempool.sender_limit":
            raise
        return 0
    assert {one["error"]["code"] for one in said if one["status"] == "refused"} <= {"mempool.sender_limit"}
    return sum(one["status"] != "refused" for one in said)


async def test_a_hundred_reads_in_each_of_hundreds_of_transactions_stop_nobody(cluster: Cluster) -> None:
    cluster.add_person("tireless", "sales")
    key, chain_id = cluster.key("tireless"), cluster.genesis.chain_id
    async with cluster.client("sales") as client:
        await register(client, chain_id)
        height = (await client.status())["height"]
        made = [
            sign_transaction(key, chain_id, secrets.token_bytes(NONCE_BYTES), height + 500, [READ] * CALLS_MAX)
            for _ in range(TRANSACTIONS)
        ]
        taken = sum([await hand_in(client, made[start : start + AT_ONCE]) for start in range(0, TRANSACTIONS, AT_ONCE)])
    assert 10 <= taken < TRANSACTIONS
    async with cluster.client("finance", 60.0) as client:
        assert (await client.execute([Call("access.login", {})])).receipt.is_ok
    cluster.wait_equal()
