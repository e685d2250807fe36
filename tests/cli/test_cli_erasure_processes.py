"""An erasure with real processes: ordered, confirmed, made up for by who was away, scanned for, audited."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Kehu, make_folder
from tests.node.vault_kit import files_with

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

NAME, NEW_NAME, PHONE, NOTE = "欧阳娜娜", "欧阳娜兰", "13812349999", "膝盖不好，只在周二来访"
PATIENCE_S = 60.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Kehu]:
    profile, pass_file = make_folder(tmp_path)
    run = Kehu(profile.folder, pass_file)
    yield run
    run("network", "down", "--kill")


def wait_for(run: Kehu, customer: str, waiting: list[str]) -> Any:
    """The erasure's status once just these departments have not confirmed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = run.json("erasure", "status", customer, as_="admin")
        if status["waiting"] == waiting or time.monotonic() > deadline:
            assert status["waiting"] == waiting
            return status


def test_an_erasure_leaves_nothing_in_any_folder_or_log_and_a_chain_that_audits_clean(
    network: Kehu, tmp_path: Path
) -> None:
    network.json("network", "up", "--carrier")
    request = tmp_path / "li.json"
    request.write_text(json.dumps(network.json("key", "new", "li", "--department", "sales")))
    network.json("people", "enrol", "li", "name=李伟", "--request", str(request), as_="admin")
    network.json("carrier", "set", "activate", PHONE)
    added = network.json("customer", "add", f"name={NAME}", f"phone={PHONE}", f"note={NOTE}", as_="li")
    customer = added["customer"]
    network.json("customer", "update", customer, f"name={NEW_NAME}", as_="li")
    shown = network.json("customer", "show", customer, as_="li")
    assert shown["fields"]["name"]["value"] == NEW_NAME
    assert network.json("customer", "contact", customer, "--purpose", "sale", as_="li")["outcome"] == "released"
    network.json("network", "down", "finance", "--kill")

    args = ("customer", "erase", customer, "--reason", "withdrawn")
    code = network.json(*args, as_="admin")["confirm"]
    network.json(*args, "--confirm", code, as_="admin")
    status = wait_for(network, customer, ["finance"])
    assert set(status["confirmed"]) == {"administration", "sales", "technical"}
    assert network.problem("customer", "show", customer, as_="li", exit=1)["code"] == "record.erased"
    network.json("network", "up", "finance")
    assert wait_for(network, customer, [])["state"] == "complete"

    export = tmp_path / "chain.kehu"
    network.json("export", str(export), "--node", "technical")
    assert network.json("audit", str(export), "--jobs", "1")["clean"] is True
    network.json("network", "down")
    places = [network.folder / name for name in ("nodes", "run", "keys", "secrets")]
    assert files_with(places[0], customer.encode()) != [], "the scan finds what is there"
    needles = [text.encode(coding) for text in (NAME, NEW_NAME, PHONE, NOTE) for coding in ("utf-8", "utf-16-le")]
    found = [name for place in places for needle in needles for name in files_with(place, needle)]
    assert found == []
    assert files_with(tmp_path, NAME.encode()) == []  # nor the export


def test_the_vaults_status_of_a_real_node_is_whole_once_it_has_refilled(network: Kehu, tmp_path: Path) -> None:
    import shutil

    network.json("network", "up", "--carrier")
    for number in range(1, 4):
        fields = (f"name=客户{number}", f"phone=1381234000{number}", "--temporary")
        network.json("customer", "add", *fields, as_="admin")
    network.json("network", "down", "finance")
    for name in ("vault", "vault-keys"):
        shutil.rmtree(network.folder / "nodes" / "finance" / name)
    request = tmp_path / "qian.json"
    request.write_text(json.dumps(network.json("key", "new", "qian", "--department", "finance")))
    network.json("people", "enrol", "qian", "name=钱进", "--request", str(request), as_="admin")
    network.json("network", "up", "finance")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ran = network("vault", "status", "--json", as_="qian")
        whole = ran.json["tables"].get("customers", {}).get("live") == 6
        if (whole and ran.json["missing"] == []) or time.monotonic() > deadline:
            break
    assert (ran.exit, ran.json["tables"]["customers"]) == (0, {"live": 6, "missing": 0, "surplus": 0})
