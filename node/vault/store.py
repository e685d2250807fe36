"""The vault: personal values, sealed at rest, staged until their transaction commits and live from then on.

vault/ holds sealed values (node/vault/seal.py), vault-keys/ the record keys (node/vault/keys.py):

    v/ PLACE                 sealed live value
    s/ TRANSACTION PLACE     sealed staged value
    x/ TRANSACTION           [expires_height, source]
    e/ TABLE/RECORD          [values destroyed, finished]: an erased record, of which nothing is ever kept again

Each change is one synced write of the data store, so a crash leaves a value staged or live, never both or half. A
record key is durable before data is sealed under it; a key without data does no harm. An erasure is written down
first, and finished at the next opening if it must be; values that come for the record later are not taken.

What the chain keeps of the past are digests. A value is destroyed once its field has a newer committed version
(`keep_only`), its transaction failed or expired (`discard`, `expire`), or its record is erased (`erase`).

Methods block for the disk: the event loop calls them through `asyncio.to_thread`. Any thread may call.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from chain import codec
from chain.crypto import DIGEST_BYTES, SigningKey
from chain.errors import KehuError, define
from node.storage.leveldb import LevelStore
from node.vault.erased import ErasedRecords
from node.vault.keys import PurgingStore, RecordKeys
from node.vault.seal import (
    VAULT_DAMAGED,
    RecordId,
    Wanted,
    parse_place,
    place_of,
    record_of,
    seal_value,
    sealed_bytes,
    unseal_value,
)
from node.vault.values import FieldId, VaultValue

STAGED_BYTES_MAX: Final = 64 << 20
"""Sealed bytes that may be staged for one source: this node's own people, or one other department."""

VAULT_STAGED_FULL = define(
    "vault.staged_full",
    "the node holds as many values of uncommitted transactions from this source as it may",
    "wait until some are committed or have expired, then send the transaction again",
)
VAULT_OTHER_VALUE = define(
    "vault.other_value",
    "the value and salt do not give the digest that the chain has for this field",
    "send the value and salt that the transaction commits to; fetched values: ask another holder",
)


@dataclass(frozen=True, slots=True)
class Staging:
    """The values that one transaction commits to; `expires_height` is the transaction's."""

    transaction_id: bytes
    values: Sequence[VaultValue]
    expires_height: int


