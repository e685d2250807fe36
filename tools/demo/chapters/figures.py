"""Memory, disk and time."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final

from cli.founding import DEPARTMENTS
from tools.demo.story import Story

STORES: Final = ("chain", "vault", "vault-keys", "votes.log")


PAGE: Final = 100


def tell(story: Story) -> None:
    _look_at_all(story)
    _weigh(story)


def _look_at_all(story: Story) -> None:
    administration = story.person("administration")
    with story.step(
        f"{administration.id} of the administration looks at every customer",
        "nobody was lost and nobody is there twice; this reading, too, is on the record",
    ) as step:
        found: dict[str, list[Any]] = {}
        after = 0
        while True:
            page = story.kehu(
                "customer", "list", "--after", str(after), "--limit", str(PAGE), "--field", "name",
                as_=administration.id,
            )  # fmt: skip
            for row in page["customers"]:
                found[row["customer"]] = [row["version"], row["facts"]["status"], row["facts"]["reason"]]
            if page["next"] is None:
                break
            after = page["next"]
        step.equal("customers", sorted(customer.id for customer in story.customers), sorted(found))
        statuses = Counter(status for _, status, _ in found.values())
        step.says(
            f"{len(found)} customers: " + ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))
        )
        story.facts["customers"] = {customer.row: found[customer.id] for customer in story.customers}


def _weigh(story: Story) -> None:
    with story.step("Memory and disk of every node", "a department needs a small machine") as step:
        nodes = story.agreeing(len(DEPARTMENTS))
        rows = [(department, *_sizes(story, department, node["pid"])) for department, node in nodes.items()]
        step.shows(("node", "memory (RSS)", "chain", "vault", "disk per customer"), rows)
        audit = story.kehu("audit", "--node", "finance")
        step.says(
            f"{len(story.customers)} customers, {audit['blocks']} blocks, {audit['transactions']} transactions "
            f"({audit['transactions'] - audit['failed']} done, {audit['failed']} refused by a contract)"
        )


def _sizes(story: Story, department: str, pid: int) -> tuple[str, ...]:
    sizes = {name: disk_bytes(story.network / "nodes" / department / name) for name in STORES}
    vault = sizes["vault"] + sizes["vault-keys"]
    each = sum(sizes.values()) / len(story.customers)
    return (
        f"{memory_mib(pid):.0f} MiB",
        f"{sizes['chain'] / 1024:,.0f} KiB",
        f"{vault / 1024:,.0f} KiB",
        f"{each:,.0f} B",
    )


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(asked.stdout) / 1024


def disk_bytes(path: Path) -> int:
    """What the files hold."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
