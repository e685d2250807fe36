"""Tables that stay straight with Chinese, text that stays text, errors that say what to do."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

import node.backup.restoring  # noqa: F401
from chain.errors import CATALOGUE, KehuError
from cli.amounts import minor_units
from cli.exits import Exit, exit_of
from cli.layout import column_widths, plain, time_text
from cli.output import Answer, Screen, json_ready, print_answer, print_error, progress
from cli.profile import PROFILE_DEPARTMENT, Profile
from cli.records import read_fields
from cli.times import read_expiry


def printed(show: Callable[[Screen], None]) -> str:
    stream = io.StringIO()
    show(Screen(stream))
    return stream.getvalue()


def test_columns_line_up_whether_cells_are_chinese_or_latin() -> None:
    text = printed(lambda screen: screen.table(("name", "phone"), [("王芳", "1"), ("Anna", "2"), ("欧阳建国", "3")]))
    rows = [line for line in text.splitlines() if line.rstrip()[-1:] in "123" and line.strip()]
    assert len({cell_len(line.rstrip()[:-1]) for line in rows}) == 1


def test_a_long_value_in_a_pipe_is_folded_and_not_cut() -> None:
    note = "备" * 400
    text = printed(lambda screen: screen.table(("note",), [(note,)]))
    assert text.count("备") == 400


class Terminal(io.StringIO):
    """A stream that is a terminal, as wide as the environment's COLUMNS says."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_id_number_or_time_is_broken_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    row = ("c-7451291bdfe8f113", "王小明", "+8613800138010", "东方公司 采购 部", "a note of several words")
    Screen(stream).table(("id", "name", "phone", "organisation", "note"), [row, row])
    text = re.sub(r"\x1b\[\d*m", "", stream.getvalue())
    assert max(map(cell_len, text.splitlines())) <= columns
    for unbroken in (row[0], row[2], "several"):
        assert text.count(unbroken) == 2


def test_times_lists_and_maps_are_shown_as_people_read_them() -> None:
    facts = {"due_ms": 1_795_908_398_916, "wait_ms": 5000, "members": ["sales", "finance"], "none": [], "at": {"a": 1}}
    text = printed(lambda screen: screen.facts(facts.items()))
    assert "2026-1" in text.splitlines()[0]
    assert [line.split(None, 1)[1].strip() for line in text.splitlines()[1:]] == ["5000", "sales, finance", "—", "a 1"]


def test_a_table_without_rows_says_so() -> None:
    assert printed(lambda screen: screen.table(("id",), [])).strip() == "Nothing."


def test_values_neither_move_the_cursor_nor_count_as_markup() -> None:
    text = printed(lambda screen: screen.table(("name",), [("\x1b[31m红\x1b[0m [bold]x[/bold] \u202eabc",)]))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]x[/bold]" in text
    assert plain("a\nb") == "a\\u{a}b"


def test_json_shows_bytes_as_hex_and_chinese_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(Answer({"id": b"\x01\xff", "names": ("王芳",)}, lambda _screen: None), is_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"id": "01ff", "names": ["王芳"]}
    assert "王芳" in out
    assert json_ready({"a": [b"\0"]}) == {"a": ["00"]}


def test_a_time_is_one_word_that_no_table_breaks() -> None:
    row = ("wang-fang", "person:wang-lei", time_text(1_796_009_276_417))
    assert column_widths([row], 80) == [9, 15, 29]
    assert column_widths([row], 58) is None


def test_an_error_shows_code_cause_details_and_cure(capsys: pytest.CaptureFixture[str]) -> None:
    error = KehuError(PROFILE_DEPARTMENT, department="marketing")
    print_error(error, is_json=False)
    text = capsys.readouterr().err
    for part in ("profile.unknown_department", error.spec.cause, "department = marketing", error.spec.cure):
        assert part in text
    print_error(error, is_json=True)
    problem = json.loads(capsys.readouterr().err)
    assert problem["details"] == {"department": "marketing"}
    assert problem["exit"] == Exit.MACHINE


