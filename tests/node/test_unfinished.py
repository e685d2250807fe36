"""What a killed process left unfinished goes with the next beginning, and what somebody still fills stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from node.storage.unfinished import remove_leftovers, unfinished


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
