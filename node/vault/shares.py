"""A transaction with its values on the way to their holders: checks and packing, for both sides.

vault.stage     [[envelope, encoded values], ...]  ->  [[transaction id, "ok" or an error code], ...]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from chain.errors import KehuError, define
from node.vault.planning import Plan
from node.vault.seal import Wanted
from node.vault.sealing import VAULT_OTHER_VALUE
from node.vault.staged import Staging
from node.vault.values import VALUES_BYTES_MAX, VALUES_MAX, VaultValue, encode_values

STAGE: Final = "vault.stage"
OK: Final = "ok"
TRANSACTIONS_MAX: Final = 500
REQUEST_BYTES_MAX: Final = 6 << 20
"""Under the peer link's cap of 8 MiB."""
_CHUNK_BYTES: Final = 1 << 20

VAULT_TOO_MANY_VALUES = define(
    "vault.too_many_values",
    "there are more transactions or values than travel between nodes at once",
    "send fewer calls in one transaction",
)


class Peers(Protocol):
    """What the vault needs of `node.peers.network.PeerNetwork`."""

    async def request(self, department: str, kind: str, payload: bytes, timeout_s: float) -> bytes: ...

    def handle(self, kind: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None: ...


class Share(msgspec.Struct, frozen=True, gc=False):
    """A transaction, the values that came with it, and for each what it is and who may hold it, in that order."""

    plan: Plan
    values: tuple[VaultValue, ...]
    wanted: tuple[Wanted, ...]
    holders: tuple[tuple[str, ...], ...]

    @property
    def id(self) -> bytes:
        return self.plan.transaction.id

    def values_for(self, department: str) -> tuple[VaultValue, ...]:
        return tuple([value for value, holders in zip(self.values, self.holders, strict=True) if department in holders])


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """What one department may hold of a transaction, as it travels: [envelope, encoded values]."""

    id: bytes
    envelope: bytes
    values: bytes
    count: int


def checked_share(plan: Plan, values: Sequence[VaultValue], chain_id: bytes) -> Share:
    """Each value must be one that the transaction commits to. Errors: vault.other_value, vault.too_many_values."""
    size = sum([value.size for value in values])
    if len(values) > VALUES_MAX or size > VALUES_BYTES_MAX:
        raise KehuError(VAULT_TOO_MANY_VALUES, values=len(values), bytes=size, limit_bytes=VALUES_BYTES_MAX)
    wanted = tuple([(value.id, value.digest(chain_id)) for value in values])
    holders = tuple([plan.holders[one] for one in wanted if one in plan.holders])
    if len(holders) < len(wanted):
        name, digest = next(one for one in wanted if one not in plan.holders)
        raise KehuError(
            VAULT_OTHER_VALUE, **name._asdict(), expected=dict(plan.holders.keys()).get(name), actual=digest
        )
    return Share(plan, tuple(values), wanted, holders)


def staging_of(share: Share, source: str = "") -> Staging:
    return Staging(share.id, share.values, share.plan.transaction.expires_height, source)


def parcels_for(department: str, shares: Iterable[Share]) -> Iterator[Parcel]:
    """Of the shares of which the department may hold something."""
    for share in shares:
        values = share.values_for(department)
        if values:
            yield Parcel(share.id, share.plan.transaction.raw, encode_values(values), len(values))


def chunks_of(parcels: Iterable[Parcel]) -> Iterator[list[Parcel]]:
    """Requests that stay well under the caps of a link and of the encoding."""
    chunk: list[Parcel] = []
    size = count = 0
    for parcel in parcels:
        added = len(parcel.envelope) + len(parcel.values)
        if chunk and (
            size + added > _CHUNK_BYTES or count + parcel.count > VALUES_MAX or len(chunk) >= TRANSACTIONS_MAX
        ):
            yield chunk
            chunk, size, count = [], 0, 0
        chunk.append(parcel)
        size, count = size + added, count + parcel.count
    if chunk:
        yield chunk
