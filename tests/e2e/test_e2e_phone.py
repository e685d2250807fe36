"""The phone rule on real processes: both dialects, gateways that agree, sweeps by hand and by the nodes themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from chain.transaction import Call
from cli.client import NodeClient
from cli.profile import Profile
from contracts.deciding.policy import default_policy
from tests.e2e.cluster import ADMIN, DEPARTMENTS, Cluster, stop_cluster, write_passphrase
from tests.e2e.forked import ForkedKehu
from tools.demo.kehu import Json
from tools.demo.story import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bureau")]

RANGE = """
[[carrier.ranges]]
prefix = "+86139"
name = "recycling"
dialect = "number-recycling"
url = "{url}"
token_url = "{url}/oauth2/token"
client_id_file = "secrets/carrier-client-id"
client_secret_file = "secrets/carrier-client-secret"
"""
SWEEP = """
[phone]
sweep = true
interval_s = 1
"""
LOOK_UP, DATED = ("13800138001", "13800138002"), ("13912345601", "13912345602")


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four departments and a carrier of both dialects, the numbers above given out, one operator of sales."""
    folder = tmp_path_factory.mktemp("bureau")
    kehu = ForkedKehu(folder / "network", folder / "passphrases")
    write_passphrase(kehu, ADMIN)
    departments = [word for name in DEPARTMENTS for word in ("--department", name)]
    passphrase = ("--passphrase-file", str(kehu.passphrase_file(ADMIN)))
    try:
        kehu("network", "init", str(kehu.network), "--administrator", ADMIN, *departments, *passphrase)
        cluster = Cluster(kehu, {"sales": "li-wei", "administration": ADMIN})
        for department in DEPARTMENTS:
            with config_of(cluster, department).open("a", encoding="utf-8") as file:
                file.write(RANGE.format(url=cluster.profile.carrier_url))
        kehu("network", "up")
        kehu("network", "up", "carrier")
        cluster.add_person("li-wei", "sales")
        kehu("carrier", "set", "activate", *LOOK_UP, *DATED)
        yield cluster
    finally:
        stop_cluster(kehu)


def config_of(cluster: Cluster, department: str) -> Path:
    return cluster.home(department) / "node.toml"


def set_phone_policy(cluster: Cluster, **phone: int) -> None:
    policy = default_policy(DEPARTMENTS)
    policy["phone"] |= phone

    async def send() -> None:
        client: NodeClient
        async with cluster.client("administration") as client:
            await client.execute([Call("permissions.set_policy", {"policy": policy})])

    asyncio.run(send())
    cluster.wait_equal()


def add(cluster: Cluster, phone: str, name: str) -> str:
    fields = {"name": name, "phone": phone, "organisation": "华东设计院"}
    return str(cluster.kehu("customer", "add", "--fields", "-", as_="li-wei", stdin=fields)["customer"])


def answers(cluster: Cluster, customer: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = cluster.kehu("phone", "history", customer, as_="li-wei")["answers"]
    return rows


def test_a_number_in_a_range_with_dates_lives_its_life(bureau: Cluster) -> None:
    kehu, phone = bureau.kehu, DATED[0]
    customer = add(bureau, phone, "上官婉儿")
    assert kehu("customer", "contact", customer, "--purpose", "renewal", as_="li-wei")["outcome"] == "released"
    kehu("carrier", "set", "port-out", phone)
    ported = kehu("phone", "check", customer, as_="li-wei", exits=(7,))
    assert (ported["status"], ported["no_answer_reason"]) == ("valid", "not_served")
    kehu("carrier", "set", "port-in", phone)
    assert kehu("phone", "check", customer, as_="li-wei")["status"] == "valid"
    tomorrow = datetime.now(UTC).astimezone(timezone(timedelta(hours=8))).date() + timedelta(days=1)
    kehu("carrier", "set", "reassign", phone, "--on", tomorrow.isoformat())
    gone = kehu("phone", "check", customer, as_="li-wei")
    assert (gone["status"], gone["reason"], gone["outcome"]) == ("invalid", "reassigned", "changed")
    refused = kehu("customer", "contact", customer, "--purpose", "renewal", as_="li-wei", exits=(1,))
    assert refused["code"] == "phone.invalid"
    rows = answers(bureau, customer)
    assert [row["outcome"] for row in rows] == ["same", "no_answer", "same", "changed"]
    assert {(row["carrier"], row["gateway"], row["asked_by"]) for row in rows} == {
        ("recycling", "gateway-sales", "person:li-wei")
    }


def test_two_departments_gateways_agree_and_a_sweep_finds_what_changed(bureau: Cluster) -> None:
    kehu = bureau.kehu
    set_phone_policy(bureau, gateways_required=2)
    first, second = add(bureau, LOOK_UP[0], "欧阳锋"), add(bureau, DATED[1], "慕容复")
    for customer, outcome in ((first, "found"), (second, "same")):
        rows = answers(bureau, customer)
        assert [(row["outcome"], row["agreed"]) for row in rows] == [(outcome, False), (outcome, True)]
        assert len({row["gateway"] for row in rows}) == 2
    kehu("carrier", "set", "suspend", LOOK_UP[0])
    set_phone_policy(bureau, gateways_required=2, sweep_age_ms=1_000)

    def due() -> tuple[bool, object]:
        planned = {item["customer"] for item in kehu("phone", "sweep", "--dry-run", as_="li-wei")["customers"]}
        return planned == {first, second}, planned

    wait_for("both answers to be old enough", due)
    swept = kehu("phone", "sweep", as_="li-wei")
    assert (swept["due"], swept["valid"], swept["invalid"], swept["failed"]) == (2, 1, 1, [])
    assert kehu("customer", "show", first, as_="li-wei")["facts"]["reason"] == "unavailable"


def test_nodes_sweep_by_themselves_once_they_are_told_to(bureau: Cluster) -> None:
    kehu = bureau.kehu
    set_phone_policy(bureau, sweep_age_ms=1_000)
    customer = add(bureau, LOOK_UP[1], "诸葛亮")
    kehu("network", "down", "finance")
    with config_of(bureau, "finance").open("a", encoding="utf-8") as file:
        file.write(SWEEP)
    kehu("network", "up", "finance")
    kehu("carrier", "set", "reassign", LOOK_UP[1])

    def look() -> tuple[bool, object]:
        facts: Json = kehu("customer", "show", customer, as_="li-wei")["facts"]
        return facts["reason"] == "reassigned", facts

    wait_for("the sweep of finance to notice the new subscriber", look)
    last = answers(bureau, customer)[-1]
    assert (last["gateway"], last["asked_by"], last["outcome"]) == ("gateway-finance", None, "found")
    status = kehu("status", "--node", "finance")["node"]["phone"]
    assert status["sweep"]["started_ms"] is not None
    assert kehu("status", "--node", "sales")["node"]["phone"]["sweep"] is None
    assert Profile.open(kehu.network).carrier_url is not None


def test_the_chain_with_all_of_it_audits_clean(bureau: Cluster) -> None:
    bureau.wait_equal()
    report = bureau.kehu("audit", "--node", "technical")
    assert (report["clean"], report["finding"]) == (True, None)
