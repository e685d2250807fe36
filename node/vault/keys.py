"""The keys of the vault: one random key per record, kept apart from the data, so that erasing is destroying a key.

    m/vault-secret      [1, nonce (12) | sealed (32 + 16)]    32 random bytes under HKDF-SHA256 of the node's seed
    k/TABLE/RECORD      key id (8) | nonce (12) | record key (32 + 16), sealed under the vault secret
    d/TABLE/RECORD      a record key that does not open, set aside until the record is erased

The secret is not the node's key itself (HKDF: RFC 5869), so that the node's key can be changed without sealing
every record key anew. A key id is drawn with each key: what was sealed under a destroyed key is told from what
the record's next key sealed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chain import codec
from chain.errors import KehuError, define
from node.newest import Newest
from node.storage.durable import StorageFailure
from node.storage.leveldb import LevelStore
from node.storage.purging import PurgingStore, purge_replaced
from node.storage.scans import begun
from node.vault.seal import KEY_ID_BYTES, VAULT_DAMAGED, RecordId, RecordKey, seal, unseal

_VERSION: Final = 1
_SECRET: Final = b"m/vault-secret"
OPEN_MAX: Final = 10_000
"""Record keys that are kept open in memory: those of records that were worked on last."""

VAULT_LOCKED = define(
    "vault.locked",
    "the keys of the vault were sealed by another node's key, for another chain, or were altered",
    "put back vault-keys/ and node.key as they belong together; or move vault/ and vault-keys/ away: "
    "the node fetches from other departments what it may hold",
)
VAULT_KEYS_MISSING = define(
    "vault.keys_missing",
    "there are sealed values but not the keys they were sealed under",
    "put vault-keys/ back from where it went; or move vault/ away too: the node fetches from other departments "
    "what it may hold",
)


class RecordKeys:
    """Record keys in their store. Not for several threads at once: the vault holds the lock."""

    def __init__(self, store: PurgingStore, chain_id: bytes, seed: bytes, *, is_new: bool) -> None:
        """`seed` is the node key's secret. `is_new`: nothing is sealed yet, so a missing vault secret is drawn.

        Errors: vault.locked, vault.keys_missing.
        """
        self._store = store
        self._chain_id = chain_id
        self._open: Newest[RecordId, RecordKey] = Newest(OPEN_MAX)
        raw = store.get(_SECRET)
        if raw is None and not is_new:
            raise KehuError(VAULT_KEYS_MISSING)
        self._secret = self._draw_secret(seed) if raw is None else _open_secret(raw, chain_id, seed)

    def _draw_secret(self, seed: bytes) -> bytes:
        secret = secrets.token_bytes(32)
        self._store.write({_SECRET: _seal_secret(secret, self._chain_id, seed)})
        return secret

    def get(self, record: RecordId) -> RecordKey | None:
        """Errors: vault.damaged."""
        key = self._open.get(record)
        if key is None:
            raw = self._store.get(record.to_key(b"k/"))
            if raw is None:
                return None
            key_id, sealed = raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:]
            try:
                secret = unseal(self._secret, sealed, self._associated(record, key_id))
            except InvalidTag:
                raise KehuError(VAULT_DAMAGED, what="record key", table=record.table, record=record.record) from None
            key = RecordKey.of(self._chain_id, record, key_id, secret)
            self._open.keep(record, key)
        return key

    def among(self, records: Iterable[RecordId]) -> list[RecordId]:
        """Those of which there is a key, whether it opens or not: of erased ones, if an older store was put back."""
        return [one for one in records if self._store.get(one.to_key(b"k/")) is not None]

    def ensure(self, records: Iterable[RecordId]) -> dict[RecordId, RecordKey]:
        """The key of each record; those that have none get one, all in one durable write."""
        found: dict[RecordId, RecordKey] = {}
        puts: dict[bytes, bytes] = {}
        for record in records:
            key = self._sound(record)
            if key is None:
                key_id, secret = secrets.token_bytes(KEY_ID_BYTES), secrets.token_bytes(32)
                puts[record.to_key(b"k/")] = key_id + seal(self._secret, secret, self._associated(record, key_id))
                key = RecordKey.of(self._chain_id, record, key_id, secret)
            found[record] = key
        if puts:
            self._store.write(puts)
            for record, key in found.items():
                self._open.keep(record, key)
        return found

    def _sound(self, record: RecordId) -> RecordKey | None:
        """None also where the key does not open; then it is set aside, and what it sealed as soon as that is read."""
        try:
            return self.get(record)
        except StorageFailure:
            raise
        except KehuError:
            self.set_aside_unsound(record)
            return None

    def delete(self, records: Iterable[RecordId]) -> None:
        """The keys can't be read any more; `purge_deleted` and `purge` take their bytes off the disk."""
        self._store.write({}, [self._close(record).to_key(b"k/") for record in records])

    def purge(self, records: Sequence[RecordId]) -> None:
        """Of records that never get a key again, and whose key was deleted: it is in no file of the folder when this
        returns. At any time: others may use other records' keys meanwhile."""
        self._store.purge([record.to_key(b"k/") for record in records])
        # Whether it is there or not: a purge that a crash cut short has deleted it, and its bytes still lie in a table.
        self._store.purge([record.to_key(b"d/") for record in records])

    def purge_deleted(self, records: Iterable[RecordId]) -> None:
        """Keys that `delete` took from `records` are in no file of the folder when this returns; those that they have
        now stay. At any time: it touches no key."""
        purge_replaced(self._store, [record.to_key(b"k/") for record in records])

    def set_aside_unsound(self, record: RecordId) -> None:
        """Makes room for a new key if the record's does not open."""
        try:
            self.get(record)
        except KehuError:
            key = record.to_key(b"k/")
            self._store.write({record.to_key(b"d/"): self._store.get(key) or b""}, [key])

    def _close(self, record: RecordId) -> RecordId:
        self._open.pop(record, None)
        return record

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is in the store, sealed as it is, as of now."""
        return begun(self._store.scan(b""))

    def close(self) -> None:
        self._store.close()

    def _associated(self, record: RecordId, key_id: bytes) -> bytes:
        return codec.encode_flat(["record-key", self._chain_id, record.table, record.record, key_id])


def _seal_secret(secret: bytes, chain_id: bytes, seed: bytes) -> bytes:
    return codec.encode_flat([_VERSION, seal(_wrapping_key(chain_id, seed), secret, _SECRET)])


def _open_secret(raw: bytes, chain_id: bytes, seed: bytes) -> bytes:
    try:
        _, sealed = codec.fields(codec.decode(raw, 256), "vault secret", _VERSION.__eq__, codec.is_bytes)
        return unseal(_wrapping_key(chain_id, seed), sealed, _SECRET)
    except (InvalidTag, KehuError):
        raise KehuError(VAULT_LOCKED) from None


def _wrapping_key(chain_id: bytes, seed: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=chain_id, info=b"kehu/vault-secret").derive(seed)


def reseal(folder: Path, chain_id: bytes, old_seed: bytes, new_seed: bytes) -> None:
    """Seals the secret of the vault in `folder` under the node's next key; harmless where that is done, or nothing is.
    Errors: vault.locked."""
    if not folder.exists():
        return
    store = LevelStore(folder)
    try:
        raw = store.get(_SECRET)
        if raw is None:
            return
        try:
            secret = _open_secret(raw, chain_id, old_seed)
        except KehuError:
            _open_secret(raw, chain_id, new_seed)
        else:
            store.write({_SECRET: _seal_secret(secret, chain_id, new_seed)})
        purge_replaced(store, [_SECRET])  # the former key is to open nothing that still lies in an old table
    finally:
        store.close()
