"""Importing a CSV file: the good rows go in, each once, whatever happens on the way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.client import NodeClient
from cli.phones import recorded_at
from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble

HEADER = "姓名,电话,单位\n"


def write(path: Path, first: int, count: int, extra: str = "", encoding: str = "utf-8-sig") -> Path:
    rows = "".join(f"客户{index},{13900139000 + index},东方公司\n" for index in range(first, first + count))
    path.write_bytes((HEADER + rows + extra).encode(encoding))
    return path


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()
    office.simulator.faults.clear()


def customers_of(kehu: Kehu) -> int:
    """How many customers the chain has, by the newest one's sequence number."""
    rows = kehu.json("customer", "list", "--limit", "100", "--field", "name", as_="admin")
    count = len(rows["customers"])
    while rows["next"] is not None:
        after = str(rows["next"])
        rows = kehu.json("customer", "list", "--limit", "100", "--after", after, "--field", "name", as_="admin")
        count += len(rows["customers"])
    return count


def test_good_rows_go_in_faulty_ones_are_reported_and_a_second_run_adds_nobody(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "客户.csv", 0, 90, "坏号,12345,东方公司\n,13900139999,东方公司\n", "gb18030")
    kehu.json("carrier", "set", "activate", "--from", str(file))
    before = customers_of(kehu)
    done = kehu.json("customer", "import", str(file), "--report", str(tmp_path / "r.json"), as_="li", exit=9)
    assert (done["rows"], done["imported"], done["already"], done["left_out"]) == (92, 90, 0, 2)
    assert [(fault["row"], fault["code"]) for fault in done["faults"]] == [
        (92, "phone.impossible"),
        (93, "import.value_missing"),
    ]
    assert json.loads((tmp_path / "r.json").read_text()) == done
    assert customers_of(kehu) == before + 90
    again = kehu.json("customer", "import", str(file), as_="li", exit=9)
    assert (again["imported"], again["already"]) == (0, 90)
    assert customers_of(kehu) == before + 90
    assert {row["customer"] for row in again["customers"]} == {row["customer"] for row in done["customers"]}


def test_the_journal_and_the_report_hold_no_personal_value(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 100, 3, "坏号,12345,东方公司\n")
    kehu.json("carrier", "set", "activate", "--from", str(file))
    kehu.json("customer", "import", str(file), "--report", str(tmp_path / "r.json"), as_="li", exit=9)
    for written in (tmp_path / "a.csv.journal", tmp_path / "r.json"):
        text = written.read_text()
        assert not any(secret in text for secret in ("客户1", "139001391", "东方公司", "坏号", "12345"))
        assert written.stat().st_mode & 0o077 == 0


def test_rows_whose_outcome_got_lost_are_known_at_the_next_run(
    kehu: Kehu, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "b.csv", 200, 5)
    kehu.json("carrier", "set", "activate", "--from", str(file))
    before = customers_of(kehu)
    with monkeypatch.context() as patch:
        patch.setattr("cli.client.NodeClient.__init__.__defaults__", (0.2,))
        office.trouble.is_stalled = True
        lost = kehu.json("customer", "import", str(file), as_="li", exit=4)
    assert (lost["imported"], len(lost["unknown"])) == (0, 5)
    office.trouble.is_stalled = False
    kehu.json("login", as_="li")  # the block that carries it carries what was pending too
    assert customers_of(kehu) == before + 5
    write(file, 200, 7)  # and what the first run did not reach
    kehu.json("carrier", "set", "activate", "--from", str(file))
    again = kehu.json("customer", "import", str(file), as_="li")
    assert (again["imported"], again["already"]) == (2, 5)
    assert {row["customer"] for row in again["customers"]} > {row["customer"] for row in lost["unknown"]}
    assert customers_of(kehu) == before + 7


def test_rows_that_go_in_while_they_are_taken_up_again_are_in_already(
    kehu: Kehu, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "m.csv", 250, 2)
    kehu.json("carrier", "set", "activate", "--from", str(file))
    office.trouble.is_deaf = True
    with monkeypatch.context() as patch:
        patch.setattr("cli.client.NodeClient.__init__.__defaults__", (0.2,))
        kehu("customer", "import", str(file), as_="li")
    office.trouble.is_deaf = False
    before = customers_of(kehu)

    seen: set[str] = set()

    async def look(client: NodeClient, customer: str) -> int | None:
        is_late = customer in seen
        seen.add(customer)
        return await recorded_at(client, customer) if is_late else None

    monkeypatch.setattr("cli.intake.importer.recorded_at", look)  # as if the block came right after the first look
    again = kehu.json("customer", "import", str(file), as_="li")
    assert (again["imported"], again["already"], customers_of(kehu)) == (0, 2, before)


