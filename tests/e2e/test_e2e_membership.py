"""Real processes: four departments become five with one down, a key is rotated, one leaves; the audit is clean."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chain.transaction import Call
from node.folder.config import Home
from node.keys.files import read_public
from tests.e2e.cluster import ADMIN, Cluster, approve, found_cluster, stop_cluster
from tests.node.cluster import free_ports
from tools.demo.kehu import order
from tools.demo.story import wait_for
from tools.verifier.export import verify_export

pytestmark = pytest.mark.slow
NEW = "legal"


def agree(cluster: Cluster, *words: str, without: str) -> int:
    """Proposed, looked at and approved by departments but one until accepted; all blocks before its height are made."""
    kehu = cluster.kehu
    proposal = kehu("member", *words, as_=ADMIN)["proposal"]
    for department, person in cluster.people.items():
        if department != without:
            told = approve(kehu, proposal, person)
            if told["status"] == "accepted":
                break
    assert told["status"] == "accepted"
    wait_for("the activation", lambda: (height_of(cluster) >= told["activation_height"] - 1, told))
    return int(told["activation_height"])


def height_of(cluster: Cluster) -> int:
    return int(cluster.kehu("member", "list", "--node", "administration")["height"])


def save(cluster: Cluster, name: str, value: dict[str, Any]) -> str:
    path = cluster.kehu.passphrases.parent / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def commit(cluster: Cluster, department: str) -> None:
    async def login() -> None:
        async with cluster.client(department) as client:
            await client.execute([Call("access.login", {})])

    asyncio.run(login())


def test_departments_come_go_and_change_keys_while_clients_commit(tmp_path: Path) -> None:
    cluster = found_cluster(tmp_path)
    kehu = cluster.kehu
    try:
        kehu("network", "down", "technical")
        peer, api = free_ports(2)
        place = ("--name", "法务", "--peer", f"127.0.0.1:{peer}", "--api", f"127.0.0.1:{api}")
        home = cluster.home(NEW)
        introduction = str(cluster.kehu.passphrases.parent / "introduction.json")
        told = kehu("network", "introduce", introduction, "--node", "sales")
        place += ("--introduction", introduction, "--fingerprint", told["fingerprint"])
        request = save(cluster, "legal.json", kehu("node", "init", str(home), NEW, *place))
        agree(cluster, "propose-add", NEW, "--request", request, without="technical")
        kehu("network", "up", NEW)
        assert kehu("member", "list")["quorum"] == 4
        commit(cluster, "sales")  # four of five, the newcomer among them
        kehu("network", "up", "technical")
        commit(cluster, "technical")
        cluster.people[NEW] = "legal-1"
        cluster.add_person("legal-1", NEW)
        commit(cluster, NEW)

        made = save(cluster, "key.json", kehu("node", "next-key", str(cluster.home("sales"))))
        agree(cluster, "rotate-key", "sales", "--request", made, without="finance")
        wait_opened_again(cluster, "sales")
        commit(cluster, "sales")

        kehu("grant", "person:tech-1", "--action", "read", "--id", "g-1", as_=ADMIN)
        agree(cluster, "remove", "technical", without="")
        kehu("network", "down", "technical")
        commit(cluster, "finance")
        assert [row["department"] for row in kehu("member", "list")["members"]] == sorted(
            ["administration", "finance", NEW, "sales"]
        )
        people = {row["person"]: row["status"] for row in kehu("people", "list", as_=ADMIN)["people"]}
        assert (people["tech-1"], people["legal-1"], people["fina-1"]) == ("ended", "active", "active")
        assert [row["status"] for row in kehu("grants", as_=ADMIN)["grants"]] == ["ended"]
        export = str(cluster.kehu.passphrases.parent / "chain.kehu")
        kehu("export", export, "--node", "finance")
        assert kehu("audit", export)["clean"] is True
        with Path(export).open("rb") as file:  # who decides it learns from the receipts alone
            assert verify_export(file).height == kehu("audit", export)["height"]
    finally:
        stop_cluster(kehu)


def test_a_node_changes_its_own_key_by_one_command_and_nobody_approves(tmp_path: Path) -> None:
    cluster = found_cluster(tmp_path)
    kehu = cluster.kehu
    try:
        before = read_public(Home(cluster.home("sales")).node_key).public.hex()
        told = kehu("node", "rotate-key", str(cluster.home("sales")))
        assert (told["department"], told["old"]) == ("sales", before)
        wait_for("the new key", lambda: (key_shown(cluster, "sales") == told["key"], told))
        wait_opened_again(cluster, "sales")
        commit(cluster, "sales")
        assert read_public(Home(cluster.home("sales")).node_key).public.hex() == told["key"]
        kehu("network", "down", "technical")
        commit(cluster, "finance")  # three of four, the one with the new key among them
        again = kehu.start(order("node", "rotate-key", str(cluster.home("sales"))))
        assert again.exit == 1
        assert again.json["code"] == "governance.too_soon"
    finally:
        stop_cluster(kehu)


def test_a_department_whose_key_is_lost_takes_part_again_by_the_runbook_and_its_values_come_back(
    tmp_path: Path,
) -> None:
    cluster = found_cluster(tmp_path)
    kehu, home = cluster.kehu, Home(cluster.home("sales"))
    try:
        person, fields = cluster.people["sales"], {"name": "张三", "phone": "+8613800000001"}
        customer = kehu("customer", "add", "--temporary", "--fields", "-", as_=person, stdin=fields)["customer"]
        kehu("network", "down", "sales")
        lost = read_public(home.node_key).public.hex()
        home.node_key.unlink()
        home.gateway_key.unlink()
        made = kehu("node", "next-key", str(home.path))
        assert (made["department"], made["old"]) == ("sales", None)
        again = kehu.start(order("node", "next-key", str(home.path)))
        assert (again.exit, again.json["code"]) == (6, "key.file_exists")
        agree(cluster, "rotate-key", "sales", "--request", save(cluster, "key.json", made), without="sales")
        kehu("node", "introduce", str(home.path), "--node", "finance")
        said = save(cluster, "gateway.json", kehu("node", "gateway-key", str(home.path), "--gateway", "gateway-2"))
        kehu("gateway", "enrol", "gateway-2", "--request", said, as_=ADMIN)
        kehu("gateway", "revoke", "gateway-sales", as_=ADMIN)
        kehu("network", "up", "sales", "carrier")
        cluster.wait_equal()
        assert (key_shown(cluster, "sales"), read_public(home.node_key).public.hex()) == (made["key"], made["key"])
        assert not home.next_key.exists()
        assert made["key"] != lost
        kehu("network", "down", "technical")
        commit(cluster, "sales")  # three of four, the one with the new key among them
        assert kehu("customer", "show", customer, as_=person)["fields"]["name"]["value"] == "张三"
        kehu("carrier", "set", "activate", "13800138000")
        asked = kehu("customer", "add", "name=王芳", "phone=13800138000", as_=person)
        assert asked["status"] == "valid"  # by the answer that the new gateway signed
    finally:
        stop_cluster(kehu)


def wait_opened_again(cluster: Cluster, department: str) -> None:
    """With the next key, which is the key then."""
    home = Home(cluster.home(department))
    wait_for("the next key in its place", lambda: (not home.next_key.exists(), home.next_key))
    cluster.wait_equal()


def key_shown(cluster: Cluster, department: str) -> str:
    rows = cluster.kehu("member", "list", "--node", "administration")["members"]
    return str(next(row["key"] for row in rows if row["department"] == department))
