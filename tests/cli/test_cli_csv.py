"""CSV out and in again: what may be exported, what a spreadsheet can't run, where a broken export goes on."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.cells import guarded, unguarded
from cli.taking_away import HEADERS, Layout, line
from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble

TRICK = '=HYPERLINK("http://evil","点我")'


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()


@pytest.fixture(scope="module")
def stocked(kehu: Kehu) -> list[str]:
    """Three customers of li's, one of wang's."""
    ids = []
    for index, (name, note) in enumerate((("赵一", TRICK), ("钱二", "-1"), ("孙三", '逗号, "引号"')), 1):
        fields = (f"name={name}", f"phone=1390000000{index}", f"note={note}", "organisation=东方公司")
        ids.append(kehu.json("customer", "add", *fields, "--temporary", as_="li")["customer"])
    fields = ("name=李四", "phone=13900000009")
    ids.append(kehu.json("customer", "add", *fields, "--temporary", as_="wang")["customer"])
    return ids


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))


def test_who_may_read_but_not_export_gets_no_file(kehu: Kehu, stocked: list[str], tmp_path: Path) -> None:
    file = tmp_path / "客户.csv"
    done = kehu.json("customer", "export", str(file), as_="li", exit=1)
    assert (done["file"], done["rows"]) == (None, 0)
    assert list(tmp_path.iterdir()) == []


def test_an_export_has_what_may_be_exported_field_by_field_and_is_on_the_record(
    kehu: Kehu, stocked: list[str], tmp_path: Path
) -> None:
    grant = ("grant", "person:li", "--action", "export", "--field", "name", "--field", "note", "--record", stocked[0])
    kehu.json(*grant, "--purpose", "report", as_="admin")
    file = tmp_path / "客户.csv"
    done = kehu.json("customer", "export", str(file), "--purpose", "report", as_="li")
    (row,) = rows_of(file)
    assert (row["id"], row["name"], row["phone"], row["organisation"]) == (stocked[0], "赵一", "", "")
    assert (done["rows"], done["refused"], file.stat().st_mode & 0o077) == (1, 6, 0)
    seen = kehu.json("customer", "history", stocked[0], "--kind", "accesses", "--limit", "100", as_="admin")["rows"]
    row = next(row for row in seen if row["action"] == "export")
    assert (row["by"], row["purpose"], row["allowed"]) == ("person:li", "report", ["name", "note"])


def test_the_administration_exports_all_with_chinese_columns_and_a_mark_and_it_reads_back(
    kehu: Kehu, stocked: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "全部.csv"
    done = kehu.json("customer", "export", str(file), "--headers", "zh", "--bom", as_="admin")
    raw = file.read_bytes()
    assert raw.startswith("\ufeff编号,号码状态,姓名,电话,单位".encode())
    rows = rows_of(file)
    assert [row["编号"] for row in rows][-4:] == stocked
    assert (done["rows"], done["bytes"]) == (len(rows), len(raw))
    assert [row["备注"] for row in rows][-4:] == [f"'{TRICK}", "'-1", '逗号, "引号"', ""]
    from cli.intake.rows import read_sheet

    sheet = read_sheet(file, "CN")
    assert sheet.ignored == ["编号", "号码状态"]
    assert [row.fields.get("note") for row in sheet.rows][-4:] == [TRICK, "-1", '逗号, "引号"', None]
    assert sheet.rows[-1].fields["phone"] == "+8613900000009"


def test_a_broken_export_goes_on_where_it_stopped_and_has_each_customer_once(
    kehu: Kehu, stocked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.csv"
    kehu.json("customer", "export", str(whole), as_="admin")
    file = tmp_path / "b.csv"
    pages = 0
    from cli.client import NodeClient

    execute = NodeClient.execute

    async def break_at_the_third(self: NodeClient, *args: Any, **more: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise KeyboardInterrupt
        return await execute(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr("cli.taking_away.PAGE", 1)
        patch.setattr(NodeClient, "execute", break_at_the_third)
        assert kehu("customer", "export", str(file), as_="admin").exit == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv.partial", "b.csv.resume", "whole.csv"]
    with (tmp_path / "b.csv.partial").open("ab") as torn:
        torn.write("c-zz,valid,半".encode())  # what a crash left of a page
    other = kehu.problem("customer", "export", str(file), "--field", "name", as_="admin", exit=2)
    assert other["code"] == "usage.export_other"
    done = kehu.json("customer", "export", str(file), as_="admin")
    assert done["is_resumed"]
    assert file.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "whole.csv"]


def test_an_export_whose_name_was_taken_at_the_end_goes_on_without_its_last_page_twice(
    kehu: Kehu, stocked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "e.csv"
    from cli.taking_away import Exporter

    finish = Exporter._finish

    def finish_late(self: Exporter) -> None:
        file.write_text("somebody else's")
        finish(self)

    with monkeypatch.context() as patch:
        patch.setattr(Exporter, "_finish", finish_late)
        assert kehu("customer", "export", str(file), as_="admin").exit != 0
    assert file.read_text() == "somebody else's"
    file.unlink()
    done = kehu.json("customer", "export", str(file), as_="admin")
    assert (done["is_resumed"], done["rows"]) == (True, len(stocked))
    assert sorted(row["id"] for row in rows_of(file)) == sorted(stocked)


def test_an_export_whose_rows_are_gone_does_not_go_on(
    kehu: Kehu, stocked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.csv"
    from cli.taking_away import Exporter

    with monkeypatch.context() as patch:
        patch.setattr(Exporter, "_finish", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert kehu("customer", "export", str(file), as_="admin").exit == 130
    (tmp_path / "f.csv.partial").unlink()
    problem = kehu.problem("customer", "export", str(file), as_="admin", exit=2)
    assert problem["code"] == "usage.export_other"
    assert not file.exists()


@pytest.mark.parametrize("laid", ["link", "readable", "pipe"])
def test_an_export_takes_no_file_that_somebody_laid_there(
    kehu: Kehu, stocked: list[str], tmp_path: Path, laid: str
) -> None:
    rows, theirs = tmp_path / "g.csv.partial", tmp_path / "theirs"
    theirs.write_bytes(b"")
    if laid == "link":
        rows.symlink_to(theirs)
    elif laid == "pipe":
        os.mkfifo(rows, 0o600)
    else:
        rows.touch(0o644)
    problem = kehu.problem("customer", "export", str(tmp_path / "g.csv"), as_="admin", exit=2)
    assert problem["code"] == "usage.export_other"
    assert theirs.read_bytes() == b""
    rows.unlink()
    assert kehu.json("customer", "export", str(tmp_path / "g.csv"), as_="admin")["rows"] == len(stocked)


def test_values_the_vault_lacks_are_counted(kehu: Kehu, office: Office, stocked: list[str], tmp_path: Path) -> None:
    office.trouble.is_forgetful = True
    done = kehu.json("customer", "export", str(tmp_path / "c.csv"), as_="admin", exit=9)
    assert done["missing"] == 1


def test_nothing_is_written_over(kehu: Kehu, tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("mine")
    assert kehu.problem("customer", "export", str(file), as_="admin", exit=2)["code"] == "usage.file_exists"
    assert (
        kehu.problem("customer", "export", "x.csv", "--headers", "de", as_="admin", exit=2)["code"] == "usage.headers"
    )


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠a", "\t=1", "\r=1", "'=1", " =1"]
)
def test_no_cell_begins_as_a_formula(text: str) -> None:
    assert guarded(text).startswith("'")
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["x;=1+1", "x\t@SUM(A1)", "x\n=1", "x\r\n-1", "x; =1", "x;'=1", "x;=1;＝2", "=1;=2"])
def test_no_cell_begins_as_a_formula_for_a_program_that_parts_cells_otherwise(text: str) -> None:
    for sign in ";\t\r\n":
        for part in guarded(text).split(sign):
            assert not part.strip(" ").startswith(("=", "+", "-", "@", "＝"))
    assert unguarded(guarded(text)) == text


def test_a_cell_is_quoted_whichever_sign_a_program_parts_cells_by() -> None:
    assert line(["a;b", "c\td", "e,f", 'g"h', "i"]) == '"a;b","c\td","e,f","g""h",i\r\n'


@pytest.mark.parametrize("text", ["", "张三", "1 - 2", "'quoted'", "+8613800138000", "a=b", "a; b", "a;b=c"])
def test_a_harmless_cell_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text
    assert unguarded(text) == text


def test_a_number_that_somebody_marked_as_text_is_read_as_the_number() -> None:
    assert unguarded("'+8613800138000") == "+8613800138000"


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00\r\n"))
    | st.text(st.sampled_from("'=+@ ;\t\",a1"), max_size=12)
)
def test_what_is_written_is_read_back(text: str) -> None:
    ((cell, _),) = csv.reader(io.StringIO(line([text, "x"]), newline=""))
    assert unguarded(cell) == text


def test_every_field_has_a_chinese_column_that_importing_knows() -> None:
    from cli.intake.columns import COLUMNS

    for field in COLUMNS:
        assert HEADERS[field] in COLUMNS[field]
    layout = Layout("customers", ("status",), ("name",), "x", is_chinese=False, is_marked=False)
    assert layout.header() == "id,status,name\r\n"
