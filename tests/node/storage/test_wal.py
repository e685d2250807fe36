"""The vote log: durable, strict about damage, exact about torn tails."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.errors import KehuError
from node.storage.durable import StorageFailure
from node.storage.wal import VoteLog, read_log

CHAIN = bytes(range(32))
BATCHES = [[b"prepare 1"], [b"commit 1", b"prepare 2"], [os.urandom(700)], [b"commit 2"]]
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
records = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4)


def write(path: Path, batches: list[list[bytes]]) -> list[int]:
    """A log of these batches; returns its size after each sync, beginning with the empty log's."""
    log = VoteLog.create(path, CHAIN, "sales")
    sizes = [log.size_bytes]
    for batch in batches:
        log.append(batch)
        log.sync()
        sizes.append(log.size_bytes)
    log.close()
    return sizes


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return [record for batch in batches for record in batch]


def outcome(path: Path) -> list[bytes] | str:
    try:
        log = VoteLog(path, CHAIN, "sales")
    except KehuError as error:
        return error.code
    try:
        return log.read_all()
    finally:
        log.close()


def test_synced_records_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = write(path, BATCHES)
    assert path.stat().st_size == sizes[-1]
    log = VoteLog(path, CHAIN, "sales")
    assert (log.read_all(), log.torn_bytes) == (flat(BATCHES), 0)
    log.append([b"later"])
    log.sync()
    assert log.read_all() == [*flat(BATCHES), b"later"]
    log.close()


def test_what_was_only_appended_is_not_durable(tmp_path: Path) -> None:
    log = VoteLog.create(tmp_path / "votes", CHAIN, "sales")
    log.append([b"queued"])
    assert log.read_all() == []
    log.close()
    assert outcome(tmp_path / "votes") == []


def test_a_sync_flushes_the_file_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = VoteLog.create(tmp_path / "votes", CHAIN, "sales")
    flushed: list[int] = []
    real = os.fsync
    monkeypatch.setattr("node.storage.wal.os.fsync", lambda fd: (flushed.append(os.fstat(fd).st_size), real(fd))[1])
    log.append([b"a", b"b"])
    log.sync()
    assert flushed == [log.size_bytes], "flushed once, with everything in it"
    log.sync()
    assert len(flushed) == 1, "nothing to do, nothing flushed"
    log.close()


