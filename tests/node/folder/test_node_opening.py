"""What can be wrong with a folder: each fault has its code, cause, cure and exit code, and leaves nothing half done."""

from __future__ import annotations

import json
import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.certificate import sign_vote
from chain.crypto import digest
from chain.errors import InvariantError, KehuError
from chain.genesis import Genesis
from consensus.votes import PrepareRecord
from node import process
from node.folder.config import Home
from node.folder.opening import Opened, open_home
from node.keys.files import create_key_file
from node.process import EXIT_INVARIANT, EXIT_REFUSED, EXIT_STORAGE, run_node
from node.service import Node
from node.soundness.setting_aside import TRIES_MAX, list_aside
from node.storage.wal import VoteLog
from tests.node.cluster import CHEAP, DEPARTMENTS, PASSPHRASE, free_ports, genesis_value, key_of, make_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    ports = free_ports(len(DEPARTMENTS) + 1)
    genesis = genesis_value(dict(zip(DEPARTMENTS, ports, strict=False)))
    return make_home(tmp_path / "sales", "sales", genesis, ports[3], ports[4])


def opened_once(home: Home) -> None:
    """Leaves a folder with a chain at genesis."""
    open_home(home).closing.close()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def change_genesis(home: Home, **changes: Any) -> None:
    value = json.loads(home.genesis_file.read_text())
    home.genesis_file.write_text(json.dumps({**value, **changes}))


def with_key(home: Home, name: str, passphrase: str = PASSPHRASE) -> None:
    home.node_key.unlink()
    create_key_file(home.node_key, "node", "sales", passphrase, key_of(name).seed, CHEAP)


def other_chain(home: Home) -> None:
    opened_once(home)
    change_genesis(home, network="another one")


def foreign_votes(home: Home) -> None:
    home.votes.unlink()
    VoteLog.create(home.votes, home.read_genesis().chain_id, "finance").close()


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def vote_at(home: Home, height: int) -> None:
    """A vote log with a PREPARE of this height."""
    chain_id, block_id = home.read_genesis().chain_id, digest("block", b"x")
    vote = sign_vote(key_of("node sales"), chain_id, "prepare", 0, height, 0, block_id, "sales")
    log = VoteLog(home.votes, chain_id, "sales")
    log.append([PrepareRecord(vote, b"body").to_bytes()])
    log.sync()
    log.close()


def unreadable_vote(home: Home) -> None:
    log = VoteLog(home.votes, home.read_genesis().chain_id, "sales")
    log.append([b"no record"])
    log.sync()
    log.close()


def damaged_chain(home: Home) -> None:
    opened_once(home)
    (home.chain / "CURRENT").unlink()


def other_department(home: Home) -> None:
    change(home.config_file, 'department = "sales"', 'department = "nobody"')


def carrier(home: Home) -> None:
    create_key_file(home.gateway_key, "gateway", "gateway-sales", PASSPHRASE, key_of("gateway sales").seed, CHEAP)
    text = home.config_file.read_text()
    home.config_file.write_text(text + '[carrier]\nurl = "http://127.0.0.1:9"\ntoken_file = "secrets/carrier-token"\n')


FAULTS: dict[str, tuple[str, Callable[[Home], object]]] = {
    "no configuration": ("config.missing", lambda home: home.config_file.unlink()),
    "no genesis": ("config.missing", lambda home: home.genesis_file.unlink()),
    "configuration is no TOML": ("config.invalid", lambda home: home.config_file.write_text("department = ")),
    "configuration is no text": ("config.invalid", lambda home: home.config_file.write_bytes(b"\xff\xfe")),
    "an unknown setting": ("config.invalid", lambda home: change(home.config_file, "[listen]", "colour = 1\n[listen]")),
    "a malformed address": ("config.invalid", lambda home: change(home.config_file, "127.0.0.1:", "127.0.0.1:9")),
    "genesis is no JSON": ("config.invalid", lambda home: home.genesis_file.write_text("{")),
    "genesis has a key twice": ("config.invalid", lambda home: home.genesis_file.write_text('{"a": 1, "a": 1}')),
    "genesis lacks a part": ("genesis.invalid", lambda home: home.genesis_file.write_text('{"version": 1}')),
    "a department not in the network": ("config.invalid", other_department),
    "a peer not in the network": (
        "config.invalid",
        lambda home: home.config_file.write_text(home.config_file.read_text() + '[peers]\nnobody = "10.0.0.1:1"\n'),
    ),
    "a peer's address malformed": (
        "config.invalid",
        lambda home: home.config_file.write_text(home.config_file.read_text() + '[peers]\nfinance = "here"\n'),
    ),
    "no key": ("key.file_missing", lambda home: home.node_key.unlink()),
    "a key that others may read": ("key.file_open", lambda home: home.node_key.chmod(0o644)),
    "a damaged key": ("key.file_damaged", lambda home: change(home.node_key, '"kind": "node"', '"kind": "gateway"')),
    "a key not in genesis": ("node.wrong_key", lambda home: with_key(home, "node elsewhere")),
    "another department's key": ("node.wrong_key", lambda home: with_key(home, "node finance")),
    "no passphrase": ("passphrase.unreadable", lambda home: (home.path / "secrets" / "passphrase").unlink()),
    "a wrong passphrase": ("key.passphrase_wrong", lambda home: with_key(home, "node sales", "another")),
    "another chain's data": ("storage.other_chain", other_chain),
    "another department's vote log": ("votelog.foreign", foreign_votes),
    "no carrier token": ("config.missing", carrier),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_refused_with_code_cause_and_cure(
    home: Home, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, spoil = FAULTS[fault]
    spoil(home)
    with caplog.at_level(logging.CRITICAL, "kehu.process"):
        assert run_node(home.path) == EXIT_REFUSED
    (record,) = [item for item in caplog.records if item.name == "kehu.process"]
    text = record.getMessage()
    assert text.startswith(f"{code}: ")
    assert " -- " in text
    assert PASSPHRASE not in caplog.text


def test_a_store_that_is_damaged_again_and_again_ends_with_the_exit_code_of_the_disk(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    for time in range(1, TRIES_MAX + 1):
        damaged_chain(home)
        opened_once(home)
        assert len(list_aside(home.path)) == time
        assert "storage.corrupt" in caplog.text
    damaged_chain(home)
    assert run_node(home.path) == EXIT_STORAGE
    assert "node.damaged_again" in caplog.text
    assert (home.path / "damaged").is_dir()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda home: flip(home.votes, 20), "votelog.corrupt"),
        (unreadable_vote, "votelog.corrupt"),
        (lambda home: vote_at(home, 2), "votelog.ahead_of_chain"),
    ],
)
def test_a_vote_log_that_can_not_be_relied_on_is_set_aside_and_the_node_observes(
    home: Home, spoil: Callable[[Home], object], code: str
) -> None:
    spoil(home)
    before = home.votes.read_bytes()
    opened = open_home(home)
    assert opened.records is None
    assert not home.votes.exists()
    opened.closing.close()
    (one,) = list_aside(home.path)
    assert (one.code, one.parts) == (code, ("votes.log",))
    assert (home.path / "damaged" / one.name / "votes.log").read_bytes() == before


