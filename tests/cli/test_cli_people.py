"""People and keys, logins, exports and audits by command line."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.command import perform
from cli.exits import Exit
from cli.output import Answer
from cli.run import Run
from tests.cli.conftest import PASSPHRASE, Kehu


def enrol(kehu: Kehu, person: str, tmp_path: Path, department: str = "sales", role: str = "operator") -> None:
    request = tmp_path / f"{person}.json"
    request.write_text(json.dumps(kehu.json("key", "new", person, "--department", department)))
    kehu.json("people", "enrol", person, "name=陈静", "--role", role, "--request", str(request), as_="admin")


def test_somebody_is_enrolled_logs_in_and_is_listed(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "chen", tmp_path)
    login = kehu.json("login", as_="chen")
    assert (login["person"], login["department"], login["role"], login["login"]) == ("chen", "sales", "operator", 1)
    assert "chen" in [row["person"] for row in kehu.json("people", "list", as_="chen")["people"]]
    assert kehu.json("people", "show", "chen", as_="admin")["fields"]["name"]["value"] == "陈静"
    kehu.json("people", "show", "chen", as_="li", exit=1)


def test_somebodys_data_are_corrected_by_the_administrator_and_by_nobody_else(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "tang", tmp_path)
    done = kehu.json("people", "update", "tang", "name=唐静", "phone=138-0013-8000", "email=tang@x.cn", as_="admin")
    assert (done["person"], done["version"]) == ("tang", 2)
    shown = kehu.json("people", "show", "tang", as_="admin")["fields"]
    assert [shown[name]["value"] for name in ("name", "phone", "email")] == ["唐静", "+8613800138000", "tang@x.cn"]
    kehu.json("people", "update", "tang", "phone=8001", as_="admin")  # an extension within the house
    assert kehu.json("people", "show", "tang", as_="admin")["fields"]["phone"]["value"] == "8001"
    conflict = kehu.problem("people", "update", "tang", "email=", "--expect", "2", as_="admin", exit=3)
    assert conflict["code"] == "record.version_conflict"
    assert kehu.problem("people", "update", "tang", "name= ", as_="admin", exit=2)["code"] == "usage.field_needed"
    assert kehu.problem("people", "update", "tang", as_="admin", exit=2)["code"] == "usage.nothing_to_change"
    assert kehu.problem("people", "update", "nobody", "email=", as_="admin", exit=1)["code"] == "record.absent_proven"
    assert kehu.problem("people", "update", "tang", "email=", as_="wang", exit=1)["code"] == "permission.denied"


def test_a_colleague_is_found_by_the_number_as_it_was_typed_at_enrolment(kehu: Kehu, tmp_path: Path) -> None:
    request = tmp_path / "tao.json"
    request.write_text(json.dumps(kehu.json("key", "new", "tao", "--department", "sales")))
    kehu.json("people", "enrol", "tao", "name=陶", "phone=13912345678", "--request", str(request), as_="admin")
    for typed in ("139 1234", "13912345678", "+86 139-1234-5678"):
        found = kehu.json("people", "search", typed, as_="admin")["records"]
        assert [row["record"] for row in found] == ["tao"]


def test_only_an_administrator_enrols(kehu: Kehu, tmp_path: Path) -> None:
    request = tmp_path / "eve.json"
    request.write_text(json.dumps(kehu.json("key", "new", "eve", "--department", "sales")))
    problem = kehu.problem("people", "enrol", "eve", "--request", str(request), as_="li", exit=1)
    assert problem["code"] == "permission.administrator_only"


def test_a_request_for_somebody_else_or_with_parts_missing_is_refused(kehu: Kehu, tmp_path: Path) -> None:
    request = tmp_path / "fang.json"
    request.write_text(json.dumps(kehu.json("key", "new", "fang", "--department", "sales")))
    for arguments in (
        ("gong", "--request", str(request)),
        ("gong", "--key", "00" * 32),
        ("gong", "--request", "no.json"),
    ):
        problem = kehu.problem("people", "enrol", *arguments, as_="admin", exit=2)
        assert problem["code"] == "usage.enrolment"


def test_a_second_key_says_how_to_change_over_to_it_and_asks_for_no_enrolment(kehu: Kehu) -> None:
    kehu.json("key", "new", "quan", "--department", "sales")
    told = kehu("key", "new", "quan", "--department", "sales", "--next").out
    assert "kehu people rotate-key quan --as quan" in told
    assert "people enrol" not in told


def test_a_key_is_changed_over_and_the_old_one_is_refused(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "han", tmp_path)
    old_file = kehu.folder / "keys" / "sales" / "han.key"
    old = old_file.read_bytes()
    following = kehu.json("key", "new", "han", "--department", "sales", "--next")
    changed = kehu.json("people", "rotate-key", "han", as_="han")
    assert changed["key"] == following["key"]
    assert kehu.json("key", "show", "han")["keys"][0]["key"] == following["key"]
    assert kehu.json("login", as_="han")["login"] == 1
    old_file.rename(old_file.with_suffix(".kept"))
    old_file.write_bytes(old)
    old_file.chmod(0o600)
    assert kehu.problem("login", as_="han", exit=1)["code"] == "keys.revoked"
    old_file.with_suffix(".kept").replace(old_file)


def test_a_stolen_key_is_replaced_by_the_steps_of_the_runbook(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "shi", tmp_path)
    kehu.json("people", "revoke-key", kehu.json("key", "show", "shi")["keys"][0]["key"], as_="admin")
    file = kehu.folder / "keys" / "sales" / "shi.key"
    file.rename(tmp_path / "shi.key")
    request = tmp_path / "shi.json"
    request.write_text(json.dumps(kehu.json("key", "new", "shi", "--department", "sales")))
    kehu.json("people", "rotate-key", "shi", "--request", str(request), as_="admin")
    assert kehu.json("login", as_="shi")["login"] == 1


def test_a_revoked_key_and_a_revoked_person_do_nothing_more(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "jin", tmp_path)
    enrol(kehu, "kang", tmp_path)
    key = kehu.json("key", "show", "jin")["keys"][0]["key"]
    assert kehu.json("people", "revoke-key", key, as_="admin")["person"] == "jin"
    assert kehu.problem("login", as_="jin", exit=1)["code"] == "keys.revoked"
    kehu.json("people", "revoke", "kang", as_="admin")
    assert kehu.problem("login", as_="kang", exit=1)["code"] == "people.revoked"


def test_a_passphrase_is_changed_and_the_old_one_opens_nothing(kehu: Kehu, tmp_path: Path) -> None:
    enrol(kehu, "lu", tmp_path)
    new = tmp_path / "new"
    new.write_text("battery staple\n")
    new.chmod(0o600)
    kehu.json("key", "change-passphrase", "lu", "--new-passphrase-file", str(new))
    assert kehu.problem("login", as_="lu", exit=6)["code"] == "key.passphrase_wrong"
    kehu.json("login", "--passphrase-file", str(new), as_="lu")


def test_no_passphrase_and_no_terminal_is_an_error_and_not_a_hang(kehu: Kehu) -> None:
    problem = kehu.problem("login", "--passphrase-file", "", as_="li", exit=6)
    assert problem["code"].startswith("passphrase.")


def test_a_key_is_never_overwritten_and_its_department_must_exist(kehu: Kehu) -> None:
    assert kehu.problem("key", "new", "li", "--department", "sales", exit=6)["code"] == "key.file_exists"
    assert kehu.problem("key", "new", "li", "--department", "marketing", exit=8)["code"] == "profile.unknown_department"
    assert kehu.problem("key", "new", "Li", "--department", "sales", exit=2)["code"] == "usage.name"


def test_a_nodes_own_status_is_held_against_the_genesis_here(kehu: Kehu) -> None:
    status = kehu.json("status", "--node", "finance")
    assert (status["department"], status["network"]) == ("finance", "试验")
    network = kehu.json("network", "status")
    assert all(node["is_ready"] for node in network["nodes"])
    assert {node["name"] for node in network["nodes"]} == {"管理", "销售", "财务", "技术"}


@pytest.mark.parametrize(
    "line",
    [
        ("export", "FILE"),
        ("network", "introduce", "FILE", "--node", "sales"),
        ("backup", "FILE"),
        ("prove", "c-1", "FILE"),
        ("customer", "export", "FILE"),
        ("evidence", "export", "sales.1.0.commit", "FILE"),
    ],
)
def test_a_file_whose_folder_is_not_there_is_refused_before_anything_is_asked(
    kehu: Kehu, tmp_path: Path, line: tuple[str, ...]
) -> None:
    height = kehu.json("status")["height"]
    words = [str(tmp_path / "nowhere" / "file") if word == "FILE" else word for word in line]
    is_signed = line[0] not in {"export", "network"}
    problem = kehu.problem(*words, as_="li" if is_signed else None, exit=2)
    assert (problem["code"], problem["details"]) == ("usage.file_place", {"folder": str(tmp_path / "nowhere")})
    assert kehu.json("status")["height"] == height


def test_a_file_to_be_written_that_has_the_name_of_a_folder_is_no_disk_that_fails(kehu: Kehu, tmp_path: Path) -> None:
    problem = kehu.problem("network", "introduce", str(tmp_path), "--node", "sales", exit=2)
    assert (problem["code"], problem["details"]) == ("usage.file_is_folder", {"file": str(tmp_path)})


@pytest.mark.parametrize(
    "line", [("--name", ""), ("--name", " "), ("--name", "长" * 65), ("--name", "a\nb"), ("--department", "sales= ")]
)
def test_a_network_without_a_name_is_not_made(kehu: Kehu, tmp_path: Path, line: tuple[str, str]) -> None:
    folder = tmp_path / "net"
    others = [part for id_ in ("administration", "finance", "process", "technical") for part in ("--department", id_)]
    problem = kehu.problem("network", "init", str(folder), *others, *line, exit=2)
    assert problem["code"] == "usage.network_name"
    assert not folder.exists()


def test_a_file_that_the_machine_refuses_is_an_error_and_no_defect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_run: Any) -> Answer:
        (tmp_path / "nowhere" / "file").read_bytes()
        raise AssertionError

    assert perform(refuse, Run(is_json=True), {}) == Exit.MACHINE
    assert json.loads(capsys.readouterr().err)["code"] == "machine.file_refused"


def test_a_full_disk_is_an_error_and_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_run: Any) -> Answer:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert perform(refuse, Run(is_json=True), {}) == Exit.MACHINE
    problem = json.loads(capsys.readouterr().err)
    assert (problem["code"], problem["details"]["problem"]) == ("machine.file_refused", os.strerror(errno.ENOSPC))
    assert "room" in problem["cure"]


def test_an_export_is_audited_and_a_changed_byte_is_found(kehu: Kehu, tmp_path: Path) -> None:
    kehu.json("login", as_="li")
    file = tmp_path / "chain.kehu"
    exported = kehu.json("export", str(file), "--node", "finance")
    assert exported["bytes"] == file.stat().st_size
    assert kehu.problem("export", str(file), exit=2)["code"] == "usage.file_exists"
    clean = kehu.json("audit", str(file), "--jobs", "1")
    assert (clean["clean"], clean["height"]) == (True, exported["last"])
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "copy.kehu").write_bytes(damaged)
    found = kehu.json("audit", str(tmp_path / "copy.kehu"), "--jobs", "1", exit=5)
    assert found["finding"]["height"] >= 1
    assert "WRONG at height" in kehu("audit", str(tmp_path / "copy.kehu"), "--jobs", "1").out


def test_an_export_of_a_part_is_said_to_be_one(kehu: Kehu, tmp_path: Path) -> None:
    kehu.json("login", as_="li")
    file = tmp_path / "part.kehu"
    last = kehu.json("export", str(file), "--from", "3")["last"]
    found = kehu.json("audit", str(file), "--jobs", "1", exit=5)["finding"]
    assert (found["code"], found["details"]) == ("audit.part", {"first": 3, "last": last})
    shown = kehu("audit", str(file), "--jobs", "1").out
    assert f"A PART: the export has heights 3 to {last}; the audit would go on from 1." in shown
    whole = tmp_path / "whole.kehu"
    kehu.json("export", str(whole))
    whole.write_bytes(whole.read_bytes()[:-1])
    assert f"A PART: the export has heights 1 to {last} and not its end." in kehu("audit", str(whole)).out


def test_an_audit_reads_a_node_directly_and_goes_on_from_its_checkpoint(kehu: Kehu, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    first = kehu.json("audit", "--node", "technical", "--jobs", "1", "--resume", str(checkpoint))
    kehu.json("login", as_="li")
    second = kehu.json("audit", "--node", "technical", "--jobs", "1", "--resume", str(checkpoint))
    assert (second["resumed_from"], second["height"]) == (first["height"], first["height"] + 1)


def test_an_audit_against_another_genesis_is_refused_at_height_0(kehu: Kehu, tmp_path: Path) -> None:
    value = json.loads((kehu.folder / "genesis.json").read_text())
    value["network"] = "别的"
    other = tmp_path / "genesis.json"
    other.write_text(json.dumps(value))
    found = kehu.json("audit", "--node", "technical", "--genesis", str(other), "--jobs", "1", exit=5)
    assert found["finding"]["code"] == "audit.genesis"
    assert kehu.problem("audit", exit=2)["code"] == "usage.audit_source"
    assert kehu.problem("audit", "--node", "http://127.0.0.1:1", exit=4)["code"] == "audit_source.unreachable"


def test_no_secret_and_no_personal_value_stands_in_a_public_answer(kehu: Kehu) -> None:
    said = json.dumps([kehu.json("people", "list", as_="admin"), kehu.json("grants", as_="admin")], ensure_ascii=False)
    assert PASSPHRASE not in said
    assert "陈静" not in said
