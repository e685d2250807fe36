"""What the vault destroyed is in none of its files once it was tidied up, whatever happened in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chain.crypto import SigningKey, digest
from node.storage.leveldb import LevelStore
from node.vault.keys import reseal
from node.vault.seal import RecordId
from node.vault.store import Vault
from tests.node.vault_kit import CHAIN, NODE_KEY, files_with, get, opened, transaction_id, value_of

SECRET = b"m/vault-secret"
PATIENCE_S = 20


def stored(home: Path, folder: str, key: bytes) -> bytes:
    """The end of what stands under the only key that begins so: bytes that no other value has."""
    store = LevelStore(home / folder)
    try:
        ((_, raw),) = store.scan(key)
        return raw[-24:]
    finally:
        store.close()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_was_handed_back_is_in_no_file_after_a_tidy_whether_the_node_was_restarted_or_not(
    tmp_path: Path, is_restarted: bool
) -> None:
    value, other = value_of("张三丰"), value_of("李四", record="c2")
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)), (other, other.digest(CHAIN))])
    gone = [stored(tmp_path, "vault", b"v/customers/c1"), stored(tmp_path, "vault-keys", b"k/customers/c1")]
    with opened(tmp_path) as vault:
        vault.drop([(value.id, value.digest(CHAIN))])
        if not is_restarted:
            vault.tidy()
    with opened(tmp_path) as vault:
        assert get(vault, value) is None
        if is_restarted:
            vault.tidy()
    assert [files_with(tmp_path, one) for one in gone] == [[], []]


def test_a_key_that_was_erased_under_an_open_scan_is_gone_once_that_is_closed_and_the_vault_tidied(
    tmp_path: Path,
) -> None:
    value = value_of("张三丰")
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN))])
    key = stored(tmp_path, "vault-keys", b"k/customers/c1")
    with opened(tmp_path) as vault:
        vault.tidy()
        backup = vault.pairs()
        vault.erase([RecordId("customers", "c1")])
        for pairs in backup:
            list(pairs)
        del backup, pairs
        vault.tidy()
        assert files_with(tmp_path, key) == []


@pytest.mark.parametrize("first", [0x00, 0x7F, 0xFE, 0xFF])
def test_what_a_failed_transaction_had_staged_is_in_no_file_after_a_tidy_with_whatever_byte_its_id_begins(
    tmp_path: Path, first: int
) -> None:
    one, other = bytes([first]) + transaction_id("one")[1:], value_of("经理", field="position")
    with opened(tmp_path) as vault:
        vault.put_live([(other, other.digest(CHAIN))])
        vault.tidy()
        vault.stage(one, [value_of("张三丰")], 9)
    gone = stored(tmp_path, "vault", b"s/")
    with opened(tmp_path) as vault:
        vault.tidy()
        assert files_with(tmp_path, gone)
        vault.discard(one)
        vault.tidy()
        assert files_with(tmp_path, gone) == []


class CompactedBeside(LevelStore):
    """While the first table is written anew, `meanwhile` is done by another thread, and waited for."""

    meanwhile: Callable[[], None] | None = None

    def compact(self, first: bytes, last: bytes) -> None:
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            with ThreadPoolExecutor(1) as other:
                other.submit(work).result(timeout=20)
        super().compact(first, last)


def test_a_vault_is_worked_with_while_it_is_tidied_and_what_is_destroyed_meanwhile_goes_the_next_time(
    tmp_path: Path,
) -> None:
    first, second = value_of("张三丰"), value_of("李四", record="c2")
    newer, later = value_of("张无忌"), value_of("王五", record="c3")
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)) for value in (first, second)])
    gone, gone_later = (
        [stored(tmp_path, "vault", b"v/customers/" + record), stored(tmp_path, "vault-keys", b"k/customers/" + record)]
        for record in (b"c1", b"c2")
    )
    keys = CompactedBeside(tmp_path / "vault-keys")
    vault = Vault(LevelStore(tmp_path / "vault"), keys, CHAIN, NODE_KEY.seed)
    vault.tidy()  # the first time is of all that is there

    def work() -> None:
        vault.drop([(second.id, second.digest(CHAIN))])
        vault.put_live([(newer, newer.digest(CHAIN))])
        vault.stage(transaction_id("later"), [later], 9)

    vault.drop([(first.id, first.digest(CHAIN))])
    keys.meanwhile = work
    vault.tidy()
    assert keys.meanwhile is None
    assert [files_with(tmp_path, one) for one in gone] == [[], []]
    vault.settle(transaction_id("later"))
    vault.tidy()
    assert [files_with(tmp_path, one) for one in gone_later] == [[], []]
    assert [get(vault, one) for one in (newer, later)] == [newer, later]
    assert get(vault, second) is None
    vault.close()


def test_an_erasure_is_over_only_when_no_file_has_key_or_value_though_a_backup_is_being_read_and_goes_on(
    tmp_path: Path,
) -> None:
    values = [value_of(f"客户{number}", record=f"c{number:03}") for number in range(300)]
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)) for value in values])
    places = [("vault", b"v/customers/c200"), ("vault-keys", b"k/customers/c200")]
    gone = [stored(tmp_path, folder, key) for folder, key in places]
    with opened(tmp_path) as vault:
        rows, keys = vault.pairs()
        read, read_keys = [next(rows) for _ in range(70)], [next(keys) for _ in range(70)]
        assert [bool(files_with(tmp_path, one)) for one in gone] == [True, True]
        vault.erase([RecordId("customers", "c200")])
        assert [files_with(tmp_path, one) for one in gone] == [[], []]
        left = {key for key, _ in (*read, *rows)}
        assert left >= {b"v/customers/c%03d" % number for number in range(300) if number != 200}
        assert {key for key, _ in (*read_keys, *keys)} == {
            SECRET, *(b"k/customers/c%03d" % number for number in range(300) if number != 200)
        }  # fmt: skip
        assert b"v/customers/c200" not in left


def test_the_vaults_secret_under_a_former_key_is_in_no_file(tmp_path: Path) -> None:
    following = SigningKey(digest("test key", b"the next key"))
    value = value_of("张三丰")
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN))])
    former = stored(tmp_path, "vault-keys", SECRET)
    reseal(tmp_path / "vault-keys", CHAIN, NODE_KEY.seed, following.seed)
    assert files_with(tmp_path, former) == []
    with opened(tmp_path, following) as vault:
        assert get(vault, value) == value


class Held(LevelStore):
    """Whose purges begin when they may."""

    def __init__(self, path: Path) -> None:
        self.has_begun, self.may = threading.Event(), threading.Event()
        super().__init__(path, create=True)

    def purge(self, keys: Sequence[bytes]) -> None:
        self.has_begun.set()
        assert self.may.wait(PATIENCE_S)
        super().purge(keys)


def test_while_an_erasure_rewrites_tables_nothing_of_the_record_is_there_and_nobody_waits(tmp_path: Path) -> None:
    first, second, later = (
        value_of("张三丰"),
        value_of("李四", record="c2"),
        value_of("王五", record="c2", field="note"),
    )
    data, keys = Held(tmp_path / "vault"), LevelStore(tmp_path / "vault-keys", create=True)
    vault = Vault(data, keys, CHAIN, NODE_KEY.seed)
    vault.put_live([(first, first.digest(CHAIN)), (second, second.digest(CHAIN))])
    vault.stage(transaction_id("one"), [value_of("张三", field="note")], 9)
    gone = [raw[-24:] for store in (data, keys) for key, raw in store.scan(b"") if b"/c1" in key]
    assert len(gone) == 3
    with ThreadPoolExecutor(1) as pool:
        erasing = pool.submit(vault.erase, [RecordId("customers", "c1")])
        assert data.has_begun.wait(PATIENCE_S)
        try:
            assert get(vault, first) is None
            vault.stage(transaction_id("two"), [later], 9)
            vault.stage(transaction_id("three"), [first], 9)
            vault.settle(transaction_id("two"), transaction_id("three"))
            assert (get(vault, second), get(vault, later), get(vault, first)) == (second, later, None)
            assert not erasing.done()
        finally:
            data.may.set()
        erasing.result(PATIENCE_S)
    vault.close()
    assert [files_with(tmp_path, one) for one in gone] == [[], [], []]
