"""Importing with care: columns named by the caller, numbers that are there already, a rehearsal, a sudden end."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.state import View
from tests.cli.conftest import Kehu
from tests.cli.contract import json_keys_of
from tests.cli.office import Office, Trouble

HEADER = "姓名,电话,单位\n"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def customers(office: Office) -> int:
    row = View(office.chain.ledger.state.get).get("counters", "customers")
    return 0 if row is None else int(row["value"])


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()


def faults_of(done: Any) -> list[tuple[int, str, str]]:
    return [(fault["row"], fault["column"], fault["code"]) for fault in done["faults"]]


def test_a_number_is_recorded_twice_only_on_purpose(kehu: Kehu, office: Office) -> None:
    first = kehu.json("customer", "add", "name=王芳", "phone=13700000001", "--temporary", as_="li")["customer"]
    again = ("customer", "add", "name=王方", "phone=137 0000 0001", "--temporary")
    before = customers(office)
    problem = kehu.problem(*again, as_="li", exit=1)
    assert (problem["code"], problem["details"]) == ("record.duplicate", {"customers": first})
    assert customers(office) == before
    kehu.json(*again, "--allow-duplicate", as_="li")
    assert customers(office) == before + 1


def test_a_new_number_that_another_customer_has_is_recorded_only_on_purpose(kehu: Kehu, office: Office) -> None:
    first = kehu.json("customer", "add", "name=林一", "phone=13700000061", "--temporary", as_="li")["customer"]
    second = kehu.json("customer", "add", "name=林二", "phone=13700000062", "--temporary", as_="li")["customer"]
    change = ("customer", "update", second, "phone=137-0000-0061", "position=经理", "--temporary")
    problem = kehu.problem(*change, as_="li", exit=1)
    assert (problem["code"], problem["details"]) == ("record.duplicate", {"customers": first})
    before = kehu.json("customer", "show", second, as_="li")
    assert (before["version"], before["fields"]["phone"]["value"]) == (1, "+8613700000062")
    kehu.json(*change, "--allow-duplicate", as_="li")
    after = kehu.json("customer", "show", second, as_="li")["fields"]
    assert (after["phone"]["value"], after["position"]["value"]) == ("+8613700000061", "经理")


def test_a_customers_own_number_is_no_duplicate_and_other_fields_are_not_asked_about(kehu: Kehu) -> None:
    mine = kehu.json("customer", "add", "name=林三", "phone=13700000063", "--temporary", as_="li")["customer"]
    kehu.json("customer", "add", "name=林四", "phone=13700000063", "--temporary", as_="wang")
    kehu.json("customer", "update", mine, "phone=13700000063", "--temporary", as_="li")  # wang's is not li's to see
    kehu.json("customer", "update", mine, "position=总监", as_="li")
    assert kehu.problem("customer", "update", mine, "phone=13700000063", "--temporary", as_="admin", exit=1)


def test_nobody_learns_that_a_customer_of_somebody_elses_has_the_number(kehu: Kehu, office: Office) -> None:
    kehu.json("customer", "add", "name=赵四", "phone=13700000002", "--temporary", as_="li")
    kehu.json("customer", "add", "name=赵四", "phone=13700000002", "--temporary", as_="wang")
    seen = kehu.problem("customer", "add", "name=赵四", "phone=13700000002", "--temporary", as_="admin", exit=1)
    assert len(seen["details"]["customers"].split(",")) == 2


def test_rows_with_numbers_that_are_there_already_are_left_out_and_named(
    kehu: Kehu, office: Office, tmp_path: Path
) -> None:
    known = kehu.json("customer", "add", "name=孙七", "phone=13700000010", "--temporary", as_="li")["customer"]
    rows = ("新一,13700000011,甲", "孙七,13700000010,甲", "新二,13700000012,甲", "新三,13700000011,乙")
    file = write(tmp_path / "a.csv", *rows)
    before = customers(office)
    done = kehu.json("customer", "import", str(file), "--temporary", as_="li", exit=9)
    assert faults_of(done) == [(3, "phone", "record.duplicate"), (5, "phone", "import.duplicate_phone")]
    assert [fault["details"] for fault in done["faults"]] == [{"customers": known}, {"first": 2}]
    assert customers(office) == before + 2
    done = kehu.json("customer", "import", str(file), "--temporary", "--allow-duplicate", as_="li")
    assert (done["imported"], done["already"]) == (2, 2)
    assert kehu.json("customer", "import", str(file), "--temporary", as_="li")["already"] == 4


def test_a_dry_run_says_what_would_become_of_each_row_and_records_nothing(
    kehu: Kehu, office: Office, tmp_path: Path
) -> None:
    kehu.json("customer", "add", "name=周八", "phone=13700000020", "--temporary", as_="li")
    file = write(tmp_path / "b.csv", "新一,13700000021,甲", "周八,13700000020,甲", "坏,12345,甲", ",13700000022,甲")
    before = customers(office)
    args = ("customer", "import", str(file), "--temporary")
    done = kehu.json(*args, "--dry-run", as_="li", exit=9)
    assert (done["planned"], done["imported"], done["journal"]) == ([2], 0, None)
    assert faults_of(done) == [
        (3, "phone", "record.duplicate"),
        (4, "phone", "phone.impossible"),
        (5, "name", "import.value_missing"),
    ]
    assert customers(office) == before
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]
    kehu.json(*args, as_="li", exit=9)
    rehearsed = kehu.json(*args, "--dry-run", as_="li", exit=9)
    assert (rehearsed["already"], rehearsed["planned"]) == (1, [])


def test_columns_mean_what_the_caller_says(kehu: Kehu, tmp_path: Path) -> None:
    header = "姓名,客户全称,电话1,电话,说明\n"
    file = write(tmp_path / "c.csv", "经办人,华东公司王总,13700000031,010-12345,重要", header=header)
    args = ("customer", "import", str(file), "--temporary")
    done = kehu.json(*args, "--map", "name=客户全称", "--map", "phone=电话1", as_="li")
    assert done["columns"] == {"name": "客户全称", "phone": "电话1", "note": "说明"}
    assert done["ignored_columns"] == ["姓名", "电话"]
    customer = done["customers"][0]["customer"]
    assert kehu.json("customer", "show", customer, as_="li")["fields"]["name"]["value"] == "华东公司王总"
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"name": "客户全称", "phone": "电话"}, ensure_ascii=False))
    again = kehu.json(*args, "--mapping", str(mapping), "--map", "phone=电话1", as_="li")
    assert (again["already"], again["columns"]["phone"]) == (1, "电话1")


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        (["name"], "import.mapping"),
        (["nickname=姓名"], "import.mapping"),
        (["name="], "import.mapping"),
        (["name=姓名", "phone=姓名"], "import.mapping"),
        (["name=姓名", "name=电话"], "import.mapping"),
        (["name=没有这一列"], "import.header"),
    ],
)
def test_a_mapping_is_refused_for(kehu: Kehu, tmp_path: Path, mapping: list[str], code: str) -> None:
    file = write(tmp_path / "d.csv", "甲,13700000041,乙")
    options = [part for text in mapping for part in ("--map", text)]
    assert kehu.problem("customer", "import", str(file), *options, as_="li", exit=2)["code"] == code


def test_a_report_in_csv_has_a_line_for_each_row_and_no_personal_value(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", "吴九,13700000051,丙公司", "吴十,12345,丙公司", "郑一,13700000052,丙公司")
    report = tmp_path / "报告.csv"
    done = kehu.json("customer", "import", str(file), "--temporary", "--report", str(report), as_="li", exit=9)
    text = report.read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["row"], row["outcome"], row["code"], row["column"]) for row in rows] == [
        ("2", "imported", "", ""),
        ("3", "left_out", "phone.impossible", "phone"),
        ("4", "imported", "", ""),
    ]
    assert [row["customer"] for row in rows if row["customer"]] == [item["customer"] for item in done["customers"]]
    assert not any(secret in text for secret in ("吴九", "丙公司", "13700000051", "12345"))


@contextmanager
def import_in_the_middle(kehu: Kehu, office: Office, file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own whose second request waits for a commit that does not come before this is left."""
    in_the_middle = threading.Event()
    commit = office.chain.commit

    def commit_then_stall(department: str, transactions: Any) -> None:
        commit(department, transactions)
        if len(transactions) >= 40:
            office.trouble.is_stalled = True
            in_the_middle.set()

    office.chain.commit = commit_then_stall  # type: ignore[method-assign]
    environment = {
        **os.environ,
        "KEHU_NETWORK": str(kehu.folder),
        "KEHU_PASSPHRASE_FILE": str(kehu.pass_file),
        "KEHU_AS": "li",
    }
    command = [sys.executable, "-m", "cli.main", "customer", "import", str(file), "--temporary", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
            assert in_the_middle.wait(60)
            yield process
    finally:
        office.chain.commit = commit  # type: ignore[method-assign]
        office.trouble.is_stalled = False


def test_an_import_that_is_killed_in_the_middle_goes_on_and_records_each_row_once(
    kehu: Kehu, office: Office, tmp_path: Path
) -> None:
    """A process of its own dies by SIGKILL while its second request waits for a commit that comes after its death."""
    file = write(tmp_path / "f.csv", *(f"客户{index},{13711000000 + index},丁公司" for index in range(130)))
    before = customers(office)
    with import_in_the_middle(kehu, office, file) as process:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert customers(office) - before in range(1, 130)
    kehu.json("login", as_="li")  # what had been taken in commits now
    done = kehu.json("customer", "import", str(file), "--temporary", as_="li")
    assert done["imported"] + done["already"] == 130
    assert customers(office) == before + 130
    assert len({item["customer"] for item in done["customers"]}) == 130


def test_an_import_that_is_interrupted_says_what_was_done_and_how_to_go_on(
    kehu: Kehu, office: Office, tmp_path: Path
) -> None:
    file = write(tmp_path / "g.csv", *(f"客户{index},{13712000000 + index},戊公司" for index in range(130)), "坏,1,x")
    before = customers(office)
    with import_in_the_middle(kehu, office, file, "--json") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
    done, problem = json.loads(out), json.loads(err)
    assert sorted(done) == sorted(json_keys_of(("customer", "import")))
    assert done["imported"] + len(done["unknown"]) + done["not_reached"] == 130
    assert (done["rows"], done["left_out"], done["not_reached"] > 0) == (131, 1, True)
    assert {"row", "customer", "transaction"} == set(done["unknown"][0])
    assert (problem["code"], problem["exit"]) == ("import.interrupted", 130)
    assert "again" in problem["cure"]
    kehu.json("login", as_="li")  # what had been taken in commits now
    again = kehu.json("customer", "import", str(file), "--temporary", as_="li", exit=9)
    assert (again["imported"] + again["already"], again["not_reached"]) == (130, 0)
    assert customers(office) == before + 130
