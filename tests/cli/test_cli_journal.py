"""The import journal: durable before sending, free of personal values, strict about its own lines."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chain.errors import KehuError
from cli.intake.journal import Journal, ensure_secret, row_digest

CHAIN, OTHER = b"\x01" * 32, b"\x02" * 32
FIELDS = {"name": "王芳", "phone": "+8613800138000"}


def test_what_was_recorded_is_there_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", CHAIN) as journal:
        journal.record([{"row": "r1", "customer": "c-1"}, {"row": "r2", "customer": "c-2"}])
        journal.record([{"row": "r1", "transaction": "ab" * 32, "expires": 50}])
        journal.record([{"row": "r1", "done": 7}])
    with Journal(tmp_path / "j", CHAIN) as again:
        assert again.entries["r1"].customer == "c-1"
        assert (again.entries["r1"].transaction, again.entries["r1"].done) == (b"\xab" * 32, 7)
        assert again.entries["r2"].done is None


def test_a_line_that_a_power_cut_left_unfinished_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, CHAIN) as journal:
        journal.record([{"row": "r1", "customer": "c-1"}])
    with path.open("ab") as file:
        file.write(b'{"row":"r2","cus')
    with Journal(path, CHAIN) as journal:
        assert list(journal.entries) == ["r1"]
        journal.record([{"row": "r3", "customer": "c-3"}])
    with Journal(path, CHAIN) as journal:
        assert list(journal.entries) == ["r1", "r3"]


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"row":"r9","done":3}\n', b'{"row":"r9"}\n', b"[]\n", b"\xff\n"])
def test_a_foreign_line_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    Journal(path, CHAIN).__exit__(None, None, None)
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(KehuError) as caught:
        Journal(path, CHAIN)
    assert caught.value.code == "import.journal_damaged"


@pytest.mark.parametrize(
    "content", ["name,phone\n王芳,13800138000\n李雷,13800138001", "李雷", '{"journal":1}', "{}\n{}"]
)
def test_a_file_that_is_no_journal_is_refused_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "客户.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(KehuError) as caught:
        Journal(path, CHAIN)
    assert caught.value.code == "import.journal_damaged"
    assert path.read_text(encoding="utf-8") == content


def test_a_journal_whose_first_line_a_power_cut_left_unfinished_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, CHAIN).__exit__(None, None, None)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        for content in (whole[:cut], whole[:cut].ljust(len(whole), b"\0")):
            path.write_bytes(content)
            Journal(path, CHAIN).__exit__(None, None, None)
            assert path.read_bytes() == whole


def test_a_full_disk_is_said_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space left")

    with Journal(path, CHAIN) as journal:
        journal.record([{"row": "r1", "customer": "c-1"}])
        with monkeypatch.context() as patch:
            patch.setattr("cli.intake.journal.write_fully", half)
            with pytest.raises(KehuError) as caught:
                journal.record([{"row": "r2", "customer": "c-2"}])
        assert (caught.value.code, caught.value.details["reason"]) == ("storage.io", "ENOSPC")
        assert list(journal.entries) == ["r1"]
        journal.record([{"row": "r3", "customer": "c-3"}])
    with Journal(path, CHAIN) as journal:
        assert list(journal.entries) == ["r1", "r3"]


def test_another_networks_journal_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j", CHAIN).__exit__(None, None, None)
    with pytest.raises(KehuError) as caught:
        Journal(tmp_path / "j", OTHER)
    assert caught.value.code == "import.journal_other_chain"


def test_two_imports_cannot_use_one_journal_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", CHAIN):
        with pytest.raises(KehuError) as caught:
            Journal(tmp_path / "j", CHAIN)
    assert caught.value.code == "import.journal_busy"


def test_a_rows_digest_depends_on_the_secret_and_on_every_field(tmp_path: Path) -> None:
    secret = ensure_secret(tmp_path / "secrets" / "import.key")
    assert ensure_secret(tmp_path / "secrets" / "import.key") == secret
    assert (tmp_path / "secrets" / "import.key").stat().st_mode & 0o077 == 0
    digests = {
        row_digest(secret, FIELDS),
        row_digest(b"\0" * 32, FIELDS),
        row_digest(secret, {**FIELDS, "name": "王方"}),
        row_digest(secret, {"name": "王芳"}),
    }
    assert len(digests) == 4
    assert row_digest(secret, dict(reversed(FIELDS.items()))) == row_digest(secret, FIELDS)
