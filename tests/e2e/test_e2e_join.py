"""docs/join.md on real processes: a fifth department from an empty machine to votes, values and a clean audit."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from chain import codec
from chain.certificate import Certificate
from chain.transaction import Call
from tests.e2e.cluster import ADMIN, Cluster, approve, found_cluster, stop_cluster, write_passphrase
from tests.e2e.forked import ForkedKehu
from tests.node.cluster import free_ports
from tools.demo.kehu import kehu_command
from tools.demo.story import wait_for

pytestmark = pytest.mark.slow

NEW: Final = "legal"
SNAPSHOTS: Final = "\n[snapshot]\ninterval_blocks = 8\nbehind_blocks = 4\n"


def offer_snapshots(cluster: Cluster) -> None:
    """States are offered after every eighth block instead of every thousandth."""
    cluster.kehu("network", "down")
    for department in cluster.people:
        with cluster.profile.node_home(department).joinpath("node.toml").open("a", encoding="utf-8") as file:
            file.write(SNAPSHOTS)
    cluster.kehu("network", "up")


def make_blocks(cluster: Cluster, department: str, count: int) -> int:
    """So many logins, one after the other; the height of the last."""

    async def login() -> int:
        async with cluster.client(department) as client:
            heights = [(await client.execute([Call("access.login", {})])).height for _ in range(count)]
        return heights[-1]

    return asyncio.run(login())


def admit(cluster: Cluster, request: Path) -> int:
    """Looked at, proposed, and approved by one person of each department until it is accepted; from which height on."""
    kehu = cluster.kehu
    effect = kehu("member", "propose-add", NEW, "--request", str(request), "--dry-run", as_=ADMIN)["effect"]
    assert (effect["n"], effect["quorum"]) == ([4, 5], [3, 4])
    proposal = kehu("member", "propose-add", NEW, "--request", str(request), as_=ADMIN)["proposal"]
    for person in cluster.people.values():
        told = approve(kehu, proposal, person)
        if told["status"] == "accepted":
            return int(told["activation_height"])
    raise AssertionError(told)


@contextmanager
def running(home: Path, log: Path) -> Iterator[None]:
    """The node as its own machine runs it; it must stop in order."""
    with log.open("wb") as stream:
        process = subprocess.Popen([kehu_command(), "node", "run", str(home)], stdout=stream, stderr=stream)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
    assert code == 0, log.read_text(encoding="utf-8")[-3000:]


def signers(url: str, height: int) -> set[str]:
    """Whose votes certify a block, as a node's export says."""
    with urllib.request.urlopen(f"{url}/v1/export?from={height}&to={height}", timeout=30) as answer:
        data = answer.read().partition(b"\n")[2]
    frames = []
    while data:
        size = int.from_bytes(data[:4], "big")
        frames.append(data[4 : 4 + size])
        data = data[4 + size :]
    found, _, certificate, _ = codec.decode(frames[1], 1 << 24)
    assert found == height
    return {department for department, _ in Certificate.from_bytes(certificate).signatures}


def codes(answer: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in answer["findings"]} - {"system.memory", "disk.low"}


def test_a_department_joins_from_an_empty_folder_with_a_snapshot_votes_and_holds_what_it_may(tmp_path: Path) -> None:
    cluster = found_cluster(tmp_path)
    kehu = cluster.kehu
    host = tmp_path / "host"
    host.mkdir()
    theirs = ForkedKehu(host / "crm", host / "passphrases")
    try:
        offer_snapshots(cluster)
        fields = {"name": "王芳", "phone": "+8613800000001"}
        person = cluster.people["sales"]
        customer = str(kehu("customer", "add", "--temporary", "--fields", "-", as_=person, stdin=fields)["customer"])
        make_blocks(cluster, "sales", 24)

        # One file to the new department, its fingerprint by another way; one file back.
        introduction = host / "crm.json"
        fingerprint = kehu("network", "introduce", str(introduction), "--node", "sales")["fingerprint"]
        peer, api = free_ports(2)
        home = host / NEW
        order = ("node", "init", str(home), NEW, "--name", "法务", "--peer", f"127.0.0.1:{peer}")
        order += ("--api", f"127.0.0.1:{api}", "--introduction", str(introduction))
        refused = theirs(*order, "--fingerprint", "0000-" + fingerprint[5:], exits=(2,))
        assert refused["code"] == "usage.fingerprint"
        assert not home.exists()
        request = host / "legal.json"
        request.write_text(json.dumps(theirs(*order, "--fingerprint", fingerprint)), encoding="utf-8")
        with (home / "node.toml").open("a", encoding="utf-8") as file:
            file.write(SNAPSHOTS)
        doctor = theirs("node", "doctor", str(home), exits=(9,))
        assert (doctor["fingerprint"], doctor["members_from"]) == (fingerprint, "nodes")
        assert codes(doctor) == {"key.not_member"}

        activation = admit(cluster, request)
        with running(home, host / "legal.log"):

            def level() -> tuple[bool, object]:
                answer = theirs("status", "--node", NEW, exits=(0, 4))
                node = answer.get("node", {})
                is_level = answer.get("height", 0) >= activation and not node["is_observer"]
                return is_level and node["snapshot"]["first_block"] == 1, answer

            wait_for("the newcomer, level and with the whole chain", level)
            assert "with the snapshot it has taken" in (host / "legal.log").read_text(encoding="utf-8")
            kehu("network", "down", "technical")  # four of five have to vote: the newcomer's vote is needed
            height = make_blocks(cluster, "sales", 1)
            assert NEW in signers(f"http://127.0.0.1:{api}", height)
            kehu("network", "up", "technical")

            write_passphrase(theirs, "legal-1")
            passphrase = ("--passphrase-file", str(theirs.passphrase_file("legal-1")))
            made = theirs("key", "new", "legal-1", "--department", NEW, *passphrase)
            (host / "legal-1.json").write_text(json.dumps(made), encoding="utf-8")
            enrol = ("people", "enrol", "legal-1", "--request", str(host / "legal-1.json"), "--fields", "-")
            kehu(*enrol, as_=ADMIN, stdin={"name": "法小姐"})
            grant = ("--action", "read", "--record", customer, "--field", "name")
            kehu("grant", f"department:{NEW}", *grant, as_=ADMIN)

            def filled() -> tuple[bool, object]:
                vault = theirs("vault", "status", as_="legal-1", exits=(0, 9))
                return vault["is_examined"] and vault["tables"].get("customers", {}).get("live", 0) > 0, vault

            wait_for("its vault, with what the grant gives it", filled)
            shown = theirs("customer", "show", customer, "--field", "name", as_="legal-1")
            assert shown["fields"]["name"]["value"] == "王芳"

            assert codes(theirs("node", "doctor", str(home))) == {"home.fit", "home.running"}
            export = str(host / "chain.kehu")
            theirs("export", export, "--node", NEW)
            assert theirs("audit", export)["clean"] is True
    finally:
        stop_cluster(kehu)
