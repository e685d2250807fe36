"""Memory, disk and time."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.demo.story import Story

STORES = ("chain", "vault", "vault-keys", "votes.log")


def tell(story: Story) -> None:
    with story.step("Memory and disk of every node", "a department needs a small machine") as step:
        nodes = story.kehu("network", "status")["nodes"]
        records = len(story.customers)
        rows = []
        for node in nodes:
            home = story.network / "nodes" / node["department"]
            chain, vault = disk_bytes(home / "chain"), disk_bytes(home / "vault") + disk_bytes(home / "vault-keys")
            total = sum(disk_bytes(home / name) for name in STORES)
            rows.append(
                (node["department"], f"{memory_mib(node['pid']):.0f} MiB", f"{chain / 1024:,.0f} KiB", f"{vault / 1024:,.0f} KiB", f"{total / records:,.0f} B")
            )  # fmt: skip
        step.shows(("node", "memory (RSS)", "chain", "vault", "disk per customer"), rows)
        audit = story.kehu("audit", "--node", "finance")
        step.says(
            f"{records} customers, {audit['blocks']} blocks, {audit['transactions']} transactions "
            f"({audit['transactions'] - audit['failed']} done, {audit['failed']} refused by a contract)"
        )
        step.equal("nodes at one height", 1, len({node["height"] for node in nodes}))


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return int(asked.stdout) / 1024


def disk_bytes(path: Path) -> int:
    """What the files hold."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
