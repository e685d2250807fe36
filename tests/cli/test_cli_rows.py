"""CSV files as people have them: encodings, headers in two languages, faulty rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.errors import KehuError
from cli.intake.rows import Sheet, decode_text, parse_sheet, read_sheet

GOOD = "姓名,电话,单位,职位,备注\n王芳,13800138000,东方公司,经理,春节后联系\n"


def sheet(text: str, region: str | None = "CN") -> Sheet:
    return parse_sheet(text, "utf-8", region)


def faults(text: str) -> list[tuple[int, str | None, str]]:
    return [(fault.row, fault.column, fault.code) for fault in sheet(text).faults]


def test_chinese_columns_become_fields_and_the_number_becomes_e164() -> None:
    (row,) = sheet(GOOD).rows
    assert row.number == 2
    assert row.fields == {
        "name": "王芳",
        "phone": "+8613800138000",
        "organisation": "东方公司",
        "position": "经理",
        "note": "春节后联系",
    }


@pytest.mark.parametrize(
    "cell", ['"=""13800138000"""', "\t13800138000", "'13800138000", "'+8613800138000", "+8613800138000"]
)
def test_a_number_that_a_spreadsheet_was_to_leave_alone_is_read_as_the_number(cell: str) -> None:
    (row,) = sheet(f'姓名,电话\n"=""王芳""",{cell}\n').rows
    assert row.fields == {"name": "王芳", "phone": "+8613800138000"}


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (GOOD.encode(), "utf-8"),
        (GOOD.encode("utf-8-sig"), "utf-8"),
        (GOOD.encode("gb18030"), "gb18030"),
        (GOOD.encode("utf-16"), "utf-16"),
    ],
)
def test_an_encoding_is_told_from_the_bytes(raw: bytes, encoding: str) -> None:
    assert decode_text(raw) == (GOOD, encoding)


@pytest.mark.parametrize(
    "raw",
    [
        "name,phone\n王芳,13800138000\n李伟,13800138001\n张".encode()[:-1],
        "name,phone\n王芳,13800138000\n李伟,13800138001\n".encode().replace("伟".encode(), "伟".encode()[:2] + b"\x50"),
        "name,phone\n王芳,13800138000\n".encode("utf-8-sig") + "李伟,13800138001\n".encode("gb18030"),
    ],
)
def test_damaged_utf_8_is_not_read_as_other_characters(raw: bytes) -> None:
    """All of these bytes mean something in GB18030 too, and it is nobody's name."""
    raw.decode("gb18030")
    with pytest.raises(KehuError) as caught:
        decode_text(raw)
    assert (caught.value.code, caught.value.details["problem"]) == ("import.encoding", "damaged UTF-8")


@pytest.mark.parametrize(
    "text", [GOOD, "name,phone\n联通,1\n汉字,2\n", "姓名,电话\n囧,1\n", "name,phone\n鄂芳,1\n唉,2\n"]
)
def test_what_excel_writes_in_chinese_windows_is_read(text: str) -> None:
    assert decode_text(text.encode("gb18030")) == (text, "gb18030")


def test_bytes_of_no_known_encoding_are_refused() -> None:
    with pytest.raises(KehuError) as caught:
        decode_text(b"\xff\xff\xff\xff")
    assert caught.value.code == "import.encoding"


@pytest.mark.parametrize(
    "header", ["Name,Phone", "NAME;Mobile Number", "full_name\tTel", "*姓名*,手机号码", "姓名 ,电话"]
)
def test_a_header_is_read_whatever_its_case_marks_and_separator(header: str) -> None:
    separator = next(mark for mark in ",;\t" if mark in header)
    assert len(sheet(f"{header}\n王芳{separator}13800138000\n").rows) == 1


@pytest.mark.parametrize(
    ("header", "problem"), [("姓名,单位", "missing"), ("姓名,电话,手机", "two columns mean the same"), ("", "missing")]
)
def test_a_header_without_name_and_phone_once_each_is_refused(header: str, problem: str) -> None:
    with pytest.raises(KehuError) as caught:
        sheet(f"{header}\n王芳,13800138000\n")
    assert (caught.value.code, caught.value.details["problem"]) == ("import.header", problem)


def test_each_faulty_row_is_named_and_the_rest_is_taken() -> None:
    text = (
        "姓名,电话\n"
        "王芳,13800138000\n"
        ",13800138001\n"
        "\n"
        "李强,12345\n"
        "赵敏,电话不详\n"
        "周杰,13800138002,多余\n"
        "王芳,138 0013 8000\n"
        '孙"丽,13800138003\n'
        "钱进,\n"
        "吴\x07磊,13800138004\n"
        "郑爽,+8613800138005\n"
    )
    found = sheet(text)
    assert [row.number for row in found.rows] == [2, 9, 12]
    assert [(fault.row, fault.column, fault.code) for fault in found.faults] == [
        (3, "name", "import.value_missing"),
        (5, "phone", "phone.impossible"),
        (6, "phone", "phone.malformed"),
        (7, None, "import.row_width"),
        (8, None, "import.duplicate_row"),
        (10, "phone", "import.value_missing"),
        (11, "name", "import.character"),
    ]
    assert found.total == 10