def test_a_cut_at_every_byte_leaves_a_prefix_of_whole_syncs(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = write(path, BATCHES)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        if cut < sizes[0]:
            assert outcome(path) == "votelog.corrupt", "a head is never torn: it came by rename"
            continue
        whole = max(index for index, size in enumerate(sizes) if size <= cut)
        contents = read_log(path, CHAIN, "sales")
        assert list(contents.records) == flat(BATCHES[:whole])
        assert (contents.intact_bytes, contents.torn_bytes) == (sizes[whole], cut - sizes[whole])
        assert outcome(path) == flat(BATCHES[:whole])
        assert path.stat().st_size == sizes[whole], "the torn tail is cut off"


def test_a_flip_of_any_byte_is_corruption(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    write(path, BATCHES)
    data = path.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert outcome(path) == "votelog.corrupt", position
        assert path.read_bytes() == damaged, "nothing is repaired"


@quick
@given(batches=st.lists(records, min_size=1, max_size=5), data=st.data())
def test_any_log_cut_or_flipped_anywhere_gives_a_prefix_or_an_error(
    tmp_path: Path, batches: list[list[bytes]], data: st.DataObject
) -> None:
    path = tmp_path / "votes"
    path.unlink(missing_ok=True)
    sizes = write(path, batches)
    content = path.read_bytes()
    cut = data.draw(st.integers(sizes[0], len(content)))
    path.write_bytes(content[:cut])
    assert outcome(path) == flat(batches[: max(index for index, size in enumerate(sizes) if size <= cut)])
    position, change = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(content[:position] + bytes([content[position] ^ change]) + content[position + 1 :])
    assert outcome(path) == "votelog.corrupt"


@pytest.mark.parametrize("zeros", [40, 600, 5000])
def test_space_that_was_never_written_at_the_end_is_a_torn_tail(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "votes"
    sizes = write(path, BATCHES)
    path.write_bytes(path.read_bytes() + bytes(zeros))
    log = VoteLog(path, CHAIN, "sales")
    assert (log.read_all(), log.torn_bytes, log.size_bytes) == (flat(BATCHES), zeros, sizes[-1])
    log.append([b"goes on"])
    log.sync()
    log.close()
    assert outcome(path) == [*flat(BATCHES), b"goes on"]


def test_unwritten_space_before_a_sound_frame_is_corruption(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    sizes = write(path, [[b"a"], [os.urandom(2000)], [b"c"]])
    content = bytearray(path.read_bytes())
    content[sizes[1] + 100 : sizes[2] - 100] = bytes(sizes[2] - sizes[1] - 200)
    path.write_bytes(content)
    assert outcome(path) == "votelog.corrupt"
    path.write_bytes(content[: sizes[2]])
    assert outcome(path) == [b"a"], "without the later frame it is a torn tail"


def test_a_removed_repeated_or_foreign_frame_is_corruption(tmp_path: Path) -> None:
    path, other = tmp_path / "votes", tmp_path / "other"
    sizes = write(path, BATCHES)
    data = path.read_bytes()
    frames = [data[start:end] for start, end in itertools.pairwise(sizes)]
    head = data[: sizes[0]]
    for order in ([0, 2, 3], [0, 1, 1, 2], [1, 0, 2, 3]):
        path.write_bytes(head + b"".join(frames[index] for index in order))
        assert outcome(path) == "votelog.corrupt"
    VoteLog.create(other, CHAIN, "finance").close()
    path.write_bytes(other.read_bytes() + frames[0])
    with pytest.raises(KehuError, match=r"votelog\.corrupt"):
        VoteLog(path, CHAIN, "finance")


def test_a_log_of_another_chain_or_department_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "votes", BATCHES)
    for chain, department in ((bytes(32), "sales"), (CHAIN, "finance")):
        with pytest.raises(KehuError, match=r"votelog\.foreign"):
            VoteLog(tmp_path / "votes", chain, department)


def test_a_missing_log_is_reported_and_an_existing_one_not_replaced(tmp_path: Path) -> None:
    assert outcome(tmp_path / "votes") == "votelog.missing"
    assert not list(tmp_path.iterdir()), "opening creates nothing"
    write(tmp_path / "votes", BATCHES)
    with pytest.raises(KehuError, match=r"votelog\.exists"):
        VoteLog.create(tmp_path / "votes", CHAIN, "sales")
    assert outcome(tmp_path / "votes") == flat(BATCHES)


def test_a_rewrite_keeps_exactly_the_given_records_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    write(path, [[os.urandom(100)] for _ in range(50)])
    log = VoteLog(path, CHAIN, "sales")
    log.append([b"queued"])
    log.rewrite([b"kept 1", b"kept 2"])
    assert log.read_all() == [b"kept 1", b"kept 2"]
    assert log.size_bytes == path.stat().st_size < 400
    log.sync()
    log.append([b"new"])
    log.sync()
    log.rewrite([])
    assert log.read_all() == []
    log.append([b"last"])
    log.sync()
    log.close()
    assert outcome(path) == [b"last"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["votes"]


def test_a_second_voter_on_the_same_log_is_refused_also_after_a_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    log = VoteLog.create(path, CHAIN, "sales")
    assert outcome(path) == "votelog.in_use"
    log.rewrite([b"a"])
    assert outcome(path) == "votelog.in_use"
    log.close()
    assert outcome(path) == [b"a"]


@pytest.mark.parametrize("operation", ["sync", "rewrite"])
def test_a_failed_flush_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    log = VoteLog.create(tmp_path / "votes", CHAIN, "sales")
    log.append([b"a"])

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("node.storage.wal.os.fsync", refuse)
        with pytest.raises(StorageFailure) as caught:
            log.sync() if operation == "sync" else log.rewrite([b"b"])
    assert (caught.value.code, caught.value.details["reason"]) == ("storage.io", "EIO")
    for use in (lambda: log.append([b"b"]), log.sync, lambda: log.rewrite([]), log.read_all):
        with pytest.raises(StorageFailure):
            use()
    log.close()


def test_a_full_disk_is_final_and_what_was_synced_is_kept(tmp_path: Path) -> None:
    log = VoteLog.create(tmp_path / "votes", CHAIN, "sales")
    log.append([b"kept"])
    log.sync()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    log.append([bytes(range(1, 251)) * 40])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.size_bytes + 1000, limits[1]))
        with pytest.raises(StorageFailure, match=r"storage\.io"):
            log.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    log.close()
    assert (tmp_path / "votes").stat().st_size > 1000, "the half-written frame is there"
    assert outcome(tmp_path / "votes") == [b"kept"]


def test_a_killed_process_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    program = """
import os, pathlib, sys
from node.storage.wal import VoteLog
log = VoteLog.create(pathlib.Path(sys.argv[1]), bytes(range(32)), "sales")
for number in range(20):
    log.append([b"%d" % number]); log.sync()
log.append([b"never synced"])
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "votes")], check=False)
    assert outcome(tmp_path / "votes") == [b"%d" % number for number in range(20)]