def test_a_time_in_an_error_is_a_time_for_people_and_milliseconds_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = KehuError(PROFILE_DEPARTMENT, now_ms=1_796_009_276_417)
    print_error(error, is_json=False)
    assert "now_ms = 2026-" in capsys.readouterr().err
    print_error(error, is_json=True)
    assert json.loads(capsys.readouterr().err)["details"]["now_ms"] == 1_796_009_276_417


def test_progress_says_nothing_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("导入", 3) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


def test_progress_draws_a_bar_with_what_is_done_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("sweep", None) as advance:
        advance(1, total=4)
        advance(1)
    assert "sweep" in terminal.getvalue()
    assert "2/4" in terminal.getvalue()


@pytest.mark.parametrize(
    ("text", "ms"),
    [("30m", 1_800_000), ("12h", 43_200_000), ("7d", 604_800_000), ("1970-01-02T00:00:01+00:00", 86_401_000)],
)
def test_an_expiry_is_a_span_or_a_moment(text: str, ms: int) -> None:
    assert read_expiry(text, now_ms=0) == ms


@pytest.mark.parametrize("text", ["2026-12-31", "20261231", "2026-W53-4"])
def test_an_expiry_that_is_a_day_is_its_end_however_the_day_is_written(text: str) -> None:
    assert read_expiry(text) == read_expiry("2027-01-01T00:00")


@pytest.mark.parametrize("text", ["", "soon", "7w", "-1d", "2026-13-01", "²d"])
def test_a_malformed_expiry_is_refused(text: str) -> None:
    with pytest.raises(KehuError) as caught:
        read_expiry(text, now_ms=0)
    assert caught.value.code == "usage.expires"


def test_fields_come_from_the_command_line_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "fields.json"
    file.write_text('{"name": "王芳", "note": "a=b"}', encoding="utf-8")
    assert read_fields(["name=李强"], file) == {"name": "李强", "note": "a=b"}
    for wrong in (["name"], ["=x"], ["a=1", "a=2"]):
        with pytest.raises(KehuError) as caught:
            read_fields(wrong, None)
        assert caught.value.code == "usage.field"


@pytest.mark.parametrize(
    "text", ['{"format": 2}', "[]", "{", '{"format": 1, "network": "x", "nodes": {"a": 1}, "carrier": null}']
)
def test_a_malformed_network_file_is_refused_with_the_field(tmp_path: Path, text: str) -> None:
    (tmp_path / "genesis.json").write_text("{}")
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(KehuError) as caught:
        Profile.open(tmp_path)
    assert caught.value.code == "profile.invalid"


@pytest.mark.parametrize("text", ["1,5", "1,23,4.5", "12,5000", ",500", "1,,500"])
def test_a_comma_that_does_not_part_thousands_is_no_amount(text: str) -> None:
    with pytest.raises(KehuError, match=r"usage\.amount"):
        minor_units(text, "CNY")


def test_commas_between_thousands_are_left_out() -> None:
    given = ("12,500.50", "1,234,567", "1500")
    assert [minor_units(text, "CNY") for text in given] == ["1250050", "123456700", "150000"]


def test_a_restore_that_fails_ends_as_the_manual_says() -> None:
    codes = ("backup.damaged", "backup.other", "backup.passphrase_wrong", "restore.not_empty")
    assert [exit_of(KehuError(CATALOGUE[code])) for code in codes] == [5, 5, 6, 8]


@pytest.mark.parametrize("time_ms", [253_402_300_800_000, 1 << 63, (1 << 64) - 1, 10**400])
def test_a_time_that_no_calendar_has_is_shown_as_it_is(time_ms: int) -> None:
    """A forged chain's genesis may be of any time; `kehu audit` is to name it, and not to end in a traceback."""
    assert time_text(time_ms) == f"{time_ms} ms"
    assert time_text(1_700_000_000_000).startswith("2023-11-1")
