"""A database that was damaged, torn, filled up or opened twice never answers wrongly."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.soundness.setting_aside import heal, list_aside
from node.storage.durable import StorageFailure
from node.storage.leveldb import LevelStore
from node.storage.leveldb_log import BLOCK_BYTES, LogState, inspect_log, masked_crc32c

PAIRS = {f"key/{number:03}".encode(): random.Random(number).randbytes(900) for number in range(100)}


def fill(path: Path, *, into_table: bool) -> None:
    """100 batches, each synced; a second opening moves the log into a table."""
    store = LevelStore(path, create=True)
    for key, value in PAIRS.items():
        store.write({key: value})
    store.close()
    if into_table:
        LevelStore(path).close()


def newest_log(path: Path) -> Path:
    return max(path.glob("*.log"), key=lambda name: int(name.stem))


def read_everything(path: Path, way: str = "scan") -> dict[bytes, bytes]:
    store = LevelStore(path)
    try:
        if way == "scan":
            return dict(store.scan(b""))
        return {key: value for key in PAIRS if (value := store.get(key)) is not None}
    finally:
        store.close()


def change(path: Path, edit: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    edit(content)
    path.write_bytes(content)


@pytest.mark.parametrize("way", ["scan", "get"])
@pytest.mark.parametrize("kind", ["log", "ldb", "MANIFEST", "CURRENT"])
def test_a_flipped_bit_is_noticed_at_open_or_at_read(tmp_path: Path, kind: str, way: str) -> None:
    original = tmp_path / "original"
    fill(original, into_table=kind != "log")
    rng = random.Random(kind)
    unnoticed = 0
    for trial in range(40):
        copy = tmp_path / f"copy{trial}"
        shutil.copytree(original, copy)
        [target] = copy.glob(f"*.{kind}") if kind in {"log", "ldb"} else copy.glob(f"{kind}*")
        position = rng.randrange(target.stat().st_size)
        change(target, lambda content, at=position: content.__setitem__(at, content[at] ^ 1 << rng.randrange(8)))
        try:
            outcome = "same" if read_everything(copy, way) == PAIRS else "wrong"
        except StorageFailure as error:
            outcome = error.code
        assert outcome in {"same", "storage.corrupt", "storage.io"}, position
        unnoticed += outcome == "same"  # in a part that carries nothing, such as the Bloom filter
        shutil.rmtree(copy)
    assert unnoticed <= 4, "flips that are not noticed must be rare and without effect"


def test_a_scan_never_ends_early_at_a_damaged_block(tmp_path: Path) -> None:
    """plyvel's ordinary iterator does, when the block is the last one it would have read."""
    fill(tmp_path / "db", into_table=True)
    [table] = (tmp_path / "db").glob("*.ldb")
    sound = table.read_bytes()
    data_end = max(sound.rfind(value[:100]) for value in PAIRS.values())
    noticed = 0
    for position in range(500, data_end, 3001):
        change(table, lambda content, at=position: content.__setitem__(at, content[at] ^ 1))
        store = LevelStore(tmp_path / "db")
        with pytest.raises(StorageFailure, match=r"storage\.corrupt"):
            list(store.scan(b"key/"))
        store.close()
        table = next((tmp_path / "db").glob("*.ldb"))
        table.write_bytes(sound)
        noticed += 1
    assert noticed > 20


def test_a_flip_in_the_last_acknowledged_batch_is_damage_and_not_a_torn_tail(tmp_path: Path) -> None:
    fill(tmp_path / "db", into_table=False)
    log = newest_log(tmp_path / "db")
    change(log, lambda content: content.__setitem__(-5, content[-5] ^ 4))
    before = log.read_bytes()
    with pytest.raises(StorageFailure) as caught:
        LevelStore(tmp_path / "db")
    assert caught.value.code == "storage.corrupt"
    assert log.read_bytes() == before, "nothing is repaired silently"


def test_a_tail_of_unwritten_space_is_cut_reported_and_only_the_last_batch_is_gone(tmp_path: Path) -> None:
    fill(tmp_path / "db", into_table=False)
    log = newest_log(tmp_path / "db")
    size = log.stat().st_size
    change(log, lambda content: content.__setitem__(slice(-600, None), bytes(600)))
    store = LevelStore(tmp_path / "db")
    assert store.recovery is not None
    assert store.recovery.intact_bytes + store.recovery.dropped_bytes == size
    kept = dict(store.scan(b""))
    assert kept == {key: value for key, value in PAIRS.items() if key != b"key/099"}
    store.write({b"key/099": b"again"})
    store.close()
    store = LevelStore(tmp_path / "db")
    assert (store.recovery, store.get(b"key/099")) == (None, b"again")
    store.close()


def test_unwritten_space_before_a_sound_batch_is_damage(tmp_path: Path) -> None:
    fill(tmp_path / "db", into_table=False)
    change(newest_log(tmp_path / "db"), lambda content: content.__setitem__(slice(-4000, -3000), bytes(1000)))
    with pytest.raises(StorageFailure) as caught:
        LevelStore(tmp_path / "db")
    assert caught.value.code == "storage.corrupt"


