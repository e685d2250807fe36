"""`kehu node`: a folder made from an introduction, another passphrase, and the doctor's exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.introduction import Introduction, fingerprint_of
from cli.joining import newest_members
from cli.profile import Profile
from node.folder.config import Home
from node.folder.reading import read_home
from node.keys.files import change_passphrase, create_key_file, load_key, read_public
from node.keys.passphrase import read_passphrase
from tests.cli.conftest import Kehu, make_folder
from tests.node.cluster import CHEAP

PLACE = ("--name", "法务", "--peer", "kehu.legal.example:7001", "--api", "10.0.7.2:8000")


@pytest.fixture
def kehu(tmp_path: Path) -> Kehu:
    """The commands of the new department's own machine, whose network folder is not there yet."""
    (tmp_path / "theirs").mkdir()
    return Kehu(tmp_path / "theirs" / "crm", tmp_path / "unused")


@pytest.fixture
def introduction(tmp_path: Path) -> Path:
    profile, _ = make_folder(tmp_path)
    genesis = profile.genesis
    members = [
        {"department": name, "name": name, "key": genesis.validators.key_of(name).hex(), "address": address}
        for name, address in genesis.addresses.items()
    ]
    file = tmp_path / "crm.json"
    Introduction(genesis, newest_members({"next": None, "members": members}), profile.nodes).write(file)
    return file


def fingerprint(introduction: Path) -> str:
    return fingerprint_of(Introduction.read(introduction).genesis.chain_id.hex())


def test_a_node_that_cannot_start_ends_with_the_exit_code_of_the_runbook(kehu: Kehu, tmp_path: Path) -> None:
    assert kehu.json("node", "run", str(tmp_path / "nowhere"), exit=2)["exit"] == 2


def init(kehu: Kehu, home: Path, introduction: Path, *more: str, exit_: int = 0) -> Any:
    told = ("--introduction", str(introduction), "--fingerprint", fingerprint(introduction))
    ran = kehu("node", "init", str(home), "legal", *PLACE, *told, *more, "--json")
    assert ran.exit == exit_, ran.err
    return ran.json if exit_ == 0 else ran.problem


def test_a_folder_is_made_that_reads_without_an_error_and_a_request_without_a_secret(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "legal")
    listen = ("--listen-peer", "0.0.0.0:7001", "--metrics", "127.0.0.1:9101")
    request = init(kehu, home.path, introduction, *listen)
    files = read_home(home)
    assert files.node_key.public.hex() == request["key"]
    assert (files.config.listen.peer, files.config.listen.api) == ("0.0.0.0:7001", "10.0.7.2:8000")
    assert request["address"] == "kehu.legal.example:7001"
    assert (home.path.stat().st_mode & 0o777, home.node_key.stat().st_mode & 0o777) == (0o700, 0o600)
    passphrase = (home.path / "secrets" / "passphrase").read_text().strip()
    assert not [value for value in request.values() if value in {files.node_key.seed.hex(), passphrase}]
    profile = Profile.open(kehu.folder)
    assert profile.nodes["legal"] == "http://10.0.7.2:8000"
    assert profile.genesis.chain_id == files.genesis.chain_id


def test_a_gateways_key_is_made_once_and_its_id_is_one_that_contracts_take(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "legal")
    init(kehu, home.path, introduction)
    wrong = kehu("node", "gateway-key", str(home.path), "--gateway", "Legal 1", "--json")
    assert (wrong.exit, wrong.problem["code"], home.gateway_key.exists()) == (2, "usage.id", False)
    made = kehu.json("node", "gateway-key", str(home.path))
    key = read_home(home).gateway_key
    assert key is not None
    assert (made["gateway"], made["department"], made["key"]) == ("gateway-legal", "legal", key.public.hex())
    assert kehu("node", "gateway-key", str(home.path)).exit == 6
    request = tmp_path / "gateway.json"
    for text in (json.dumps(made), "[]", '{"gateway": "gateway-2"}', json.dumps({**made, "possession": "no hex"})):
        request.write_text(text, encoding="utf-8")
        ran = kehu("gateway", "enrol", "gateway-2", "--request", str(request), "--as", "admin", "--json")
        assert (ran.exit, ran.problem["code"]) == (2, "usage.gateway_request"), text


