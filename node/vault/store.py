"""The vault: personal values, sealed at rest, staged until their transaction commits and live from then on.

vault/ holds sealed values (node/vault/rows.py, node/vault/seal.py), vault-keys/ the record keys (node/vault/keys.py):

    v/ TABLE/RECORD                 what is live of a record
    s/ TRANSACTION TABLE/RECORD     what a transaction has staged for a record
    e/ TABLE/RECORD                 [values destroyed, finished]: an erased record, of which nothing is ever kept again
    d/ TABLE/RECORD                 what did not open (node/vault/unsound.py)

Each change is one synced write of the data store, so a crash leaves a value staged or live, never both or half. A
record key is durable before data is sealed under it; a key without data does no harm. An erasure is written down
first, and finished at the next opening if it must be; values that come for the record later are not taken.

What the chain keeps of the past are digests. A value is destroyed once its field has a newer committed version
(`advance`, `keep_only`), its transaction failed or expired (`advance`, `discard`, `expire`), or its record is erased
(`erase`).

Methods block for the disk: the event loop calls them through `asyncio.to_thread`. Any thread may call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from chain.crypto import SigningKey
from chain.errors import KehuError
from node.storage.leveldb import LevelStore
from node.storage.purging import PurgingStore
from node.storage.scans import begun
from node.vault.erased import ErasedRecords
from node.vault.keys import RecordKeys
from node.vault.leftovers import Leftovers
from node.vault.live import LiveRows
from node.vault.rows import LIVE, STAGED, Digests, Sealed, encode_live, followed, live_key, parse_live_key
from node.vault.seal import RecordId, Wanted, unseal_value
from node.vault.sealing import by_record, require_digest, seal_all
from node.vault.staged import StagedValues, Staging
from node.vault.unsound import UnsoundValues
from node.vault.values import FieldId, VaultValue

Hook = Callable[[], object]
Came = Mapping[RecordId, Sequence[VaultValue]]
"""For records of which nothing else has come or gone than newer versions: the values that went live, in the clear."""


class Vault:
    def __init__(
        self, data: PurgingStore, keys: PurgingStore, chain_id: bytes, seed: bytes, on_erase: Hook = int
    ) -> None:
        """`seed`: the node key's secret. Finishes erasures that a crash cut short; `on_erase` first takes away what is
        not in the stores. Errors: vault.locked, vault.keys_missing, vault.damaged."""
        self._data = data
        self._chain_id = chain_id
        self._lock = threading.RLock()
        is_new = not any(True for prefix in (LIVE, STAGED) for _ in data.scan(prefix))
        self._keys = RecordKeys(keys, chain_id, seed, is_new=is_new)
        self._staged = StagedValues(data, chain_id)
        self._live = LiveRows(data)
        self._erased = ErasedRecords(data)
        self.on_change: Callable[[Iterable[RecordId], Came], None] = _ignore
        """Told of records whose live values came or went, from whatever thread changed them."""
        self._unsound = UnsoundValues(data, self._keys, self._unseal)
        self.on_unsound: Callable[[Sequence[RecordId]], object] = len
        """Told of records of which a value did not open and was set aside, from whatever thread found it."""
        self._on_erase = on_erase
        self.stores: tuple[PurgingStore, ...] = (data, keys)
        self._leftovers = Leftovers(data, self._keys, self.stores, self._lock)
        self._finish_erasures([*self._erased.unfinished, *self._keys.among(self._erased.counts)])

    @classmethod
    def open(cls, home: Path, chain_id: bytes, node_key: SigningKey, on_erase: Hook = int) -> Vault:
        """The vault in the node folder `home`, made if there is none."""
        data = LevelStore(home / "vault", create=True)
        stores = [data]
        try:
            stores.append(LevelStore(home / "vault-keys", create=True))
            return cls(data, stores[1], chain_id, node_key.seed, on_erase)
        except BaseException:
            for store in stores:
                store.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._data.close()
            self._keys.close()

    # Staged values

    def stage(self, transaction_id: bytes, values: Sequence[VaultValue], expires_height: int, source: str = "") -> None:
        """Keeps the values of an uncommitted transaction; durable on return. Staging twice is fine. Errors:
        vault.staged_full."""
        (error,) = self.stage_all([Staging(transaction_id, values, expires_height, source)])
        if error is not None:
            raise error

    def stage_all(self, stagings: Sequence[Staging]) -> list[KehuError | None]:
        """All of `stagings` in one synced write (and one more if records get their first value); for each in order
        None, or vault.staged_full, and then nothing of it is kept.

        Values of erased records are not taken: their transaction can't succeed.
        """
        with self._lock:
            taken, errors = self._staged.fitting([self._without_erased(staging) for staging in stagings])
            records = [by_record(staging.values) for staging in taken]
            boxes = seal_all(self._chain_id, self._keys, records)
            rows = [
                self._staged.add(staging, record, sealed, values[record])
                for staging, values, sealed_of in zip(taken, records, boxes, strict=True)
                for record, sealed in sealed_of.items()
            ]
            if rows:
                self._data.write(dict(rows))
        return errors

    def _without_erased(self, staging: Staging) -> Staging:
        if not self._erased.counts:
            return staging
        values = [value for value in staging.values if RecordId(value.table, value.record) not in self._erased]
        return staging if len(values) == len(staging.values) else msgspec.structs.replace(staging, values=values)

    def settle(self, *transaction_ids: bytes) -> None:
        """The transactions committed: their staged values are live. Unknown ids are passed over."""
        self.advance(transaction_ids, (), {})

    def discard(self, *transaction_ids: bytes) -> None:
        """The transactions will not commit: their staged values are destroyed. Live values stay."""
        self.advance((), transaction_ids, {})

    def expire(self, height: int) -> list[bytes]:
        """Discards what can't commit any more once block `height` is appended; the ids that went."""
        with self._lock:
            gone = self._staged.expiring(height)
            if gone:
                self.discard(*gone)
            return gone

    def expiring(self, height: int) -> list[bytes]:
        """What `expire` would discard."""
        with self._lock:
            return self._staged.expiring(height)

    def staged_among(self, transaction_ids: Iterable[bytes]) -> set[bytes]:
        """Those of which something is staged."""
        with self._lock:
            return {key for key in transaction_ids if key in self._staged}

    def staged(self) -> dict[bytes, int]:
        """Transaction id -> expiry height of all that is staged."""
        with self._lock:
            return self._staged.expiries()

    def staged_for(self, transaction_id: bytes) -> list[Wanted]:
        """Fields and digests of what is staged for a transaction."""
        with self._lock:
            rows = self._staged.rows_of(transaction_id)
            return [(record.field(name), digest) for record, row in rows.items() for name, digest in row.sealed]

    def get_staged(self, transaction_id: bytes) -> list[VaultValue]:
        """The values staged for a transaction. Errors: vault.damaged."""
        with self._lock:
            rows = self._staged.rows_of(transaction_id)
            return [
                self._unseal((record.field(field), digest), sealed)
                for record in sorted(rows)
                for (field, digest), sealed in rows[record].sealed.items()
            ]

    # What a block does

    def advance(
        self, committed: Iterable[bytes], failed: Iterable[bytes], current: Mapping[RecordId, Digests]
    ) -> dict[RecordId, Digests]:
        """In one write: what the `committed` transactions staged is live, what the `failed` ones staged is destroyed,
        and of the records in `current` whatever does not have the digest that is said there.

        What is live of these records then. Unknown transactions are passed over.
        """
        with self._lock:
            settled = [key for key in dict.fromkeys(committed) if key in self._staged]
            unstaged = [*settled, *(key for key in dict.fromkeys(failed) if key in self._staged)]
            added, opened = self._staged.settled(settled)
            before: dict[RecordId, Sealed] = {}
            after: dict[RecordId, Sealed] = {}
            live: dict[RecordId, Digests] = {record: {} for record in current}
            for record in dict.fromkeys([*added, *current]):
                row, new, digests = self._live.of(record), added.get(record), current.get(record)
                made = followed(row, new, digests) if row or new else row
                if made is not row:
                    before[record], after[record] = row, made
                if made and digests is not None:
                    live[record] = dict(made.keys())
            changed = self._write(before, after, unstaged)
        self.on_change(changed, opened)
        return live

    def _write(
        self, before: Mapping[RecordId, Sealed], after: Mapping[RecordId, Sealed], unstaged: Sequence[bytes] = ()
    ) -> set[RecordId]:
        """One write that makes of the rows `before` those `after` and takes transactions out of what is staged; the
        records of which something has come or gone."""
        puts: dict[bytes, bytes] = {}
        deletes: list[bytes] = []
        changed: dict[RecordId, Sealed] = {}
        unpurged: list[bytes] = []
        for record, row in after.items():
            was = before[record]
            if row == was:
                continue
            changed[record], key = row, live_key(record)
            if row:
                puts[key] = encode_live(row)
            else:
                deletes.append(key)
            if not was.keys() <= row.keys():
                unpurged.append(key)
        freed = [(record, row.key) for one in unstaged for record, row in self._staged.rows_of(one).items()]
        deletes += [key for _, key in freed]
        if puts or deletes:
            self._data.write(puts, deletes)
        self._live.replaced(before, changed)
        self._leftovers.note(unpurged, was_unstaged=bool(unstaged))
        for one in unstaged:
            self._staged.remove(one)
        emptied = [record for record, row in changed.items() if not row]
        self._delete_idle_keys({*emptied, *(record for record, _ in freed if record not in changed)})
        return set(changed)

    def _delete_idle_keys(self, records: Iterable[RecordId]) -> None:
        """The keys of those records of which nothing is left; `tidy` takes them off the disk."""
        idle = [record for record in records if not self._live.of(record) and not self._staged.has_record(record)]
        if idle:
            self._keys.delete(sorted(idle))
            self._leftovers.note_keys(idle)

    # Live values

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        """The live value that the chain commits to by `digest`. Errors: vault.damaged, once: then it is set aside."""
        name, of = FieldId(table, record, field), RecordId(table, record)
        try:
            with self._lock:
                sealed = self._live.of(of).get((field, digest))
                return None if sealed is None else self._unseal((name, digest), sealed)
        except KehuError:
            self.set_aside_unsound([of])
            raise

    def look_through(self, after: bytes, count: int) -> tuple[bytes | None, int]:
        """Opens all values of up to `count` records behind the row `after`, and sets aside what does not open: (the
        last row looked at, or None at the end; how many values were set aside)."""
        page = list(islice(self._data.scan(LIVE, after + b"\x00" if after else b""), count))
        unsound = self.set_aside_unsound([parse_live_key(key) for key, _ in page])
        return (page[-1][0][len(LIVE) :] if page else None), unsound

    def set_aside_unsound(self, records: Sequence[RecordId]) -> int:
        """How many values of `records` did not open. They are not live any more, and may come from another holder."""
        with self._lock:
            before = {record: self._live.read(record) for record in records}
            changed = self._write(before, {one: self._unsound.sound_of(one, row) for one, row in before.items()})
            count = sum(len(before[one]) - len(self._live.of(one)) for one in changed)
        if changed:
            self.on_change(changed, {})
            self.on_unsound(sorted(changed))
        return count

    def has(self, wanted: Wanted) -> bool:
        return not self.missing([wanted])

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Which of `wanted` are not live here, in the same order. Errors: vault.damaged."""
        with self._lock:
            return [
                (name, digest)
                for name, digest in wanted
                if (name.field, digest) not in self._live.of(RecordId(name.table, name.record))
            ]

    def live(self, table: str, record: str) -> list[Wanted]:
        """Fields and digests of a record's live values."""
        of = RecordId(table, record)
        with self._lock:
            return [(of.field(name), digest) for name, digest in sorted(self._live.of(of))]

    def put_live(self, values: Sequence[tuple[VaultValue, bytes]]) -> None:
        """Keeps values whose digests are on the chain already, all or none but those of erased records.

        Errors: vault.other_value.
        """
        for value, digest in values:
            require_digest(self._chain_id, value, digest)
        with self._lock:
            records = by_record(value for value, _ in values)
            kept = {record: found for record, found in records.items() if record not in self._erased}
            (sealed,) = seal_all(self._chain_id, self._keys, [kept])
            before = {record: self._live.of(record) for record in kept}
            changed = self._write(before, {record: row | sealed[record] for record, row in before.items()})
        self.on_change(changed, {})

    def keep_only(self, current: Mapping[RecordId, Digests]) -> dict[RecordId, Digests]:
        """Destroys the live values of each record except those with the given {field: digest}; what is live then."""
        return self.advance((), (), current)

    def drop(self, values: Iterable[Wanted]) -> None:
        """Destroys single live values; those that are not here are passed over."""
        gone: dict[RecordId, set[tuple[str, bytes]]] = {}
        for name, digest in values:
            gone.setdefault(RecordId(name.table, name.record), set()).add((name.field, digest))
        with self._lock:
            before = {record: self._live.of(record) for record in gone}
            after = {
                record: {one: box for one, box in row.items() if one not in gone[record]}
                for record, row in before.items()
            }
            changed = self._write(before, after)
        self.on_change(changed, {})

    # Destruction

    def erase(self, records: Iterable[RecordId]) -> None:
        """Destroys each record's key and all its values, staged ones too, for good: no file of the vault has them on
        return, and none is taken once it has begun. Who calls waits for up to a rewrite of the tables concerned."""
        with self._lock:
            new = sorted(one for one in set(records) if one not in self._erased)
            self._erased.begin({one: self._count(one) for one in new})
        self._finish_erasures(new)

    def erased(self) -> dict[RecordId, int]:
        """The erased records, and how many sealed values were destroyed with each."""
        with self._lock:
            return dict(self._erased.counts)

    def _count(self, record: RecordId) -> int:
        return len(self._live.of(record)) + sum(self._staged.of_record(record).values())

    def _finish_erasures(self, records: Sequence[RecordId]) -> None:
        """Keys first: then nothing opens, whatever a crash leaves to be done."""
        if not records:
            return
        with self._lock:
            self._on_erase()
            self._keys.delete(records)
            staged = [key for one in records for key in self._staged.of_record(one)]
            for record in records:
                self._live.replaced({record: self._live.of(record)}, {record: {}})
                self._staged.remove_record(record)
            self._data.write({}, [*map(live_key, records), *staged])
        self.on_change(set(records), {})
        self._leftovers.purge(records)
        with self._lock:
            self._erased.finish(records)

    def tidy(self) -> None:
        """Takes off the disk what was destroyed since the last time; until then it lies there sealed. Costs a rewrite
        of the tables concerned; the first time of all, for what the last run left. Nobody waits for it."""
        self._leftovers.tidy()

    def pairs(self) -> tuple[Iterator[tuple[bytes, bytes]], Iterator[tuple[bytes, bytes]]]:
        with self._lock:  # rows and keys of one moment, sealed as they are
            return begun(self._data.scan(b"")), self._keys.pairs()

    def status(self) -> dict[str, int]:
        """Counts, no names; reads no disk."""
        with self._lock:
            staged = {"staged_transactions": len(self._staged), "staged_values": self._staged.count_values()}
            return {"live_values": self._live.counts.total(), "erased_records": len(self._erased.counts), **staged}

    def live_by_table(self) -> dict[str, int]:
        """How many values are live of each table."""
        with self._lock:
            return {table: count for table, count in sorted(self._live.counts.items()) if count}

    def _unseal(self, wanted: Wanted, sealed: bytes) -> VaultValue:
        name, _ = wanted
        return unseal_value(wanted, sealed, self._keys.get(RecordId(name.table, name.record)))


def _ignore(_records: Iterable[RecordId], _came: Came) -> None:
    """Nobody wants to know."""
