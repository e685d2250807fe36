"""Values follow the scope of a grant: who becomes entitled by it fetches them, who is no longer destroys them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chain.transaction import Call
from node.vault.seal import RecordId
from tests.contracts.office import DAY_MS
from tests.node.peer_kit import until
from tests.node.vault.test_vault_projects import Work
from tests.node.vault_network import network

GRANT: dict[str, Any] = {
    "grant": "g1",
    "subject": "department:after_sales",
    "actions": ["read"],
    "table": "*",
    "scope": "project:p1",
    "fields": ["*"],
    "purpose": "*",
    "expires_ms": None,
}


async def test_a_project_that_is_granted_comes_to_the_departments_vault_and_goes_when_it_is_revoked(
    tmp_path: Path,
) -> None:
    async with network(tmp_path) as net:
        await net.start("after_sales")
        work = Work(net)
        await work.begin()
        await work.hand_over(1, "li", "sales", "finance")
        await net.submit(net.registration("c2", name="李四"))
        await net.boss("permissions.grant", **GRANT)
        await work.holds_all("after_sales")
        assert not any(work.held("technical").values())
        assert net.nodes["after_sales"].live("c2") == {}  # takes no part in the project
        await net.boss("permissions.revoke", grant="g1")
        await work.holds_nothing("after_sales")


async def test_who_joins_and_leaves_a_granted_project_comes_and_goes_with_their_values(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.start("after_sales")
        work = Work(net)
        await work.begin()
        await net.boss("permissions.grant", **GRANT | {"table": "customers", "expires_ms": net.time_ms + DAY_MS})
        after_sales = net.nodes["after_sales"]
        await until(lambda: set(after_sales.live("c1")) >= {"name", "phone"})
        assert after_sales.live("p1", "projects") == {}
        await net.boss("participations.close", participation="t1", version=1)
        await until(lambda: after_sales.live("c1") == {})
        part = {"role": "sponsor", "right": "decides", "weight": 50, "stance": "neutral"}
        join = {"participation": "t2", "project": "p1", "customer": "c1", **part}
        await work.write("li", "sales", "participations.register", "participations", "t2", {"note": "回来"}, **join)
        await until(lambda: set(after_sales.live("c1")) >= {"name", "phone"})
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")  # any block: its time passes the expiry
        await until(lambda: after_sales.live("c1") == {})


async def test_a_grant_on_what_is_assigned_brings_what_is_assigned_later_and_no_other(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.start("after_sales")
        for customer in ("c1", "c2"):
            await net.submit(net.registration(customer))
        own = {"table": "customers", "scope": "assigned", "fields": ["identifier"], "actions": ["export"]}
        await net.boss("permissions.grant", **GRANT | own | {"subject": "person:wu"})
        assigned = {"table": "customers", "record": "c1", "subject": "person:wu"}
        await net.boss("permissions.assign", **assigned)
        await until(lambda: "identifier" in net.nodes["after_sales"].live("c1"))
        assert net.nodes["after_sales"].live("c2") == {}
        await net.boss("permissions.unassign", **assigned)
        await net.holds("after_sales")


async def test_a_grant_to_read_a_log_ends_and_no_vault_with_it(tmp_path: Path) -> None:
    """Every node looks at what an expired grant was about, again at each start; a log has nothing of a vault's."""
    async with network(tmp_path) as net:
        on_log = {"subject": "person:rui", "scope": "all", "expires_ms": net.time_ms + DAY_MS}
        for log in ("logins", "accesses", "changes"):
            await net.boss("permissions.grant", **GRANT | on_log | {"grant": f"g-{log}", "table": log})
        await net.submit(net.registration("c2", name="李四"))
        await net.boss("permissions.grant", **GRANT | {"grant": "g9", "table": "customers", "scope": "record:c2"})
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")  # any block: its time passes the expiry
        await net.start("after_sales")
        await until(lambda: set(net.nodes["after_sales"].live("c2")) >= {"name", "phone"})
        for node in net.nodes.values():
            await until(lambda node=node: not node.exchange.refill.is_walking)
            assert node.task is not None
            assert not node.task.done()


async def test_grants_that_end_in_one_moment_are_looked_at_a_few_at_a_time_and_all_copies_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.vault.exchange.EXPIRED_AT_ONCE", 2)
    async with network(tmp_path) as net:
        await net.start("after_sales")
        customers = [f"c{number}" for number in range(1, 8)]
        for customer in customers:
            await net.submit(net.registration(customer))
            about = {"grant": f"g-{customer}", "table": "customers", "scope": f"record:{customer}"}
            await net.boss("permissions.grant", **GRANT | about | {"expires_ms": net.time_ms + DAY_MS})
        after_sales, compared = net.nodes["after_sales"], list[int]()
        await until(lambda: all(set(after_sales.live(one)) >= {"name", "phone"} for one in customers))
        compare = after_sales.exchange.refill.compare

        async def counted(records: Sequence[RecordId], grace_s: float) -> None:
            compared.append(len(records))
            await compare(records, grace_s)

        monkeypatch.setattr(after_sales.exchange.refill, "compare", counted)
        net.time_ms += DAY_MS
        await net.commit("li", Call("access.login", {}), via="sales")
        await until(lambda: all(after_sales.live(one) == {} for one in customers))
        assert sum(compared) == len(customers)
        assert max(compared) <= 2
