"""What a killed process left unfinished goes with the next beginning, and what somebody still fills stays."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.storage import durable
from node.storage.beside import remove_leftovers
from node.storage.durable import write_file
from node.storage.unfinished import unfinished


def fill_and_die(target: Path, *, is_folder: bool) -> None:
    """In a process of its own, which is killed when it has written something."""
    child = os.fork()
    if child == 0:
        with unfinished(target, is_folder=is_folder) as made:
            (made.path / "node.key" if is_folder else made.path).write_bytes(b"a record key")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_kill_left_goes_when_the_next_is_begun_in_the_same_folder_whatever_its_name(
    tmp_path: Path, is_folder: bool
) -> None:
    fill_and_die(tmp_path / "monday", is_folder=is_folder)
    assert len(names(tmp_path)) == 1
    with unfinished(tmp_path / "tuesday") as made:
        assert names(tmp_path) == [made.path.name]
        made.write(b"whole")
        made.finish()
    assert names(tmp_path) == ["tuesday"]
    assert (tmp_path / "tuesday").read_bytes() == b"whole"


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_is_being_filled_stays_and_what_was_given_up_goes_at_once(tmp_path: Path, is_folder: bool) -> None:
    with unfinished(tmp_path / "monday", is_folder=is_folder) as made:
        remove_leftovers(tmp_path)
        assert names(tmp_path) == [made.path.name]
        with unfinished(tmp_path / "tuesday", is_folder=True) as other:
            other.finish()
        assert names(tmp_path) == [made.path.name, "tuesday"]
    assert names(tmp_path) == ["tuesday"]  # monday was not finished


def test_other_peoples_files_and_what_a_link_leads_to_stay(tmp_path: Path) -> None:
    (tmp_path / ".notes.kehu").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".link.kehu-unfinished").symlink_to(tmp_path / "elsewhere")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".link.kehu-unfinished", ".notes.kehu", "elsewhere"]


def test_what_a_kill_left_of_a_whole_file_goes_with_the_next_one_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(durable, "sync_folder", lambda _: None)
        monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        write_file(tmp_path / "passphrase", b"secret", replace=True)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"secret"
    write_file(tmp_path / "members.json", b"{}", replace=False)
    assert names(tmp_path) == ["members.json"]


def test_a_pipe_of_somebody_elses_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".trap.kehu-unfinished")
    write_file(tmp_path / "members.json", b"{}", replace=False)
    assert (tmp_path / "members.json").exists()


LONG = "客户" * 42 + ".cr"
"""255 bytes: the longest name that a file can have."""


def test_a_name_may_be_as_long_as_the_file_system_allows_and_in_any_script(tmp_path: Path) -> None:
    assert len(LONG.encode()) == 255
    write_file(tmp_path / LONG, b"first", replace=False)
    write_file(tmp_path / LONG, b"second", replace=True)
    assert (tmp_path / LONG).read_bytes() == b"second"
    with unfinished(tmp_path / LONG[1:]) as made:
        made.write(b"third")
        made.finish()
    with unfinished(tmp_path / LONG[2:], is_folder=True) as made:
        made.finish()
    assert names(tmp_path) == sorted([LONG, LONG[1:], LONG[2:]])


def test_nothing_is_written_over_that_has_come_while_a_file_was_being_filled(tmp_path: Path) -> None:
    with unfinished(tmp_path / "monday") as made:
        made.write(b"mine")
        (tmp_path / "monday").write_bytes(b"theirs")
        with pytest.raises(KehuError, match=r"storage\.name_taken"):
            made.finish()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("monday", b"theirs")]


def test_a_file_system_without_hard_links_is_written_to_and_nothing_on_it_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick that a customer carries home, say."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_file(tmp_path / "proof", b"mine", replace=False)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "proof", b"other", replace=False)
    with unfinished(tmp_path / "backup") as made:
        made.write(b"whole")
        made.finish()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"proof": b"mine", "backup": b"whole"}
