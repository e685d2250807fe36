"""Real processes: a network on an older release is upgraded node by node, and agrees on the rules of the newer one.

The older release is a copy of this source tree that speaks one version of the protocol less. It runs from its own
folder, nodes and commands alike. People go on writing all the time.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.block import Block
from chain.errors import KehuError
from chain.export import ExportBlock, ExportReader
from chain.protocol import NEWEST
from chain.transaction import Call
from cli.verify import Committed
from node.process import EXIT_OUTDATED
from tests.e2e.cluster import ADMIN, Cluster, approve, found_cluster, stop_cluster
from tests.e2e.forked import ForkedKehu
from tools.demo.kehu import Kehu
from tools.demo.story import wait_for

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
LATE = "technical"
IN_TIME = ("administration", "finance", "sales")
BETWEEN = 12
"""Transactions that are to be committed before the next step is taken."""
HELD = "c-held"
"""A customer with a hold and a demand, which is held with the customer by the newest version only."""
DEMAND = "d-held"
PAUSE_S = 0.25
"""Between two transactions of one person: the test is about order, not about load."""


def older_release(folder: Path) -> Path:
    """A copy of the source tree with the newest version of the protocol taken out."""
    for package in ("chain", "consensus", "contracts", "node", "cli"):
        # With what was compiled, which its time of change still fits; for the one file that changes, not.
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("protocol.*.pyc"))
    path = folder / "chain" / "protocol.py"
    text, newest = path.read_text(encoding="utf-8"), f"NEWEST: Final = {NEWEST}\n"
    assert text.count(newest) == 1
    path.write_text(text.replace(newest, f"NEWEST: Final = {NEWEST - 1}\n"), encoding="utf-8")
    return folder


def _add_held_customer(kehu: Kehu) -> None:
    kehu("customer", "add", "name=张三", "phone=13800138000", "--temporary", "--id", HELD, as_=ADMIN)
    kehu("demand", "add", HELD, "text=需要培训", "--id", DEMAND, as_=ADMIN)
    kehu("erasure", "hold", HELD, "--reason", "lawsuit", as_=ADMIN)


def _hold_on_demand(kehu: Kehu) -> str | None:
    """As the first step of an erasure tells it."""
    told = kehu("erasure", "order", DEMAND, "--table", "demands", "--reason", "withdrawn", as_=ADMIN, exits=(0, 1))
    held: str | None = told["held"]
    return held


class Writers:
    """One person of each department logs in again and again; who finds the node gone tries again later."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged: dict[bytes, int] = {}
        self._stop = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[Writers]:
        threads = [threading.Thread(target=self._work, args=(name,)) for name in self.cluster.people]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def go_on(self, count: int = BETWEEN) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_for("commits", lambda: (len(self.acknowledged) >= wanted, len(self.acknowledged)))

    def _work(self, department: str) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._write(department))
            except (KehuError, OSError):
                self._stop.wait(0.5)

    async def _write(self, department: str) -> None:
        async with self.cluster.client(department, wait_s=5.0) as client:
            while not self._stop.is_set():
                (outcome,) = await client.submit([await client.draft([Call("access.login", {"purpose": "shift"})])])
                if not isinstance(outcome, Committed):
                    return
                assert outcome.receipt.is_ok
                self.acknowledged[outcome.transaction_id] = outcome.height
                self._stop.wait(PAUSE_S)


def upgrade(cluster: Cluster, new: Kehu, department: str) -> None:
    cluster.kehu("network", "down", department)
    new("network", "up", department)
    wait_for("it is ready", lambda: (bool(new("status", "--node", department)["node"]["is_ready"]), None))


def wait_spoken(new: Kehu, newest: dict[str, int]) -> None:
    """Until the administration's node knows that of everybody; who is linked anew says it again."""

    def look() -> tuple[bool, object]:
        told = {row["department"]: row["speaks"] for row in new("protocol", "show", exits=(0, 9))["nodes"]}
        known = {department: speaks[1] for department, speaks in told.items() if speaks is not None}
        former = [department for department in known if known[department] < newest[department]]
        assert not former, f"told as current what a node said before it was upgraded: {former}"
        return known == newest, told

    wait_for("all nodes to have said what they speak", look)


def agree(cluster: Cluster, new: Kehu) -> int:
    """Proposed with one node behind, approved by three departments, one of them by the older release; the height."""
    proposed = new("protocol", "propose", "--even-if-unready", as_=ADMIN, exits=(9,))
    assert proposed["left_behind"] == [LATE]
    assert proposed["effect"]["protocol"] == [NEWEST - 1, NEWEST]
    told: dict[str, Any] = {}
    for kehu, department in ((new, "administration"), (new, "sales"), (cluster.kehu, LATE)):
        person = cluster.people[department]
        told = approve(kehu, proposed["proposal"], person)
        assert told["code"] == proposed["code"]
    assert told["status"] == "accepted"
    return int(told["activation_height"])


