"""Sweeps that end in the middle, on real processes: interrupted, terminated, the node killed under them. Whoever has an
answer on the chain is not asked about again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cluster import ADMIN, DEPARTMENTS, Cluster, stop_cluster, write_passphrase
from tests.e2e.forked import ForkedKehu
from tools.demo.kehu import kehu_command
from tools.demo.story import wait_for

pytestmark = pytest.mark.slow

CUSTOMERS, SOME, PER_SECOND = 60, 8, 8
AT_ONCE = 4
"""How many questions `kehu phone sweep` has on the way at a time."""


@pytest.fixture
def waiting_room(tmp_path: Path) -> Iterator[Cluster]:
    """Four departments; li-wei of sales has customers about whom the carrier could not be asked yet, and may be asked
    now, so many a second."""
    kehu = ForkedKehu(tmp_path / "network", tmp_path / "passphrases")
    write_passphrase(kehu, ADMIN)
    departments = [word for name in DEPARTMENTS for word in ("--department", name)]
    passphrase = ("--passphrase-file", str(kehu.passphrase_file(ADMIN)))
    try:
        kehu("network", "init", str(kehu.network), "--administrator", ADMIN, *departments, *passphrase)
        cluster = Cluster(kehu, {"sales": "li-wei", "administration": ADMIN})
        pace(cluster)
        kehu("network", "up")
        cluster.add_person("li-wei", "sales")
        file = tmp_path / "客户.csv"
        numbers = [f"138{index:08}" for index in range(CUSTOMERS)]
        file.write_text("姓名,手机\n" + "".join(f"客户{n[-2:]},{n}\n" for n in numbers), encoding="utf-8")
        assert kehu("customer", "import", str(file), "--temporary", as_="li-wei")["imported"] == CUSTOMERS
        kehu("network", "up", "carrier")
        kehu("carrier", "set", "activate", "--from", str(file))
        yield cluster
    finally:
        stop_cluster(kehu)


def pace(cluster: Cluster) -> None:
    path = cluster.home("sales") / "node.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[carrier]\n", f"[carrier]\nper_second = {PER_SECOND}\n", 1), encoding="utf-8")


def times_asked(cluster: Cluster) -> int:
    token = (cluster.kehu.network / "carrier" / "admin.token").read_text(encoding="ascii").strip()
    url = f"{cluster.profile.carrier_url}/admin/v1/counters"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(json.load(response)["counters"].get("requests", 0))


def answered(cluster: Cluster) -> set[str]:
    """The customers who have an answer on the chain."""
    listed = cluster.kehu("customer", "list", "--limit", "100", "--field", "name", as_="li-wei")["customers"]
    assert len(listed) == CUSTOMERS
    return {row["customer"] for row in listed if row["facts"]["status"] == "valid"}


@contextmanager
def sweeping(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """`kehu phone sweep` as a process, once some have been asked about."""
    already = times_asked(cluster)
    kehu = cluster.kehu
    key = ["--as", "li-wei", "--passphrase-file", str(kehu.passphrase_file("li-wei"))]
    environment = {**os.environ, "KEHU_NETWORK": str(kehu.network)}
    command = [str(kehu_command()), "phone", "sweep", "--json", *key]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for("some questions", lambda: (times_asked(cluster) >= already + SOME, already))
            yield process
        finally:
            process.kill()


def settle(cluster: Cluster) -> int:
    """Once every question that was asked has its answer on the chain, how many there were."""

    def look() -> tuple[bool, object]:
        seen = (times_asked(cluster), len(answered(cluster)))
        return seen[0] == seen[1], seen

    wait_for("as many answers as questions", look)
    return times_asked(cluster)


def test_a_sweep_that_is_interrupted_or_terminated_goes_on_without_asking_about_anybody_twice(
    waiting_room: Cluster,
) -> None:
    done = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        with sweeping(waiting_room) as process:
            process.send_signal(number)
            assert process.wait(30) in (130, -number)
        done, before = settle(waiting_room), done
        assert before + SOME <= done < CUSTOMERS
    rest = waiting_room.kehu("phone", "sweep", as_="li-wei")
    # The node may have had the turns of some before it that were on the way when the command ended.
    assert CUSTOMERS - done - AT_ONCE <= rest["asked"] == rest["valid"] <= rest["due"] <= CUSTOMERS - done
    assert times_asked(waiting_room) == len(answered(waiting_room)) == CUSTOMERS
    assert waiting_room.kehu("phone", "sweep", as_="li-wei")["due"] == 0


def test_a_sweep_whose_node_is_killed_asks_again_about_those_only_whose_answer_was_lost(waiting_room: Cluster) -> None:
    with sweeping(waiting_room) as process:
        waiting_room.kehu("network", "down", "sales", "--kill")
        assert process.wait(120) == 4
    asked = times_asked(waiting_room)
    waiting_room.kehu("network", "up", "sales")
    waiting_room.wait_equal()
    kept = answered(waiting_room)
    assert asked - AT_ONCE <= len(kept) <= asked
    rest = waiting_room.kehu("phone", "sweep", as_="li-wei")
    assert {item["customer"] for item in rest["customers"]} & kept == set()
    assert (rest["due"], rest["valid"], rest["failed"]) == (CUSTOMERS - len(kept), CUSTOMERS - len(kept), [])
    assert len(answered(waiting_room)) == CUSTOMERS
    assert times_asked(waiting_room) <= CUSTOMERS + AT_ONCE