@dataclass(slots=True)
class _Staged:
    """What is staged for one transaction: sealed bytes by place."""

    expires_height: int
    source: str
    sizes: dict[bytes, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


class Vault:
    def __init__(self, data: PurgingStore, keys: PurgingStore, chain_id: bytes, seed: bytes) -> None:
        """`seed`: the node key's 32 secret bytes. Finishes erasures that a crash interrupted.

        Errors: vault.locked, vault.keys_missing, vault.damaged.
        """
        self._data = data
        self._chain_id = chain_id
        self._lock = threading.RLock()
        is_new = not self._has_any(b"v/") and not self._has_any(b"s/")
        self._keys = RecordKeys(keys, chain_id, seed, is_new=is_new)
        self._staged = self._load_staged()
        self._live = Counter(_table_of(key[2:]) for key, _ in data.scan(b"v/"))
        self._erased = ErasedRecords(data)
        self.on_change: Callable[[set[RecordId]], None] = _ignore
        """Told of records whose live values came or went, from whatever thread changed them."""
        self._unpurged: set[bytes] = set()
        self._unpurged_keys: set[RecordId] = set()
        self._finish_erasures(self._erased.unfinished)

    @classmethod
    def open(cls, home: Path, chain_id: bytes, node_key: SigningKey) -> Vault:
        """The vault in the node folder `home`, made if there is none."""
        data = LevelStore(home / "vault", create=True)
        stores = [data]
        try:
            stores.append(LevelStore(home / "vault-keys", create=True))
            return cls(data, stores[1], chain_id, node_key.seed)
        except BaseException:
            for store in stores:
                store.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._data.close()
            self._keys.close()

    def _load_staged(self) -> dict[bytes, _Staged]:
        staged: dict[bytes, _Staged] = {}
        for key, raw in self._data.scan(b"x/"):
            head = codec.fields(codec.decode(raw, 256), "staged", codec.is_uint, codec.is_text)
            staged[key[2:]] = _Staged(*head)
        for key, sealed in self._data.scan(b"s/"):
            transaction_id, place = key[2 : 2 + DIGEST_BYTES], key[2 + DIGEST_BYTES :]
            if transaction_id not in staged:
                raise KehuError(VAULT_DAMAGED, what="staged value", transaction=transaction_id)
            staged[transaction_id].sizes[place] = len(sealed)
        return staged

    # Staged values

    def stage(self, transaction_id: bytes, values: Sequence[VaultValue], expires_height: int, source: str = "") -> None:
        """Keeps the values of an uncommitted transaction; durable on return. Staging twice is fine."""
        self.stage_many([Staging(transaction_id, values, expires_height)], source)

    def stage_many(self, stagings: Sequence[Staging], source: str = "") -> None:
        """All of `stagings` in one synced write (and one more if records get their first value).

        `source` names the department that sent them, "" this node's own people. Values of erased records are not
        taken: their transaction can't succeed. Errors: vault.staged_full.
        """
        with self._lock:
            stagings = [kept for staging in stagings if (kept := self._without_erased(staging)).values]
            self._require_room(stagings, source)
            keys = self._keys.ensure(_records(value for staging in stagings for value in staging.values))
            puts: dict[bytes, bytes] = {}
            sizes: dict[bytes, dict[bytes, int]] = {}
            for staging in stagings:
                puts[b"x/" + staging.transaction_id] = codec.encode_flat([staging.expires_height, source])
                for value in staging.values:
                    place, sealed = seal_value(self._chain_id, value, keys[RecordId(value.table, value.record)])
                    puts[b"s/" + staging.transaction_id + place] = sealed
                    sizes.setdefault(staging.transaction_id, {})[place] = len(sealed)
            if puts:
                self._data.write(puts)
            for staging in stagings:
                staged = self._staged.setdefault(staging.transaction_id, _Staged(staging.expires_height, source))
                staged.expires_height, staged.source = staging.expires_height, source
                staged.sizes.update(sizes[staging.transaction_id])

    def _without_erased(self, staging: Staging) -> Staging:
        values = [value for value in staging.values if RecordId(value.table, value.record) not in self._erased]
        return staging if len(values) == len(staging.values) else replace(staging, values=values)

    def _require_room(self, stagings: Sequence[Staging], source: str) -> None:
        new = [staging for staging in stagings if staging.transaction_id not in self._staged]
        added = sum(sealed_bytes(value) for staging in new for value in staging.values)
        held = sum(staged.size for staged in self._staged.values() if staged.source == source)
        if added and held + added > STAGED_BYTES_MAX:
            raise KehuError(VAULT_STAGED_FULL, source=source or "own", held_bytes=held, limit_bytes=STAGED_BYTES_MAX)

    def settle(self, *transaction_ids: bytes) -> None:
        """The transactions committed: their staged values are live. Unknown ids are passed over."""
        with self._lock:
            puts = {
                b"v/" + place: sealed
                for transaction_id in transaction_ids
                for place, sealed in self._staged_values(transaction_id)
            }
            added = self._count_new(puts)
            self._unstage(transaction_ids, puts)
            self._live.update(added)
        self.on_change({record_of(key[2:]) for key in puts})

    def discard(self, *transaction_ids: bytes) -> None:
        """The transactions will not commit: their staged values are destroyed. Live values stay."""
        with self._lock:
            places = [b"s/" + one + place for one in transaction_ids for place, _ in self._staged_values(one)]
            self._unstage(transaction_ids, {})
            self._note_destroyed(places, {record_of(key[2 + DIGEST_BYTES :]) for key in places})

    def expire(self, height: int) -> list[bytes]:
        """Discards what can't commit any more once block `height` is appended; the ids that went."""
        with self._lock:
            gone = [key for key, staged in self._staged.items() if staged.expires_height <= height]
            self.discard(*gone)
            return gone

    def staged(self) -> dict[bytes, int]:
        """Transaction id -> expiry height of all that is staged."""
        with self._lock:
            return {key: staged.expires_height for key, staged in self._staged.items()}

    def get_staged(self, transaction_id: bytes) -> list[VaultValue]:
        """The values staged for a transaction. Errors: vault.damaged."""
        with self._lock:
            return [self._unseal(place, sealed) for place, sealed in self._staged_values(transaction_id)]

    def _staged_values(self, transaction_id: bytes) -> list[tuple[bytes, bytes]]:
        if transaction_id not in self._staged:
            return []
        places = sorted(self._staged[transaction_id].sizes)
        found = ((place, self._data.get(b"s/" + transaction_id + place)) for place in places)
        return [(place, sealed) for place, sealed in found if sealed is not None]

    def _unstage(self, transaction_ids: Iterable[bytes], puts: Mapping[bytes, bytes]) -> None:
        """Takes the staged entries away, in the same write that adds `puts`."""
        known = [key for key in dict.fromkeys(transaction_ids) if key in self._staged]
        if known:
            deletes = [b"x/" + key for key in known]
            deletes += [b"s/" + key + place for key in known for place in self._staged[key].sizes]
            self._data.write(puts, deletes)
            for key in known:
                del self._staged[key]

    # Live values

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        """The live value that the chain commits to by `digest`. Errors: vault.damaged."""
        place = place_of((FieldId(table, record, field), digest))
        with self._lock:
            sealed = self._data.get(b"v/" + place)
            return None if sealed is None else self._unseal(place, sealed)

    def has(self, wanted: Wanted) -> bool:
        return self._data.get(b"v/" + place_of(wanted)) is not None

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Which of `wanted` are not live here, in the same order."""
        return [one for one in wanted if not self.has(one)]

    def live(self, table: str, record: str) -> list[Wanted]:
        """Fields and digests of a record's live values."""
        return [parse_place(key[2:]) for key, _ in self._data.scan(RecordId(table, record).to_key(b"v/", b"/"))]

    def put_live(self, values: Sequence[tuple[VaultValue, bytes]]) -> None:
        """Keeps values whose digests are on the chain already, all or none but those of erased records.

        Errors: vault.other_value.
        """
        for value, digest in values:
            self._require_digest(value, digest)
        with self._lock:
            values = [item for item in values if RecordId(item[0].table, item[0].record) not in self._erased]
            keys = self._keys.ensure(_records(value for value, _ in values))
            puts = {}
            for value, _ in values:
                place, sealed = seal_value(self._chain_id, value, keys[RecordId(value.table, value.record)])
                puts[b"v/" + place] = sealed
            if puts:
                added = self._count_new(puts)
                self._data.write(puts)
                self._live.update(added)
        self.on_change({record_of(key[2:]) for key in puts})

    def keep_only(self, records: Mapping[tuple[str, str], Mapping[str, bytes]]) -> dict[tuple[str, str], list[Wanted]]:
        """Destroys the live values of each (table, record) except those with the given {field: digest}; what is live of
        each then."""
        with self._lock:
            live = {place: self.live(*place) for place in records}
            left = {place: [one for one in live[place] if kept.get(one[0].field) == one[1]]
                    for place, kept in records.items()}  # fmt: skip
            self.drop(one for place in records for one in live[place] if one not in left[place])
            return left

    def drop(self, values: Iterable[Wanted]) -> None:
        """Destroys single live values; those that are not here are passed over."""
        with self._lock:
            gone = [b"v/" + place_of(one) for one in dict.fromkeys(values) if self.has(one)]
            if gone:
                self._data.write({}, gone)
                self._live.subtract(_table_of(key[2:]) for key in gone)
                self._note_destroyed(gone, {record_of(key[2:]) for key in gone})
        self.on_change({record_of(key[2:]) for key in gone})

    # Destruction

    def erase(self, records: Iterable[RecordId]) -> None:
        """Destroys each record's key and all its values, staged ones too, for good: no file of the vault has them on
        return, and no value of the record is taken afterwards. Costs up to a rewrite of the tables concerned."""
        with self._lock:
            new = sorted(one for one in set(records) if one not in self._erased)
            self._erased.begin({one: len(self._places_of(one)) for one in new})
            self._finish_erasures(new)
        self.on_change(set(new))

    def erased(self) -> dict[RecordId, int]:
        """The erased records, and how many sealed values were destroyed with each."""
        with self._lock:
            return dict(self._erased.counts)

    def _finish_erasures(self, records: Sequence[RecordId]) -> None:
        """Keys first: from then on nothing opens, whatever a crash leaves to be done."""
        if not records:
            return
        self._keys.destroy(records)
        gone = [key for one in records for key in self._places_of(one)]
        self._live.subtract(_table_of(key[2:]) for key in gone if key.startswith(b"v/"))
        for staged in self._staged.values():
            for place in [place for place in staged.sizes if record_of(place) in set(records)]:
                del staged.sizes[place]
        # What was deleted before may still lie in the files: earlier versions of a value under the record's own
        # prefix, and under s/ what was staged before it went live. So both stretches are rewritten whole.
        stretch = [one.to_key(b"v/", edge) for one in records for edge in (b"/", b"/\xff")]
        self._data.purge([*stretch, *(key for key in gone if key.startswith(b"v/"))])
        self._data.purge([b"s/", b"s/\xff", *(key for key in gone if key.startswith(b"s/"))])
        self._erased.finish(records)

    def _places_of(self, record: RecordId) -> list[bytes]:
        """The store keys of all that is live or staged of a record."""
        inside = record.to_key(b"", b"/")
        live = [key for key, _ in self._data.scan(b"v/" + inside)]
        staged = [
            b"s/" + transaction_id + place
            for transaction_id, staged in self._staged.items()
            for place in staged.sizes
            if place.startswith(inside)
        ]
        return live + staged

    def tidy(self) -> None:
        """Takes off the disk what was deleted since the last time; until then it lies there sealed.

        Costs a rewrite of the tables concerned: every few minutes, not after every block.
        """
        with self._lock:
            keys, places = sorted(self._unpurged_keys), sorted(self._unpurged)
            self._keys.destroy(key for key in keys if self._keys.get(key) is None)
            self._data.purge([place for place in places if self._data.get(place) is None])
            self._unpurged_keys.clear()
            self._unpurged.clear()

    def _note_destroyed(self, keys: Iterable[bytes], records: Iterable[RecordId]) -> None:
        """Deletes the keys of records of which nothing is left, and remembers what `tidy` has to purge."""
        idle = [one for one in sorted(set(records)) if not self._has_any(one.to_key(b"v/", b"/"))]
        if idle:
            in_use = {record_of(place) for staged in self._staged.values() for place in staged.sizes}
            idle = [one for one in idle if one not in in_use]
            self._keys.delete(idle)
        self._unpurged.update(keys)
        self._unpurged_keys.update(idle)

    def status(self) -> dict[str, int]:
        """Counts, no names; reads no disk."""
        with self._lock:
            return {
                "live_values": self._live.total(),
                "staged_transactions": len(self._staged),
                "staged_values": sum(len(staged.sizes) for staged in self._staged.values()),
                "erased_records": len(self._erased.counts),
            }

    def live_by_table(self) -> dict[str, int]:
        """How many values are live of each table."""
        with self._lock:
            return {table: count for table, count in sorted(self._live.items()) if count}

    def _count_new(self, puts: Iterable[bytes]) -> Counter[str]:
        """By table, which of the `puts` are not there yet."""
        return Counter(_table_of(key[2:]) for key in puts if self._data.get(key) is None)

    def _unseal(self, place: bytes, sealed: bytes) -> VaultValue:
        return unseal_value(self._chain_id, place, sealed, self._keys.get(record_of(place)))

    def _require_digest(self, value: VaultValue, digest: bytes) -> None:
        actual = value.digest(self._chain_id)
        if actual != digest:
            names = {"table": value.table, "record": value.record, "field": value.field}
            raise KehuError(VAULT_OTHER_VALUE, **names, expected=digest, actual=actual)

    def _has_any(self, prefix: bytes) -> bool:
        return next(iter(self._data.scan(prefix)), None) is not None


def _table_of(place: bytes) -> str:
    return place.partition(b"/")[0].decode()


def _ignore(_records: set[RecordId]) -> None:
    """Nobody wants to know."""


def _records(values: Iterable[VaultValue]) -> list[RecordId]:
    return sorted({RecordId(value.table, value.record) for value in values})
