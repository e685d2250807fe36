"""A backup's files: what is in them, and that nothing but a whole backup becomes a folder."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain.blocks import BlockStore
from chain.errors import KehuError
from node.backup.format import (
    DATA_MAGIC,
    KeysSealer,
    data_chunks,
    encode_frame,
    framed,
    read_data,
    read_keys,
)
from node.backup.making import DATA, KEYS, backup_chunks
from node.backup.restoring import Restored, restore
from node.folder.config import Home
from node.keys.files import ScryptCost, change_passphrase, create_key_file, load_key
from node.storage.leveldb import LevelStore
from node.vault.store import Vault
from node.vault.values import VaultValue
from tests.node.cluster import CHEAP, DEPARTMENTS, PASSPHRASE, genesis_value, make_home
from tests.node.node_kit import CHAIN, EXPIRY_HEIGHTS_MAX, GENESIS, Chain, node_key

VALUE = VaultValue("customers", "c1", "name", bytes(32), "张三 canary")


class Taken:
    """A folder with a chain and a value, and its backup."""

    def __init__(self, folder: Path, more_rows: dict[bytes, bytes] | None = None) -> None:
        self.folder = folder
        ports = dict(zip(DEPARTMENTS, range(7001, 7005), strict=True))
        value = {**genesis_value(ports, expiry_heights_max=EXPIRY_HEIGHTS_MAX), "time_ms": GENESIS.time_ms}
        self.home = make_home(folder / "sales", "sales", value, 7004, 8004)
        create_key_file(self.home.next_key, "node", "sales", PASSPHRASE, bytes(range(32)), CHEAP)
        self.chain = Chain(self.home.path)
        for _ in range(5):
            self.chain.append()
        self.chain.store.write(more_rows or {})
        vault = Vault.open(self.home.path, CHAIN, node_key("sales"))
        vault.put_live([(VALUE, VALUE.digest(CHAIN))])
        parts: dict[int, list[bytes]] = {DATA: [], KEYS: []}
        chunks = backup_chunks(self.home, "secrets/passphrase", self.chain.blocks, vault, CHEAP)
        for target, chunk in chunks:
            parts[target].append(chunk)
            if len(parts[DATA]) == 1:
                self.chain.append()  # the backup stays what it was when it began
        vault.close()
        self.chain.store.close()
        self.data, self.keys = b"".join(parts[DATA]), b"".join(parts[KEYS])

    def restore(
        self,
        data: bytes | None = None,
        keys: bytes | None = None,
        passphrase: str = PASSPHRASE,
        name: str = "new",
        advance: Callable[[int], None] = lambda _blocks: None,
    ) -> Restored:
        data_file, keys_file = self.folder / "a.backup", self.folder / "a.keys"
        data_file.write_bytes(self.data if data is None else data)
        keys_file.write_bytes(self.keys if keys is None else keys)
        home = self.folder / name
        return restore(data_file, keys_file, home, passphrase, verify=True, advance=advance)


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    return Taken(tmp_path)


def test_a_backup_is_that_of_one_height_and_restores_to_the_same_root(taken: Taken) -> None:
    found = taken.restore()
    header = taken.chain.ledger.head.header
    assert (found.height, found.blocks_verified, found.department) == (5, 5, "sales")
    assert (header.height, header.parent_id) == (6, found.block_id)
    assert (found.values, found.dropped) == (1, 0)
    home = taken.folder / "new"
    assert not (home / "votes.log").exists()
    vault = Vault.open(home, CHAIN, node_key("sales"))
    assert vault.get("customers", "c1", "name", VALUE.digest(CHAIN)) == VALUE
    vault.close()


@pytest.mark.parametrize("is_by_it", [False, True])
def test_rows_that_an_earlier_release_stored_are_in_no_restored_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_by_it: bool
) -> None:
    """`is_by_it`: that release made the backup, too, and they are in it."""
    former = {b"h/customers/c%d\x00" % number + bytes(8): b"a value that was replaced" for number in range(9)}
    if is_by_it:
        monkeypatch.setattr(BlockStore, "pairs", lambda blocks: blocks._store.scan(b""))
    taken = Taken(tmp_path, former)
    assert (b"a value that was replaced" in taken.data) == is_by_it
    assert taken.restore().blocks_verified == 5
    store = LevelStore(taken.folder / "new" / "chain")
    assert list(store.scan(b"h/")) == []
    assert len(list(store.scan(b"b/"))) == 6
    store.close()


def test_a_key_that_was_made_and_not_taken_up_yet_is_in_the_backup(taken: Taken) -> None:
    """By the time that the folder is restored, the network may know the node by no other."""
    taken.restore()
    assert load_key(Home(taken.folder / "new").next_key, PASSPHRASE).seed == bytes(range(32))


def test_a_folder_whose_key_is_gone_or_opens_with_another_passphrase_gives_no_backup(taken: Taken) -> None:
    """Nobody could restore it; so it is said now, and not when it is needed."""

    def refusal() -> str:
        store = LevelStore(taken.home.chain)
        try:
            with pytest.raises(KehuError) as caught:
                next(backup_chunks(taken.home, "secrets/passphrase", BlockStore(store), None, CHEAP))
        finally:
            store.close()
        return caught.value.code

    change_passphrase(taken.home.node_key, PASSPHRASE, "interrupted here")
    assert refusal() == "key.passphrase_wrong"
    taken.home.node_key.unlink()
    assert refusal() == "key.file_missing"


def test_nothing_personal_and_no_key_is_in_the_clear_in_either_file(taken: Taken) -> None:
    seed = node_key("sales").seed
    for content in (taken.data, taken.keys):
        assert VALUE.value.encode() not in content
        assert seed not in content
        assert seed.hex().encode() not in content
    assert b"ciphertext" not in taken.keys  # not even the sealed key file can be seen
    assert b"k/customers" not in taken.data


def test_data_that_were_altered_where_they_were_kept_are_refused_though_they_are_whole(taken: Taken) -> None:
    """Whoever has the data file only could name another carrier in node.toml, who would be told every number."""
    first, *frames = read_data(io.BytesIO(taken.data))
    backup_id = first[1][0][1]

    def data(host: bytes) -> bytes:
        changed = [(kind, [(key, value.replace(b"127.0.0.1", host)) for key, value in pairs]) for kind, pairs in frames]
        return b"".join(data_chunks(backup_id, [encode_frame(kind, pairs) for kind, pairs in changed]))

    assert data(b"127.0.0.1") == taken.data
    with pytest.raises(KehuError, match=r"backup\.other"):
        taken.restore(data(b"10.66.6.6"))
    assert not (taken.folder / "new").exists()


def test_a_backup_of_an_earlier_release_whose_keys_say_nothing_of_the_data_is_restored(taken: Taken) -> None:
    backup_id, frames = read_keys(io.BytesIO(taken.keys), PASSPHRASE)
    sealer = KeysSealer(backup_id, PASSPHRASE, CHEAP)
    sealed = [sealer.seal(encode_frame(kind, pairs)) for kind, pairs in frames]
    assert frames.data_digest is not None
    assert taken.restore(keys=sealer.head + b"".join(sealed) + sealer.end()).height == 5


def test_a_folder_with_anything_in_it_is_left_alone(taken: Taken) -> None:
    (taken.folder / "new").mkdir()
    assert taken.restore().height == 5
    with pytest.raises(KehuError) as refusal:
        taken.restore()
    assert refusal.value.code == "restore.not_empty"
    (taken.folder / "target").mkdir()
    (taken.folder / "link").symlink_to(taken.folder / "target")
    with pytest.raises(KehuError):
        taken.restore(name="link")
    assert not any((taken.folder / "target").iterdir())


def test_keys_that_are_kept_elsewhere_are_asked_for_and_no_disk_is_blamed(taken: Taken) -> None:
    data, elsewhere = taken.folder / "node.kehu-backup", taken.folder / "gone.keys"
    data.write_bytes(taken.data)
    with pytest.raises(KehuError) as refusal:
        restore(data, elsewhere, taken.folder / "new", PASSPHRASE, verify=False, advance=lambda _: None)
    assert (refusal.value.code, refusal.value.details) == ("restore.keys_missing", {"keys": str(elsewhere)})
    assert not (taken.folder / "new").exists()


def test_a_mounted_folder_is_refused_before_anything_is_restored(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    (taken.folder / "new").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == taken.folder / "new")
    with pytest.raises(KehuError, match=r"restore\.mounted"):
        taken.restore()
    assert not any((taken.folder / "new").iterdir())
    assert taken.restore(name="beside").height == 5


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def flip(share: float) -> Callable[[bytes], bytes]:
    def alter(content: bytes) -> bytes:
        at = int(len(content) * share)
        return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]

    return alter


DAMAGE = [*(cut(share / 6) for share in range(6)), *(flip(share / 6) for share in range(6)), lambda c: c + b"\x00"]


def test_a_partial_or_altered_backup_becomes_no_folder(taken: Taken) -> None:
    (taken.folder / "a.backup").touch()
    (taken.folder / "a.keys").touch()
    before = sorted(path.name for path in taken.folder.iterdir())
    for damage in DAMAGE:
        for data, keys in ((damage(taken.data), None), (None, damage(taken.keys))):
            with pytest.raises(KehuError):
                taken.restore(data, keys)
    assert sorted(path.name for path in taken.folder.iterdir()) == before


def test_what_a_killed_restore_left_goes_with_the_next_one(taken: Taken) -> None:
    before = {path.name for path in taken.folder.iterdir()}
    child = os.fork()
    if child == 0:
        taken.restore(advance=lambda _blocks: os.kill(os.getpid(), signal.SIGKILL))
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = {path.name for path in taken.folder.iterdir()} - {*before, "a.backup", "a.keys"}
    assert (taken.folder / left / "vault-keys").is_dir()
    assert taken.restore().height == 5
    assert {path.name for path in taken.folder.iterdir()} - before == {"a.backup", "a.keys", "new"}


def test_a_wrong_passphrase_and_a_foreign_keys_file_are_told_apart(taken: Taken) -> None:
    with pytest.raises(KehuError) as wrong:
        taken.restore(passphrase="another one entirely")
    assert wrong.value.code == "backup.passphrase_wrong"
    sealer = KeysSealer(bytes(16), PASSPHRASE, CHEAP)
    with pytest.raises(KehuError) as other:
        taken.restore(keys=sealer.head + sealer.end())
    assert other.value.code == "backup.other"


@pytest.mark.parametrize("from_end", [False, True])
def test_altered_keys_under_the_right_passphrase_are_told_as_what_they_may_be(taken: Taken, from_end: bool) -> None:
    """In the first sealed frame nothing tells the two apart: the error has to name both."""
    altered = bytearray(taken.keys)
    altered[-20 if from_end else len(altered) // 2] ^= 1
    with pytest.raises(KehuError) as caught:
        taken.restore(keys=bytes(altered))
    assert caught.value.code == ("backup.damaged" if from_end else "backup.passphrase_wrong")
    assert "altered" in caught.value.spec.cause + caught.value.spec.cure


NAMES = (  # noqa: SIM905
    "../outside ../../outside /tmp/outside secrets/../../outside chain/CURRENT votes.log secrets/passphrase .. . "
    "genesis.json/ genesis.json\x00 C:\\outside vault-keys node.key ~/.ssh/authorized_keys"
).split(" ")


def hostile(taken: Taken) -> Iterator[tuple[bytes, bytes]]:
    """(data, keys) of whole, well-sealed backups whose content wants to be elsewhere."""
    backup_id = bytes(16)
    empty = KeysSealer(backup_id, PASSPHRASE, CHEAP)
    no_keys = empty.head + empty.end()
    for name in NAMES:
        frame = encode_frame("files", [(name.encode(), b"content")])
        yield b"".join(data_chunks(backup_id, [frame])), no_keys
        sealer = KeysSealer(backup_id, PASSPHRASE, CHEAP)
        frame = encode_frame("key-files", [(name.encode() if name != "node.key" else b"../node.key", b"content")])
        yield taken.data, sealer.head + sealer.seal(frame) + sealer.end()
    for kind in ("../chain", "votes", "vault-keys", "key-files", "", "files/../x"):
        yield b"".join(data_chunks(backup_id, framed(kind, [(b"b/1", b"x")]))), no_keys
    for key in (b"../b/1", b"", b"zz", b"\xff", b"meta"):
        yield b"".join(data_chunks(backup_id, framed("chain", [(key, b"x")]))), no_keys
    yield DATA_MAGIC + b"\xff\xff\xff\xff" + bytes(100), no_keys
    yield DATA_MAGIC + b"\x07\xff\xff\xff" + bytes(100), no_keys
    yield b"PK\x03\x04" + bytes(100), no_keys
    yield taken.data, KeysSealer(backup_id, PASSPHRASE, ScryptCost(2, 1, 1)).head.replace(b"\x93\x02", b"\x93\x03")


def test_no_hostile_archive_writes_anything_anywhere(taken: Taken) -> None:
    (taken.folder / "a.backup").touch()
    (taken.folder / "a.keys").touch()
    files = sorted(str(path) for path in taken.folder.parent.rglob("*"))
    count = 0
    for data, keys in hostile(taken):
        with pytest.raises(KehuError):
            taken.restore(data, keys)
        count += 1
        assert sorted(str(path) for path in taken.folder.parent.rglob("*")) == files
    assert count >= 30


def test_the_reader_holds_one_frame_at_a_time() -> None:
    pairs = [(bytes([n]) * 10, bytes(300_000)) for n in range(20)]
    raw = b"".join(data_chunks(bytes(16), framed("chain", pairs)))
    frames = list(read_data(io.BytesIO(raw)))
    assert [pair for _, chunk in frames[1:] for pair in chunk] == pairs
    assert max(len(chunk) for _, chunk in frames) <= 4
