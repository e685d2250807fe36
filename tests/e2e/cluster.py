"""Four departments as processes, and people who write through their nodes as fast as they are answered."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.crypto import SigningKey
from chain.genesis import Genesis
from cli.client import NodeClient
from cli.processes import Process, processes
from cli.profile import Profile
from node.keys.files import load_key
from tests.e2e.forked import ForkedKehu
from tools.demo.kehu import Json, Kehu, order
from tools.demo.story import wait_for

DEPARTMENTS: Final = ("administration", "finance", "sales", "technical")
ADMIN: Final = "admin"


@dataclass(frozen=True)
class Cluster:
    """`people`: department -> work id of its operator."""

    kehu: Kehu
    people: dict[str, str]

    @property
    def profile(self) -> Profile:
        return Profile.open(self.kehu.network)

    @property
    def genesis(self) -> Genesis:
        return self.profile.genesis

    def home(self, department: str) -> Path:
        return self.profile.node_home(department)

    def url(self, department: str) -> str:
        return self.profile.node_url(department)

    def key(self, person: str) -> SigningKey:
        passphrase = self.kehu.passphrase_file(person).read_text(encoding="ascii").strip()
        return load_key(self.profile.find_key(person).path, passphrase)

    def client(self, department: str, wait_s: float = 30.0) -> NodeClient:
        """A client of the department's own person at its node."""
        return NodeClient(self.url(department), self.genesis, department, self.key(self.people[department]), wait_s)

    def process(self, department: str) -> Process:
        (process,) = processes(self.profile, [department])
        return process

    def memory_bytes(self, department: str) -> int:
        """Resident memory of the node's process."""
        status = Path(f"/proc/{self.process(department).pid()}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    def primary(self, ask: str = "sales") -> str:
        return str(self.kehu("status", "--node", ask)["node"]["primary"])

    def wait_equal(self) -> Json:
        """Until all nodes are ready and have the same newest block; one of their rows of `network status`."""
        rows: list[Json] = []

        def look() -> tuple[bool, object]:
            rows[:] = self.kehu("network", "status", exits=(0, 9))["nodes"]
            return len({row["block_id"] for row in rows}) == 1 and all(row["is_ready"] for row in rows), rows

        wait_for("all nodes with the same newest block", look)
        return rows[0]

    def add_person(self, person: str, department: str) -> Json:
        """Makes and enrols an operator; gives what `kehu key new` said."""
        write_passphrase(self.kehu, person)
        passphrase = str(self.kehu.passphrase_file(person))
        made = self.kehu("key", "new", person, "--department", department, "--passphrase-file", passphrase)
        request = self.kehu.passphrases.parent / f"{person}.json"
        request.write_text(json.dumps(made), encoding="utf-8")
        fields: dict[str, Any] = {"name": "某人"}
        self.kehu("people", "enrol", person, "--request", str(request), "--fields", "-", as_=ADMIN, stdin=fields)
        return made


def found_cluster(folder: Path, release: Path | None = None) -> Cluster:
    """Makes and starts the network, with one operator in each department. The carrier simulator is not started.

    `release`: a source tree to run in place of this one."""
    kehu = ForkedKehu(folder / "network", folder / "passphrases", release=release)
    write_passphrase(kehu, ADMIN)
    departments = [word for name in DEPARTMENTS for word in ("--department", name)]
    passphrase = ("--passphrase-file", str(kehu.passphrase_file(ADMIN)))
    kehu("network", "init", str(kehu.network), "--administrator", ADMIN, *departments, *passphrase)
    kehu("network", "up")
    cluster = Cluster(kehu, {name: f"{name[:4]}-1" for name in DEPARTMENTS})
    for department, person in cluster.people.items():
        cluster.add_person(person, department)
    return cluster


def approve(kehu: Kehu, proposal: str, person: str) -> Json:
    """Looked at and approved through the person's own node, once that has the block with the proposal."""
    told: Json = {}

    def look() -> tuple[bool, object]:
        told.update(kehu("member", "show", proposal, as_=person, exits=(0, 1)))
        return told["code"] != "governance.unknown", told

    wait_for("the proposal at their node", look)
    return {**kehu("member", "approve", proposal, "--effect", told["code"], as_=person), "code": told["code"]}


def stop_cluster(kehu: Kehu) -> None:
    if (kehu.network / "network.json").exists():
        kehu.start(order("network", "down", "--kill")).require(0)


def write_passphrase(kehu: Kehu, name: str) -> None:
    kehu.passphrases.mkdir(mode=0o700, exist_ok=True)
    path = kehu.passphrase_file(name)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(12) + "\n", encoding="ascii")