def test_a_broken_invariant_has_an_exit_code_of_its_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Home) -> Opened:
        raise InvariantError("can't be")

    monkeypatch.setattr(process, "open_home", broken)
    assert run_node(home.path) == EXIT_INVARIANT


def test_a_folder_in_use_is_refused_and_the_first_user_is_not_disturbed(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_home(home)
    assert run_node(home.path) == EXIT_REFUSED
    assert "storage.in_use" in caplog.text
    assert first.blocks.head() is not None
    first.closing.close()
    opened_once(home)


@pytest.mark.parametrize("which", ["peer", "api"])
@pytest.mark.parametrize("host", ["sales..example", f"{'a' * 64}.example"])
def test_an_address_that_no_host_can_have_is_refused_by_name(
    home: Home, which: str, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = getattr(home.read_config().listen, which)
    home.config_file.write_text(home.config_file.read_text().replace(address, f"{host}:7001"))
    assert run_node(home.path) == EXIT_REFUSED
    assert "node.address" in caplog.text
    assert host in caplog.text


@pytest.mark.parametrize("which", ["peer", "api"])
def test_an_address_in_use_is_refused_by_name(home: Home, which: str, caplog: pytest.LogCaptureFixture) -> None:
    address = getattr(home.read_config().listen, which)
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        assert run_node(home.path) == EXIT_REFUSED
    assert "node.address" in caplog.text
    assert address in caplog.text
    opened_once(home)


def test_several_faults_of_a_configuration_come_in_one_report(home: Home) -> None:
    home.config_file.write_text('colour = 1\n[listen]\npeer = "x"\n[consensus]\nview_timeout_ms = 1\n')
    with pytest.raises(KehuError) as caught:
        open_home(home)
    for name in ("colour", "department", "listen.peer", "listen.api", "consensus.view_timeout_ms"):
        assert name in str(caught.value)


def test_after_a_refusal_the_folder_is_free_and_opens_once_it_is_put_right(home: Home) -> None:
    other_chain(home)
    with pytest.raises(KehuError, match=r"storage\.other_chain"):
        open_home(home)
    change_genesis(home, network="试验网络")
    opened_once(home)


def test_a_vote_for_the_next_height_is_taken_up(home: Home) -> None:
    vote_at(home, 1)
    opened = open_home(home)
    assert opened.records is not None
    assert len(opened.records) == 1
    opened.closing.close()


async def test_without_a_vote_log_the_node_observes_and_makes_none_by_itself(home: Home) -> None:
    home.votes.unlink()
    opened = open_home(home)
    assert (opened.votes, opened.records) == (None, None)
    node = Node(opened)
    await node.start()
    await node.stop()
    assert not home.votes.exists()


async def test_a_node_that_could_not_listen_stops_and_frees_its_folder(home: Home) -> None:
    node = Node(open_home(home))
    port = int(home.read_config().listen.peer.split(":")[1])
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(KehuError, match=r"node\.address"):
            await node.start()
    await node.stop()
    opened_once(home)


def test_a_copied_folder_gives_the_same_chain(home: Home, tmp_path: Path) -> None:
    opened_once(home)
    shutil.copytree(home.path, tmp_path / "copy")
    opened = open_home(Home(tmp_path / "copy"))
    assert opened.ledger.head.block_id == open_and_close(home)
    opened.closing.close()


def open_and_close(home: Home) -> bytes:
    opened = open_home(home)
    opened.closing.close()
    return opened.ledger.head.block_id


async def test_without_a_carrier_the_phone_desk_says_so(home: Home) -> None:
    node = Node(open_home(home))
    with pytest.raises(KehuError, match=r"phone\.no_gateway"):
        _ = node._phones.desk
    await node.stop()


def test_addresses_of_genesis_are_checked_before_anything_listens(home: Home) -> None:
    value = json.loads(home.genesis_file.read_text())
    value["departments"][0]["address"] = "nowhere"
    home.genesis_file.write_text(json.dumps(value))
    home.votes.unlink()
    VoteLog.create(home.votes, Genesis.from_value(value).chain_id, "sales").close()
    with pytest.raises(KehuError, match=r"config\.invalid"):
        open_home(home)
