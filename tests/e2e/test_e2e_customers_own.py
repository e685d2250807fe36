"""On real processes: a customer comes in by invitation and proves what they read; duplicates are found, files made."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.e2e.cluster import ADMIN, Cluster, write_passphrase

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

PHONE = "13600660001"


@pytest.fixture(scope="module")
def customer(cluster: Cluster) -> str:
    fields = {"name": "秦岚", "phone": PHONE, "position": "厂长"}
    add = ("customer", "add", "--temporary", "--allow-duplicate", "--fields", "-")
    id_: str = cluster.kehu(*add, as_=ADMIN, stdin=fields)["customer"]
    return id_


def test_a_customer_enrols_reads_what_is_granted_and_proves_it(cluster: Cluster, customer: str, tmp_path: Path) -> None:
    invited = cluster.kehu("invite", customer, as_=ADMIN)["invitation"]
    write_passphrase(cluster.kehu, customer)
    passphrase = str(cluster.kehu.passphrase_file(customer))
    cluster.kehu("enrol", "--invitation", invited, "--passphrase-file", passphrase)
    cluster.kehu("own", "show", as_=customer, exits=(1,))
    grant = ("grant", f"person:{customer}", "--action", "read", "--record", customer, "--field", "name")
    cluster.kehu(*grant, as_=ADMIN)
    assert cluster.kehu("own", "show", as_=customer)["fields"]["name"]["value"] == "秦岚"
    seen = cluster.kehu("own", "accesses", as_=customer)["accesses"]
    assert {row["own"] for row in seen} == {True}
    file = tmp_path / "证明.kehu"
    cluster.kehu("prove", customer, str(file), "--field", "name", "--state", f"customers/{customer}", as_=customer)
    genesis = str(cluster.profile.folder / "genesis.json")
    found = cluster.kehu("verify", str(file), "--genesis", genesis)
    assert found["records"][0]["fields"] == {"name": "秦岚"}
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert cluster.kehu("verify", str(file), "--genesis", genesis, exits=(5,))["code"] == "proof.file_malformed"


def test_a_number_is_found_by_the_departments_node_that_holds_it(cluster: Cluster, customer: str) -> None:
    fields = {"name": "秦兰", "phone": f"+86 {PHONE}"}
    add = ("customer", "add", "--temporary", "--fields", "-")
    problem = cluster.kehu(*add, as_=ADMIN, stdin=fields, exits=(1,))
    assert problem["code"] == "record.duplicate"
    assert customer in problem["details"]["customers"].split(",")


def test_an_export_comes_from_real_vaults(cluster: Cluster, customer: str, tmp_path: Path) -> None:
    file = tmp_path / "客户.csv"
    done = cluster.kehu("customer", "export", str(file), "--headers", "zh", "--bom", as_=ADMIN)
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))
    assert done["rows"] == len(rows)
    (row,) = [row for row in rows if row["编号"] == customer]
    assert (row["姓名"], row["电话"], row["职位"]) == ("秦岚", f"+86{PHONE}", "厂长")
