"""Backup and restore with the commands that people use, on processes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, found_cluster, stop_cluster
from tools.demo.story import wait_for

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs" / "node.md"


def put_secrets_back(home: Path, kept: Path) -> None:
    """By the lines of docs/node.md, in the folder in which the secrets were kept."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Backup and restore")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (install .*)$", section, re.MULTILINE)
    assert len(lines) == 2
    script = "\n".join(lines).replace("/var/lib/kehu", shlex.quote(str(home)))
    subprocess.run(["sh", "-ec", script], cwd=kept, check=True)
    assert (home / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_lost_machine_comes_back_from_its_backup(tmp_path: Path) -> None:
    cluster: Cluster = found_cluster(tmp_path)
    try:
        kehu, person = cluster.kehu, cluster.people["sales"]
        fields = {"name": "张三", "phone": "+8613800000001"}
        customer = kehu("customer", "add", "--temporary", "--fields", "-", as_=person, stdin=fields)["customer"]
        cluster.wait_equal()
        data = tmp_path / "sales.backup"
        made = kehu("backup", str(data), as_=person)
        assert made["bytes"] == data.stat().st_size
        assert made["has_vault"]
        assert "张三".encode() not in data.read_bytes()
        kehu("network", "down", "sales")
        home = cluster.home("sales")
        lost = tmp_path / "lost"
        shutil.move(home, lost)
        passphrase = ("--passphrase-file", str(lost / "secrets" / "passphrase"))
        restored = kehu("restore", str(data), str(home), "--verify", *passphrase)
        assert restored["department"] == "sales"
        assert restored["values"] >= 2
        assert restored["blocks_verified"] == restored["height"] > 0
        assert (home.stat().st_mode & 0o777, (home / "node.key").stat().st_mode & 0o777) == (0o700, 0o600)
        put_secrets_back(home, lost / "secrets")
        kehu("network", "up", "sales")
        wait_for("sales votes again", lambda: (not kehu("status", "--node", "sales")["node"]["is_observer"], None))
        row = cluster.wait_equal()
        assert row["height"] > restored["height"]
        assert kehu("customer", "show", str(customer), as_=person)["fields"]["name"]["value"] == "张三"
    finally:
        stop_cluster(cluster.kehu)
