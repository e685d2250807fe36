"""Whether every live value of a vault's folder opens; for folders that no node has open."""

from __future__ import annotations

from pathlib import Path

from chain.crypto import SigningKey
from node.storage.leveldb import LevelStore
from node.vault.keys import RecordKeys
from node.vault.rows import LIVE, decode_live, encode_live, parse_live_key
from node.vault.seal import KEY_ID_BYTES, unseal_value


def check_values(home: Path, chain_id: bytes, node_key: SigningKey) -> tuple[int, int]:
    """(values that open under their record's key, values dropped because that key is not here any more).

    Errors: vault.locked, vault.keys_missing, vault.damaged.
    """
    if not (home / "vault").exists():
        return 0, 0
    data = LevelStore(home / "vault")
    try:
        keys_store = LevelStore(home / "vault-keys", create=True)
        try:
            return _check(data, RecordKeys(keys_store, chain_id, node_key.seed, is_new=False))
        finally:
            keys_store.close()
    finally:
        data.close()


def _check(data: LevelStore, keys: RecordKeys) -> tuple[int, int]:
    good = dropped = 0
    for row_key, raw in data.scan(LIVE):
        record = parse_live_key(row_key)
        key, row = keys.get(record), decode_live(record, raw)
        kept = {place: sealed for place, sealed in row.items() if key and sealed[:KEY_ID_BYTES] == key.id}
        for (field, digest), sealed in kept.items():
            unseal_value((record.field(field), digest), sealed, key)
        good, dropped = good + len(kept), dropped + len(row) - len(kept)
        if len(kept) < len(row):
            data.write({row_key: encode_live(kept)} if kept else {}, () if kept else [row_key])
    return good, dropped
