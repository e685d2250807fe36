"""Real processes: found by a lock and not by a number, started once, stopped in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.processes import Process
from cli.profile import Profile
from tests.cli.conftest import Kehu, make_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Kehu]:
    """A founded network, nothing of it running; whatever a test starts is ended."""
    profile, pass_file = make_folder(tmp_path)
    run = Kehu(profile.folder, pass_file)
    yield run
    run("network", "down", "--kill")


def only(answer: Any) -> Any:
    (row,) = answer["processes"]
    return row


def test_a_process_is_started_once_seen_and_stopped_in_order(network: Kehu) -> None:
    first = only(network.json("network", "up", "carrier"))
    assert (first["was_started"], first["is_ready"]) == (True, True)
    again = only(network.json("network", "up", "carrier"))
    assert (again["was_started"], again["pid"]) == (False, first["pid"])
    assert network.json("network", "status", exit=9)["carrier"]["pid"] == first["pid"]
    stopped = only(network.json("network", "down", "carrier"))
    assert (stopped["was_running"], stopped["is_stopped"]) == (True, True)
    assert only(network.json("network", "down", "carrier"))["was_running"] is False


def test_a_pid_file_whose_process_is_gone_never_gets_somebody_else_signalled(network: Kehu) -> None:
    run = network.folder / "run"
    run.mkdir()
    (run / "sales.pid").write_text(f"{os.getpid()}\n")
    assert only(network.json("network", "down", "sales"))["was_running"] is False


def test_a_node_that_cannot_start_is_reported_with_its_log(network: Kehu) -> None:
    home = network.folder / "nodes" / "sales"
    (home / "node.toml").write_text('department = "sales"\nunknown = 1\n')
    row = only(network.json("network", "up", "sales", exit=9))
    assert (row["is_ready"], row["problem"]["code"]) == (False, "network.process_failed")
    assert "config.invalid" in Path(row["problem"]["details"]["log"]).read_text()


def test_a_process_that_ignores_sigterm_is_reported_and_ends_with_kill(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(
        "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').close()\nwhile True: signal.pause()\n"
    )
    ready = tmp_path / "ready"
    process = Process("stubborn", ("stubborn", str(ready)), tmp_path / "pid", tmp_path / "log" / "x.log", "")
    environment = dict(os.environ)
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        assert process.start()
    finally:
        os.environ.clear()
        os.environ.update(environment)
    while not ready.exists():
        assert process.pid() is not None
    import asyncio

    from cli.processes import wait_ended

    process.signal(signal.SIGTERM)
    assert asyncio.run(wait_ended([process], 0.3)) == [process]
    process.signal(signal.SIGKILL)
    assert asyncio.run(wait_ended([process], 10.0)) == []


def test_the_story_of_a_network_of_real_nodes(network: Kehu, tmp_path: Path) -> None:
    """Founded, started, people enrolled, customers imported, read, a node killed, exported and audited."""
    import json

    network.json("network", "up", "--carrier")
    for person, department in (("li", "sales"), ("zhao", "technical")):
        request = tmp_path / f"{person}.json"
        request.write_text(json.dumps(network.json("key", "new", person, "--department", department)))
        network.json("people", "enrol", person, "name=某人", "--request", str(request), as_="admin")
    file = tmp_path / "客户.csv"
    rows = "".join(f"客户{index},{13900139000 + index}\n" for index in range(30))
    file.write_text("姓名,电话\n" + rows + "坏号,12\n", encoding="utf-8-sig")
    network.json("carrier", "set", "activate", "--from", str(file))
    imported = network.json("customer", "import", str(file), as_="li", exit=9)
    assert (imported["imported"], imported["left_out"]) == (30, 1)
    customer = imported["customers"][0]["customer"]
    assert network.json("customer", "show", customer, as_="li")["fields"]["name"]["value"] == "客户0"
    network.json("customer", "show", customer, as_="zhao", exit=1)
    network.json("network", "down", "finance", "--kill")
    assert network.json("customer", "update", customer, "note=照常", as_="li")["version"] == 2
    network.json("network", "up", "finance")
    export = tmp_path / "chain.kehu"
    network.json("export", str(export), "--node", "technical")
    assert network.json("audit", str(export), "--jobs", "1")["clean"] is True
    stopped = network.json("network", "down")
    assert all(row["is_stopped"] for row in stopped["processes"])


def test_a_profile_without_nodes_of_its_own_starts_nothing(network: Kehu, tmp_path: Path) -> None:
    """An operator's machine: three names in the folder, no node."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("genesis.json", "network.json"):
        (mine / name).write_bytes((network.folder / name).read_bytes())
    assert Profile.open(mine).genesis.chain_id == Profile.open(network.folder).genesis.chain_id
    elsewhere = Kehu(mine, network.pass_file)
    assert elsewhere.json("network", "up")["processes"] == []