def test_a_report_of_faults_holds_nothing_of_what_stands_in_the_row() -> None:
    found = sheet("姓名,电话,备注\n王芳芳,13800,机密事项\n李强强,13800138000,机\x00密\n")
    report = str([fault.to_json() for fault in found.faults])
    assert len(found.faults) == 2
    assert not any(secret in report for secret in ("王芳芳", "李强强", "13800", "机密", "机"))


def test_rows_are_numbered_as_a_spreadsheet_shows_them_with_line_breaks_in_cells() -> None:
    text = '姓名,电话,备注\n王芳,13800138000,"第一行\n第二行"\n李强,12\n'
    assert faults(text) == [(2, "note", "import.character"), (3, "phone", "phone.impossible")]


@pytest.mark.parametrize(
    ("rows", "row", "line"),
    [
        (['王芳,13800138000,"东方'], 2, 2),
        (['王芳,13800138000,"东方', "李强,13800138001,西方"], 2, 2),
        (['王芳,13800138000,"东方', '李强,13800138001,"西方"'], 2, 2),
        (['王芳,13800138000,"上\n海"', '李强,13800138001,"西方', "x"], 3, 4),
        (['王芳,13800138000,"说""好""', "李强,13800138001,西方"], 2, 2),
        (['"王\n芳",13800138000,"东方', "x,y"], 2, 3),
    ],
)
def test_a_quote_that_is_never_closed_is_found_by_the_line_in_which_it_was_opened(
    rows: list[str], row: int, line: int
) -> None:
    found = parse_sheet("\n".join(["姓名,电话,单位", *rows]) + "\n", "utf-8", "CN")
    fault = found.faults[-1]
    assert (fault.row, fault.code, dict(fault.details)) == (row, "import.csv_syntax", {"quote_line": line})


def test_a_header_with_a_quote_that_is_never_closed_says_so() -> None:
    with pytest.raises(KehuError) as caught:
        parse_sheet('姓名,"电话\n王芳,13800138000\n', "utf-8", "CN")
    assert (caught.value.code, caught.value.details) == ("import.csv_syntax", {"quote_line": 1})


def test_a_breach_of_the_syntax_ends_the_file_and_is_a_fault_of_its_row() -> None:
    found = sheet('姓名,电话\n王芳,13800138000\n"李强"x,13800138001\n赵敏,13800138002\n')
    assert len(found.rows) == 1
    assert [(fault.row, fault.code) for fault in found.faults] == [(3, "import.csv_syntax")]


def test_without_a_region_only_international_numbers_are_taken() -> None:
    found = sheet("name,phone\na,13800138000\nb,+8613800138000\n", region=None)
    assert [row.fields["phone"] for row in found.rows] == ["+8613800138000"]


def test_an_unknown_region_is_said_once_for_the_file() -> None:
    with pytest.raises(KehuError) as caught:
        sheet(GOOD, region="XX")
    assert caught.value.code == "phone.region"


def test_a_column_nobody_asked_for_is_reported_as_ignored() -> None:
    assert sheet("姓名,电话,星座\n王芳,13800138000,狮子\n").ignored == ["星座"]


@pytest.mark.parametrize("told", ["sep=;\n", "SEP=;\r\n"])
def test_a_first_line_that_tells_spreadsheets_the_separator_is_no_row_and_is_not_counted(told: str) -> None:
    (row,) = sheet(told + "姓名;电话;备注\n王芳;13800138000;a,b,c,d\n").rows
    assert (row.number, row.fields["note"]) == (2, "a,b,c,d")
    assert faults("sep=\t\n姓名\t电话\n王芳\t12\n") == [(2, "phone", "phone.impossible")]


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(KehuError) as caught:
        read_sheet(tmp_path / "nobody.csv", "CN")
    assert caught.value.code == "import.unreadable"


def test_a_cell_longer_than_pythons_reader_takes_by_itself_is_a_fault_of_its_row_alone() -> None:
    long = "长" * 200_000
    sheet = parse_sheet(f"姓名,电话,备注,附件\n王芳,13800138000,{long},\n李雷,13800138001,,{long}\n", "utf-8", "CN")
    assert [(fault.row, fault.column, fault.code) for fault in sheet.faults] == [(2, "note", "import.value_too_long")]
    assert [row.fields["name"] for row in sheet.rows] == ["李雷"]