def test_a_log_cut_anywhere_opens_with_a_prefix_of_the_batches(tmp_path: Path) -> None:
    fill(tmp_path / "original", into_table=False)
    keys = list(PAIRS)
    size = newest_log(tmp_path / "original").stat().st_size
    for cut in [0, 3, 500, BLOCK_BYTES - 3, BLOCK_BYTES, BLOCK_BYTES + 4, size // 2, size - 1]:
        copy = tmp_path / f"cut{cut}"
        shutil.copytree(tmp_path / "original", copy)
        change(newest_log(copy), lambda content, at=cut: content.__delitem__(slice(at, None)))
        kept = read_everything(copy)
        assert kept == {key: PAIRS[key] for key in keys[: len(kept)]}


def test_the_log_rule_reads_the_format_that_leveldb_writes(tmp_path: Path) -> None:
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    store = LevelStore(tmp_path / "db", create=True)
    ends = [0]
    for size in [10, 900, 3 * BLOCK_BYTES, BLOCK_BYTES - 60, 5, 70_000]:
        store.write({b"k": random.Random(size).randbytes(size)})
        ends.append(newest_log(tmp_path / "db").stat().st_size)
    store.close()
    data = newest_log(tmp_path / "db").read_bytes()
    for end in ends:
        assert inspect_log(data[:end]) == LogState(end, is_torn=False, is_damaged=False)
    for cut in range(1, len(data), 1777):
        state = inspect_log(data[:cut])
        assert not state.is_damaged
        assert state.intact_bytes == max(end for end in ends if end <= cut)


def test_a_second_process_is_refused_with_the_cure(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", create=True)
    program = """
import pathlib, sys
from chain.errors import KehuError
from node.storage.leveldb import LevelStore
try:
    LevelStore(pathlib.Path(sys.argv[1]))
except KehuError as error:
    print(error.code, error.spec.cure)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("storage.in_use stop the other process")
    with pytest.raises(KehuError, match=r"storage\.in_use"):
        LevelStore(tmp_path / "db")
    store.write({b"a": b"still open"})
    store.close()


def test_a_database_is_made_only_when_told_and_never_beside_orphaned_data(tmp_path: Path) -> None:
    with pytest.raises(KehuError, match=r"storage\.missing"):
        LevelStore(tmp_path / "db")
    assert not (tmp_path / "db").exists()
    fill(tmp_path / "db", into_table=True)
    (tmp_path / "db" / "CURRENT").unlink()
    for create in (False, True):
        with pytest.raises(StorageFailure, match=r"storage\.corrupt"):
            LevelStore(tmp_path / "db", create=create)


def test_a_creation_that_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / ".db.new").mkdir()
    (tmp_path / ".db.new" / "MANIFEST-000001").write_bytes(b"")
    LevelStore(tmp_path / "db", create=True).close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_a_full_disk_fails_the_write_and_every_later_use_by_the_same_error(tmp_path: Path) -> None:
    """In a process of its own: the limit on file sizes stands in for the full disk."""
    program = """
import pathlib, resource, signal, sys
from node.storage.durable import StorageFailure
from node.storage.leveldb import LevelStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LevelStore(pathlib.Path(sys.argv[1]), create=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
acknowledged = 0
try:
    while True:
        store.write({b"%06d" % acknowledged: bytes(1000)})
        acknowledged += 1
except StorageFailure as error:
    print(error.code, acknowledged)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for use in (lambda: store.write({b"x": b"y"}), lambda: store.get(b"000000"), lambda: next(store.scan(b""))):
    try:
        use()
    except StorageFailure as error:
        print(error.code)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")], capture_output=True, text=True, check=True
    )
    first, *rest = answer.stdout.splitlines()
    code, acknowledged = first.split()
    assert (code, rest) == ("storage.io", ["storage.io"] * 3)
    assert int(acknowledged) > 100
    store = LevelStore(tmp_path / "db")
    assert len(list(store.scan(b""))) == int(acknowledged), "no acknowledged batch is lost"
    store.close()


def test_a_closed_database_refuses(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", create=True)
    store.close()
    with pytest.raises(StorageFailure, match=r"storage\.refused"):
        store.get(b"a")


@pytest.mark.parametrize("reopenings", [0, 1, 5])
@pytest.mark.parametrize("filling", [0, 3_000])
def test_a_purged_value_is_in_no_file_any_more(tmp_path: Path, reopenings: int, filling: int) -> None:
    """Also its earlier versions, wherever reopening and filling have put them."""
    rng = random.Random("erase")
    secrets = [rng.randbytes(32) for _ in range(reopenings + 2)]
    store = LevelStore(tmp_path / "db", create=True)
    for number, secret in enumerate(secrets):
        others = {f"{rng.random()}".encode(): rng.randbytes(1000) for _ in range(filling)}
        store.write(others | {b"0.5": secret, b"0.50": b"kept"})
        if number < reopenings:
            store.close()
            store = LevelStore(tmp_path / "db")

    def is_in_files() -> bool:
        content = b"".join(file.read_bytes() for file in (tmp_path / "db").iterdir() if file.is_file())
        return any(secret in content for secret in secrets)

    before = dict(store.scan(b"")).keys()
    assert is_in_files()
    store.purge([b"0.5"])
    assert not is_in_files()
    assert dict(store.scan(b"")).keys() == before - {b"0.5"}
    store.close()


def test_a_folder_with_a_name_in_another_encoding_works_and_its_damage_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """GBK, on a disk that came from elsewhere."""
    caplog.set_level(logging.CRITICAL, "kehu")  # what pytest keeps of the log must be UTF-8
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "节点".encode("gbk")))
    store = LevelStore(home / "vault", create=True)
    store.write({b"key": b"value"})
    store.purge([b"key"])
    store.close()
    (home / "vault" / "CURRENT").unlink()
    with pytest.raises(StorageFailure) as caught:
        LevelStore(home / "vault")
    assert heal(home, caught.value)
    assert [one.parts for one in list_aside(home)] == [("vault",)]