def test_rows_the_carrier_does_not_answer_for_are_left_out_and_go_in_later(
    kehu: Kehu, office: Office, tmp_path: Path
) -> None:
    from node.carrier.simulator.faults import FaultOrder

    file = write(tmp_path / "c.csv", 300, 4)
    kehu.json("carrier", "set", "activate", "--from", str(file))
    office.simulator.faults.add(FaultOrder(kind="fail", number="+8613900139301"))
    done = kehu.json("customer", "import", str(file), as_="li", exit=9)
    assert [(fault["row"], fault["code"]) for fault in done["faults"]] == [(3, "carrier.no_answer")]
    office.simulator.faults.clear()
    again = kehu.json("customer", "import", str(file), as_="li")
    assert (again["imported"], again["already"]) == (1, 3)


def test_numbers_no_carrier_knows_are_left_out_or_temporary_as_the_caller_chose(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "d.csv", 400, 2)
    done = kehu.json("customer", "import", str(file), as_="li", exit=9)
    assert {fault["code"] for fault in done["faults"]} == {"phone.no_identifier"}
    told = kehu("customer", "import", str(file), as_="li").out
    assert told.count("phone.no_identifier: ") == 1
    assert "(--temporary)" in told
    again = kehu.json("customer", "import", str(file), "--temporary", as_="li")
    assert {row["status"] for row in again["customers"]} == {"temporary"}


def test_a_row_that_the_node_refuses_is_left_out_also_where_it_is_the_only_one_to_send(
    kehu: Kehu, tmp_path: Path
) -> None:
    file = write(tmp_path / "l.csv", 450, 1)
    kehu.json("carrier", "set", "activate", "--from", str(file))
    kehu.json("customer", "import", str(file), as_="li")
    write(file, 450, 2)
    done = kehu.json("customer", "import", str(file), as_="li", exit=9)
    assert (done["already"], [fault["code"] for fault in done["faults"]]) == (1, ["phone.no_identifier"])


def test_a_person_who_may_not_record_customers_stops_the_import_at_once(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", 500, 3)
    problem = kehu("customer", "import", str(file), as_="shen")
    assert problem.exit == 1
    assert "auth.role" in problem.err
    assert "Run the same command again" in problem.err


def test_an_import_that_finds_no_node_says_so_in_one_json_object(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "k.csv", 900, 2)
    problem = kehu.problem("customer", "import", str(file), "--node", "http://127.0.0.1:1", as_="li", exit=4)
    assert problem["code"] == "node.unreachable"


def test_a_check_reads_the_file_and_sends_nothing(kehu: Kehu, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", 600, 3, "坏号,12345,东方公司\n")
    found = kehu.json("customer", "import", str(file), "--check", as_="li", exit=9)
    assert (found["rows"], found["left_out"], found["imported"], found["journal"]) == (4, 1, 0, None)
    assert not (tmp_path / "f.csv.journal").exists()


@pytest.mark.parametrize("name", ["g.csv", "g.csv.journal", "kept.journal", "columns.json", "sub/../g.csv"])
def test_a_report_takes_the_place_of_no_file_that_the_import_works_with(kehu: Kehu, tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "g.csv", 600, 3)
    (tmp_path / "sub").mkdir()
    columns = tmp_path / "columns.json"
    columns.write_text("{}")
    options = ["--mapping", str(columns)]
    if name == "kept.journal":
        options += ["--journal", str(tmp_path / name)]
    before = (file.read_bytes(), columns.read_bytes())
    report = str(tmp_path / name)
    problem = kehu.problem("customer", "import", str(file), *options, "--check", "--report", report, as_="li", exit=2)
    assert problem["code"] == "usage.report"
    assert (file.read_bytes(), columns.read_bytes()) == before


def test_a_file_whose_name_is_not_utf_8_has_a_report_like_any_other(kehu: Kehu, tmp_path: Path) -> None:
    file, report = tmp_path / os.fsdecode("客户.csv".encode("gb18030")), tmp_path / "report.json"
    write(file, 600, 3)
    kehu("customer", "import", str(file), "--check", "--report", str(report), as_="li")
    told = json.loads(report.read_text(encoding="utf-8"))
    assert (told["file"], told["rows"]) == (str(file), 3)