def test_an_exchanged_introduction_does_not_have_the_fingerprint(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    told = fingerprint(introduction)
    value = json.loads(introduction.read_text(encoding="utf-8"))
    value["genesis"]["network"] += "2"
    introduction.write_text(json.dumps(value), encoding="utf-8")
    words = ("--introduction", str(introduction), "--fingerprint", told)
    ran = kehu("node", "init", str(tmp_path / "legal"), "legal", *PLACE, *words, "--json")
    assert (ran.exit, ran.problem["code"]) == (2, "usage.fingerprint")
    assert not (tmp_path / "legal").exists()
    introduction.write_text('{"format": 1}', encoding="utf-8")
    assert kehu("node", "init", str(tmp_path / "legal"), "legal", *PLACE, *words).exit == 2


def test_nothing_is_written_over_and_nothing_is_left_of_what_was_refused(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = tmp_path / "legal"
    assert init(kehu, home, introduction, "--metrics", "no address", exit_=8)["code"] == "config.invalid"
    open_file = tmp_path / "open"
    open_file.write_text("secret\n")
    open_file.chmod(0o644)
    refused = init(kehu, home, introduction, "--passphrase-file", str(open_file), exit_=6)
    assert refused["code"] == "passphrase.file_open"
    assert not home.exists()
    init(kehu, home, introduction)
    assert init(kehu, home, introduction, exit_=8)["code"] == "network.folder_not_empty"
    (tmp_path / "other").mkdir()
    other, _ = make_folder(tmp_path / "other")
    stranger = Kehu(other.folder, kehu.pass_file)
    assert init(stranger, tmp_path / "legal2", introduction, exit_=8)["code"] == "network.other"
    assert not (tmp_path / "legal2").exists()


def test_a_mounted_secret_seals_the_key_and_is_named_in_the_configuration(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a mounted secret\n")
    secret.chmod(0o600)
    home = Home(tmp_path / "legal")
    init(kehu, home.path, introduction, "--passphrase-file", str(secret))
    assert read_home(home).config.passphrase_file == str(secret)
    assert not (home.path / "secrets").exists()
    assert kehu("node", "change-passphrase", str(home.path)).exit == 6  # it is not the node's to write
    new = tmp_path / "new"
    new.write_text("another secret\n")
    new.chmod(0o600)
    told = kehu.json("node", "change-passphrase", str(home.path), "--new-passphrase-file", str(new))
    assert (told["written"], told["keys"]) == (False, ["node.key"])
    assert load_key(home.node_key, "another secret").public == read_public(home.node_key).public
    assert secret.read_text() == "a mounted secret\n"


def test_a_change_of_passphrase_that_was_interrupted_is_finished_by_the_same_command(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "legal")
    init(kehu, home.path, introduction)
    old = read_passphrase(file=home.path / "secrets" / "passphrase")
    create_key_file(home.gateway_key, "gateway", "gateway-legal", old, bytes(range(32)), CHEAP)
    new = tmp_path / "new"
    new.write_text("a new passphrase\n")
    new.chmod(0o600)
    change_passphrase(home.node_key, old, "a new passphrase")  # and then the power went
    told = kehu.json("node", "change-passphrase", str(home.path), "--new-passphrase-file", str(new))
    assert told["keys"] == ["node.key", "gateway.key"]
    assert (home.path / "secrets" / "passphrase").stat().st_mode & 0o777 == 0o600
    assert read_home(home).gateway_key is not None
    kehu.json("node", "change-passphrase", str(home.path))
    assert read_passphrase(file=home.path / "secrets" / "passphrase") not in {old, "a new passphrase"}
    read_home(home)


def test_the_doctor_ends_with_8_for_what_cannot_start_and_9_for_what_is_to_be_done(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = tmp_path / "legal"
    loopback = ("--listen-peer", "127.0.0.1:0", "--listen-api", "127.0.0.1:0")
    init(kehu, home, introduction, *loopback)
    missing = kehu.json("node", "doctor", str(tmp_path / "missing"), exit=8)
    assert missing["findings"][0]["code"] == "config.missing"
    told = kehu.json("node", "doctor", str(home), exit=9)
    found = {finding["code"] for finding in told["findings"]}
    assert {"key.not_member", "peer.closed"} <= found
    assert (told["members_from"], told["fingerprint"]) == ("members.json", fingerprint(introduction))
    (home / "secrets" / "passphrase").write_text("wrong\n")
    ran = kehu("node", "doctor", str(home))
    assert ran.exit == 8
    assert "(key.passphrase_wrong)" in ran.out


def test_a_next_key_is_made_where_the_key_is_lost_and_none_beside_one_that_is_damaged_or_over_another(
    kehu: Kehu, introduction: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "legal")
    init(kehu, home.path, introduction)
    whole = home.node_key.read_bytes()
    home.node_key.write_bytes(whole[:-9])
    refused = kehu("node", "next-key", str(home.path), "--json")
    assert (refused.exit, refused.problem["code"], home.next_key.exists()) == (6, "key.file_damaged", False)
    home.node_key.unlink()
    lost = kehu("node", "rotate-key", str(home.path), "--json")
    assert (lost.exit, lost.problem["code"], home.next_key.exists()) == (6, "key.file_missing", False)
    made = kehu.json("node", "next-key", str(home.path))
    assert (made["old"], made["key"]) == (None, read_public(home.next_key).public.hex())
    assert not home.node_key.exists()
    again = kehu("node", "next-key", str(home.path), "--json")
    assert (again.exit, again.problem["code"]) == (6, "key.file_exists")
    assert read_public(home.next_key).public.hex() == made["key"]
    home.node_key.write_bytes(whole)  # it was found again
    home.node_key.chmod(0o600)
    assert read_home(home).node_key.public == read_public(home.node_key).public


def test_a_backup_is_opened_with_a_passphrase_from_every_source_that_the_refusal_names(
    kehu: Kehu, tmp_path: Path
) -> None:
    """The files are none, which is found out with the passphrase in hand."""
    data = tmp_path / "sales.kehu-backup"
    for file in (data, data.with_name(data.name + ".keys")):
        file.write_bytes(b"no backup")
    question = ("restore", str(data), str(tmp_path / "home"))
    refused = kehu.problem(*question, exit=6)
    assert (refused["code"], "--passphrase-fd" in refused["cure"]) == ("passphrase.missing", True)
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n", encoding="utf-8")
    with secret.open("rb") as source:
        given = ("--passphrase-fd", str(source.fileno()))
        refused = kehu.problem(*question, *given, exit=5)
    assert refused["code"].startswith("backup.")
