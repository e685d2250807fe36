"""An erasure that a kill interrupts is finished at the next start, with everything that belongs to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.soundness.setting_aside import destroy_keys, set_aside
from node.storage.leveldb import LevelStore
from node.vault.keys import VAULT_LOCKED
from node.vault.seal import RecordId
from node.vault.store import Vault
from tests.node.vault_kit import CHAIN, NODE_KEY, files_with, opened, value_of

C1 = RecordId("customers", "c1")
VALUE = value_of("张三丰")
STEPS = 25
"""Writes and compactions of an erasure, and one."""


class Kill(BaseException):
    pass


class CutShort(LevelStore):
    """`left` counts down with each write and compaction of all such stores; at 0 the process dies."""

    left = 0

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        self.step()
        super().write(puts, deletes)

    def purge(self, keys: Sequence[bytes]) -> None:
        for _ in range(2 if keys else 0):
            self.write({}, keys)
            self.step()
            with self._handle("purge") as database:
                database.compact_range(start=min(keys), stop=max(keys) + b"\x00")

    def step(self) -> None:
        CutShort.left -= 1
        if CutShort.left < 0:
            raise Kill


def only_row(folder: Path, prefix: bytes) -> tuple[bytes, bytes]:
    store = LevelStore(folder)
    try:
        (row,) = store.scan(prefix)
        return row
    finally:
        store.close()


def rot(folder: Path, prefix: bytes) -> bytes:
    """Flips one bit of the only value there; what stands there then."""
    key, raw = only_row(folder, prefix)
    rotten = raw[:-1] + bytes([raw[-1] ^ 1])
    store = LevelStore(folder)
    store.write({key: rotten})
    store.close()
    return rotten


def test_keys_that_were_set_aside_go_with_an_erasure_that_a_kill_interrupted(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(VALUE, VALUE.digest(CHAIN))])
    _, key = only_row(tmp_path / "vault-keys", b"k/")
    set_aside(tmp_path, ("vault", "vault-keys"), KehuError(VAULT_LOCKED))

    def kill() -> int:
        raise Kill

    vault = Vault.open(tmp_path, CHAIN, NODE_KEY, kill)  # between the mark and what lies outside of the stores
    vault.put_live([(VALUE, VALUE.digest(CHAIN))])
    with pytest.raises(Kill):
        vault.erase([C1])
    vault.close()
    assert files_with(tmp_path, key[8:])

    vault = Vault.open(tmp_path, CHAIN, NODE_KEY, lambda: destroy_keys(tmp_path))
    vault.erase([C1])  # as `recover` does by the chain; after that the erasure is confirmed
    assert C1 in vault.erased()
    vault.close()
    assert files_with(tmp_path, key[8:]) == []


@pytest.mark.parametrize("steps", range(STEPS))
def test_nothing_that_was_set_aside_inside_the_vault_outlives_an_erasure_that_a_kill_interrupted(
    tmp_path: Path, steps: int
) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(VALUE, VALUE.digest(CHAIN))])
    _, sealed = only_row(tmp_path / "vault", b"v/")
    rotten = rot(tmp_path / "vault-keys", b"k/")
    with opened(tmp_path) as vault:
        assert vault.set_aside_unsound([C1]) == 1

    stores = CutShort(tmp_path / "vault"), CutShort(tmp_path / "vault-keys")
    CutShort.left = STEPS
    vault = Vault(*stores, CHAIN, NODE_KEY.seed)
    CutShort.left = steps
    with suppress(Kill):
        vault.erase([C1])
    vault.close()
    with opened(tmp_path) as vault:
        vault.erase([C1])
        assert C1 in vault.erased()
    assert files_with(tmp_path, rotten[-24:]) == []
    assert files_with(tmp_path, sealed[-24:]) == []


def test_the_key_of_an_erased_record_goes_again_if_an_older_store_of_keys_is_put_back(tmp_path: Path) -> None:
    """What it sealed may lie in the data of an old backup, whose keys were destroyed."""
    home = tmp_path / "home"
    with opened(home) as vault:
        vault.put_live([(one, one.digest(CHAIN)) for one in (VALUE, value_of("李四", "c2"))])
    shutil.copytree(home / "vault-keys", tmp_path / "older")
    with opened(home) as vault:
        vault.erase([C1])
    shutil.rmtree(home / "vault-keys")
    shutil.copytree(tmp_path / "older", home / "vault-keys")
    _, key = min(rows(home / "vault-keys", b"k/"))
    assert files_with(home, key)
    with opened(home) as vault:
        assert (vault.erased(), vault.live("customers", "c2") != []) == ({C1: 1}, True)
    assert not files_with(home, key)


def rows(folder: Path, prefix: bytes) -> list[tuple[bytes, bytes]]:
    store = LevelStore(folder)
    try:
        return list(store.scan(prefix))
    finally:
        store.close()


def test_keys_behind_a_link_to_another_disk_are_set_aside_and_destroyed_as_any_other(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "disk" / "keys"
    with opened(home) as vault:
        vault.put_live([(VALUE, VALUE.digest(CHAIN))])
    elsewhere.parent.mkdir()
    (home / "vault-keys").rename(elsewhere)
    (home / "vault-keys").symlink_to(Path("..") / "disk" / "keys")
    _, key = only_row(home / "vault-keys", b"k/")
    set_aside(home, ("vault", "vault-keys"), KehuError(VAULT_LOCKED))
    assert not (home / "vault-keys").exists()
    assert files_with(elsewhere, key)
    assert destroy_keys(home) == 1
    assert not elsewhere.exists()
    assert not files_with(tmp_path, key)
    assert destroy_keys(home) == 0
