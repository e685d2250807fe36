"""What a person can get wrong in a node's folder comes in one report, and what was configured is told."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.folder.config import Config, Home
from node.folder.reading import CONFIG_SEVERAL, origins, read_home
from node.logs import JsonLines
from tests.node.cluster import DEPARTMENTS, genesis_value, make_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    ports = dict(zip(DEPARTMENTS, range(20_001, 20_005), strict=True))
    return make_home(tmp_path / "sales", "sales", genesis_value(ports), 20_011, 20_012)


def test_everything_that_is_wrong_with_a_folder_comes_in_one_report(home: Home) -> None:
    home.node_key.write_bytes(b"{}")
    home.genesis_file.unlink()
    with home.config_file.open("a", encoding="utf-8") as file:
        file.write('\n[log]\nlevel = "loud"\ncolour = true\n')
    with pytest.raises(KehuError) as caught:
        read_home(home)
    assert caught.value.spec is CONFIG_SEVERAL
    report = str(caught.value)
    for wrong in ("log.level", "log.colour", "genesis.json"):
        assert wrong in report


def test_a_missing_passphrase_and_an_unknown_peer_are_told_together(home: Home) -> None:
    (home.path / "secrets" / "passphrase").unlink()
    with home.config_file.open("a", encoding="utf-8") as file:
        file.write('\n[peers]\nmarketing = "10.0.0.9:7001"\n')
    with pytest.raises(KehuError) as caught:
        read_home(home)
    assert "marketing" in str(caught.value)
    assert "passphrase" in str(caught.value)


def test_one_thing_that_is_wrong_keeps_its_own_code(home: Home) -> None:
    home.genesis_file.unlink()
    with pytest.raises(KehuError) as caught:
        read_home(home)
    assert caught.value.code == "config.missing"


def test_every_configured_value_is_told_with_its_origin() -> None:
    listen = {"peer": "127.0.0.1:7001", "api": "127.0.0.1:8001"}
    carrier = {"url": "https://a.example", "token_file": "secrets/token"}
    config = Config.model_validate({"department": "sales", "listen": listen, "carrier": {**carrier, "ranges": []}})
    told = {key: (value, origin) for key, value, origin in origins(config)}
    assert told["listen.peer"] == ("127.0.0.1:7001", "node.toml")
    assert told["consensus.view_timeout_ms"] == (2_000, "default")
    assert told["carrier.token_file"] == ("secrets/token", "node.toml")
    assert told["carrier.region"] == ("CN", "default")


def test_a_json_log_line_is_one_object_with_its_department_and_time() -> None:
    record = logging.LogRecord("kehu.node", logging.INFO, "x.py", 1, "高度 %d", (7,), None)
    line = JsonLines("sales").format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["department"], told["message"]) == ("info", "sales", "高度 7")
    assert told["time"].endswith("+00:00")
