"""A transaction with its values on the way to their holders: checks and packing, for both sides.

vault.stage     [[envelope, encoded values], ...]  ->  [[transaction id, "ok" or an error code], ...]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from chain.errors import KehuError, define
from node.vault.duty import Plan
from node.vault.seal import Wanted
from node.vault.sealing import VAULT_OTHER_VALUE
from node.vault.staged import Staging
from node.vault.values import VALUES_BYTES_MAX, VALUES_MAX, VaultValue

STAGE: Final = "vault.stage"
OK: Final = "ok"
TRANSACTIONS_MAX: Final = 500
REQUEST_BYTES_MAX: Final = 6 << 20
"""Under the peer link's cap of 8 MiB."""
_CHUNK_BYTES: Final = 1 << 20
_VALUE_OVERHEAD_BYTES: Final = 300

VAULT_TOO_MANY_VALUES = define(
    "vault.too_many_values",
    "there are more transactions or values than travel between nodes at once",
    "send fewer calls in one transaction",
)


class Peers(Protocol):
    """What the vault needs of `node.peers.network.PeerNetwork`."""

    async def request(self, department: str, kind: str, payload: bytes, timeout_s: float) -> bytes: ...

    def handle(self, kind: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Share:
    """A transaction, the values that came with it, and for each what it is and who may hold it, in that order."""

    plan: Plan
    values: tuple[VaultValue, ...]
    placed: tuple[tuple[Wanted, tuple[str, ...]], ...]

    @property
    def id(self) -> bytes:
        return self.plan.transaction.id

    def values_for(self, department: str) -> tuple[VaultValue, ...]:
        return tuple(
            value for value, (_, holders) in zip(self.values, self.placed, strict=True) if department in holders
        )


def checked_share(plan: Plan, values: Sequence[VaultValue], chain_id: bytes) -> Share:
    """Each value must be one that the transaction commits to. Errors: vault.other_value, vault.too_many_values."""
    size = sum(len(value.value.encode()) for value in values)
    if len(values) > VALUES_MAX or size > VALUES_BYTES_MAX:
        raise KehuError(VAULT_TOO_MANY_VALUES, values=len(values), bytes=size, limit_bytes=VALUES_BYTES_MAX)
    expected = dict(plan.holders.keys())
    placed = []
    for value in values:
        wanted = (value.id, value.digest(chain_id))
        if wanted not in plan.holders:
            names = {"table": value.table, "record": value.record, "field": value.field}
            raise KehuError(VAULT_OTHER_VALUE, **names, expected=expected.get(value.id), actual=wanted[1])
        placed.append((wanted, plan.holders[wanted]))
    return Share(plan, tuple(values), tuple(placed))


def staging_of(share: Share) -> Staging:
    return Staging(share.id, share.values, share.plan.transaction.expires_height)


def chunks_of(shares: Iterable[Share], department: str) -> Iterator[list[Share]]:
    """Requests that stay well under the caps of a link and of the encoding."""
    chunk: list[Share] = []
    size = values_count = 0
    for share in shares:
        values = share.values_for(department)
        added = len(share.plan.transaction.raw)
        added += sum(_VALUE_OVERHEAD_BYTES + len(value.value.encode()) for value in values)
        is_full = (
            size + added > _CHUNK_BYTES or values_count + len(values) > VALUES_MAX or len(chunk) >= TRANSACTIONS_MAX
        )
        if chunk and is_full:
            yield chunk
            chunk, size, values_count = [], 0, 0
        chunk.append(share)
        size, values_count = size + added, values_count + len(values)
    if chunk:
        yield chunk
