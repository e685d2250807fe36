"""What real nodes write into their logs through a story with faults: JSON, line by line, and nothing personal."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from cli.processes import processes
from tests.e2e.cluster import ADMIN, Cluster, found_cluster, stop_cluster

pytestmark = pytest.mark.slow

NAMES: Final = ("欧阳明月", "诸葛长风")
PHONES: Final = ("+8613800009911", "+8613800009922")
SECRETS: Final = (
    *NAMES,
    *PHONES,
    *(phone[3:] for phone in PHONES),
    "明月",
    "长风",
    "采购经理甲",
    "%E6%98%8E",
    "\\u660e",
)
LINE: Final = {"time", "level", "logger", "department", "message"}


def log_as_json(cluster: Cluster) -> None:
    cluster.kehu("network", "down")
    for department in cluster.people:
        home = cluster.home(department)
        (home / "log" / "node.log").unlink()
        with (home / "node.toml").open("a", encoding="utf-8") as file:
            file.write('\n[log]\nformat = "json"\nlevel = "debug"\naccess = true\n')
    cluster.kehu("network", "up")


def tell_story(cluster: Cluster) -> None:
    """Records, reads, searches, refusals, a carrier that does not answer, a killed node, an erasure."""
    kehu, sales = cluster.kehu, cluster.people["sales"]
    customers = []
    for name, phone in zip(NAMES, PHONES, strict=True):
        fields = {"name": name, "phone": phone, "position": "采购经理甲"}
        made = kehu("customer", "add", "--temporary", "--fields", "-", as_=sales, stdin=fields)
        customers.append(str(made["customer"]))
    kehu("customer", "add", "--fields", "-", as_=sales, stdin={"name": NAMES[0], "phone": PHONES[1]}, exits=(1, 7))
    kehu("customer", "show", customers[0], as_=sales)
    kehu("customer", "search", "name=明月", as_=sales)
    kehu("customer", "show", customers[0], as_=cluster.people["technical"], exits=(1,))
    kehu("customer", "show", NAMES[0], as_=sales, exits=(1, 2, 4))
    kehu("phone", "check", customers[0], as_=sales, exits=(7,))
    assert cluster.process("finance").signal(signal.SIGKILL)
    kehu("customer", "update", customers[1], "--fields", "-", as_=sales, stdin={"name": NAMES[0]})
    kehu("network", "up", "finance")
    confirm = kehu("customer", "erase", customers[0], "--reason", "request", as_=ADMIN)["confirm"]
    kehu("customer", "erase", customers[0], "--reason", "request", "--confirm", confirm, as_=ADMIN)
    kehu("network", "down")


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_every_line_is_one_object_and_holds_nothing_personal(tmp_path: Path) -> None:
    cluster = found_cluster(tmp_path)
    try:
        log_as_json(cluster)
        tell_story(cluster)
        for process in processes(cluster.profile, list(cluster.people)):
            lines = lines_of(process.log_file)
            assert all(line.keys() >= LINE and line["department"] == process.name for line in lines)
            messages = [line["message"] for line in lines]
            assert any(message.startswith("configuration: listen.peer = ") for message in messages)
            assert "stopped at height" in messages[-1]
            assert not any(line.get("error") for line in lines)
            text = process.log_file.read_text(encoding="utf-8") + "\n".join(messages)
            assert [secret for secret in SECRETS if secret in text] == []
        accesses = [line for line in lines_of(cluster.process("sales").log_file) if line["logger"] == "kehu.api.access"]
        assert len(accesses) > 10
    finally:
        stop_cluster(cluster.kehu)
