"""How often a customer may ask: many people with keys of their own use the administration's node, beside its work.

A bucket per key fills at an even rate and each request takes from it. Transactions count when they are new here and
their signature is good, so that nobody can use up what is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chain.errors import KehuError, define
from chain.state import View
from chain.transaction import Transaction
from contracts.base import ADMINISTRATION
from contracts.deciding.subjects import CUSTOMER
from node.api.facade import NodeFacade
from node.api.problems import RETRY_AFTER_MS

MINUTE_MS: Final = 60_000
BUCKETS_MAX: Final = 10_000
"""Above this many, full buckets are forgotten: a full one says nothing."""

CUSTOMER_PACE = define(
    "auth.customer_pace",
    "this customer's key has asked as often as it may for now",
    "wait as Retry-After says and ask again",
)


class CustomerPace:
    """`per_minute` requests of one key at once, and as many again each minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: dict[bytes, tuple[int, int]] = {}

    def take(self, key: bytes, now_ms: int) -> None:
        """Counts one request. Errors: auth.customer_pace."""
        whole = self._per_minute * MINUTE_MS  # a request costs MINUTE_MS parts; `per_minute` parts come each ms
        parts, since_ms = self._buckets.get(key, (whole, now_ms))
        parts = min(whole, parts + max(0, now_ms - since_ms) * self._per_minute)
        if parts < MINUTE_MS:
            wait_ms = -(-(MINUTE_MS - parts) // self._per_minute)
            raise KehuError(CUSTOMER_PACE, limit_per_minute=self._per_minute, **{RETRY_AFTER_MS: wait_ms})
        self._buckets[key] = (parts - MINUTE_MS, now_ms)
        if len(self._buckets) > BUCKETS_MAX:
            self._forget(now_ms)

    def _forget(self, now_ms: int) -> None:
        whole = self._per_minute * MINUTE_MS
        self._buckets = {
            key: (parts, since_ms)
            for key, (parts, since_ms) in self._buckets.items()
            if parts + (now_ms - since_ms) * self._per_minute < whole
        }


def take_for_transactions(pace: CustomerPace, node: NodeFacade, envelopes: Iterable[bytes], now_ms: int) -> None:
    """Counts what customers submit; only the administration's node serves them. Errors: auth.customer_pace."""
    if node.department != ADMINISTRATION:
        return
    view = View(node.ledger.state.get)
    for envelope in envelopes:
        try:
            transaction = Transaction.from_bytes(envelope)
            if not _is_customers(view, transaction.key) or node.find(transaction.id) != "unknown":
                continue
            if transaction.expires_height <= node.ledger.height:
                continue  # a block that came too late may have shown it to everybody
            transaction.verify(node.genesis.chain_id)
        except KehuError:
            continue  # admission says what is wrong with it
        pace.take(transaction.key, now_ms)


def _is_customers(view: View, key: bytes) -> bool:
    row = view.get("keys", key.hex())
    person = view.get("people", row["id"]) if row is not None and row["kind"] == "person" else None
    return person is not None and person["role"] == CUSTOMER