def run_old_node(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "node", str(cluster.home(LATE))]
    environment = {"PYTHONPATH": str(cluster.kehu.release), "PYTHONUTF8": "1"}
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False)


def heights_of(export: Path) -> tuple[dict[int, int], Counter[bytes]]:
    """Height -> version, and how often each transaction stands in the chain."""
    versions: dict[int, int] = {}
    times: Counter[bytes] = Counter()
    for item in ExportReader().feed(export.read_bytes()):
        if isinstance(item, ExportBlock):
            block = Block.from_bytes(item.block)
            versions[item.height] = block.header.version
            times.update(transaction.id for _, transaction in block.transactions())
    return versions, times


def test_a_network_is_upgraded_node_by_node_while_people_work(tmp_path: Path) -> None:
    cluster = found_cluster(tmp_path, older_release(tmp_path / "older"))
    old, new = cluster.kehu, ForkedKehu(cluster.kehu.network, cluster.kehu.passphrases)
    try:
        with Writers(cluster).at_work() as writers:
            height = _upgrade_all_but_one(cluster, new, writers)
            _the_late_one_stops(cluster, new, height)
            writers.go_on()
            assert _hold_on_demand(new) == "lawsuit"
            assert new("login", "--node", "sales", as_=ADMIN, exits=(1,))["code"] == "transaction.elsewhere"
            new("limit-grants", "1d", as_=ADMIN)
            endless = ("grant", "department:finance", "--action", "read", "--field", "name")
            assert new(*endless, as_=ADMIN, exits=(1,))["code"] == "grant.too_long"
            new(*endless, "--expires", "12h", as_=ADMIN)
            _audits(cluster, new, tmp_path / "middle.kehu", height)
            new("network", "up", LATE, "--timeout", "300")  # as far behind as the audits took, and people go on
            wait_for("it votes", lambda: (bool(new("status", "--node", LATE)["node"]["is_ready"]), None))
            writers.go_on()
        Cluster(new, cluster.people).wait_equal()
        wait_for("all is well", lambda: ("left_behind" not in str(new("doctor", exits=(0, 9))), None))
        assert new("doctor", exits=(0, 9))["headline"].startswith("Network progresses")
        export = tmp_path / "chain.kehu"
        new("export", str(export), "--node", LATE)
        assert new("audit", str(export))["clean"] is True
        versions, times = heights_of(export)
        assert {at for at, version in versions.items() if version == NEWEST} == set(range(height, len(versions) + 1))
        assert height > 30, "too few blocks with nodes of both releases"
        assert {times[id_] for id_ in writers.acknowledged} == {1}
    finally:
        stop_cluster(old)


def _upgrade_all_but_one(cluster: Cluster, new: Kehu, writers: Writers) -> int:
    assert cluster.genesis.value["protocol"] == NEWEST - 1
    _add_held_customer(cluster.kehu)
    writers.go_on()
    for department in IN_TIME:
        refused = new("protocol", "propose", as_=ADMIN, exits=(2,))
        assert refused["code"] == "usage.protocol_no_quorum"
        upgrade(cluster, new, department)
        writers.go_on()
    wait_spoken(new, {**dict.fromkeys(IN_TIME, NEWEST), LATE: NEWEST - 1})
    assert _hold_on_demand(new) is None
    assert new("protocol", "propose", as_=ADMIN, exits=(2,))["code"] == "usage.protocol_unready"
    return agree(cluster, new)


def _the_late_one_stops(cluster: Cluster, new: Kehu, height: int) -> None:
    """By itself, at the block before; it says why, again if it is started again, and the others know."""
    wait_for("the late node to stop", lambda: (cluster.process(LATE).pid() is None, None))
    log = (cluster.home(LATE) / "log" / "node.log").read_text(encoding="utf-8")
    for text in (log, (again := run_old_node(cluster)).stderr + again.stdout):
        assert "protocol.too_new" in text
        assert f"height={height}, needs={NEWEST}, speaks={NEWEST - 1}" in text
        assert "install a release" in text
    assert again.returncode == EXIT_OUTDATED
    wait_for("the height", lambda: (new("protocol", "show", exits=(0, 9))["version"] == NEWEST, None))

    def look() -> tuple[bool, object]:
        found = [(row["code"], row["details"].get("department")) for row in new("doctor", exits=(1, 9))["findings"]]
        return ("peer.left_behind", LATE) in found, found

    wait_for("the others to know", look)


def _audits(cluster: Cluster, new: Kehu, export: Path, height: int) -> None:
    """The newer release finds the chain clean; the older one says that it can't say, and from which height on."""
    new("export", str(export), "--node", "sales")
    assert new("audit", str(export))["clean"] is True
    refused = cluster.kehu("audit", str(export), exits=(8,))
    assert refused["code"] == "protocol.too_new"
    assert refused["details"]["height"] == height
