"""Values travel with their project: the next department's vault fetches them, the last one's destroys its copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain.transaction import Call
from tests.node.peer_kit import until
from tests.node.vault_network import Network, network


class Work:
    """A project p1 of o1 with the customer c1, written as clients do it: digests on the chain, values to the vaults."""

    def __init__(self, net: Network) -> None:
        self.net = net

    async def write(
        self, sender: str, via: str, call: str, table: str, record: str, texts: dict[str, str], **args: Any
    ) -> None:
        values = [self.net.value(record, field, text, table) for field, text in texts.items()]
        made = Call(call, {**args, "fields": self.net.digests(*values)})
        receipt = await self.net.submit((self.net.transaction(sender, made), values), via)
        assert receipt.is_ok, receipt

    async def begin(self) -> None:
        net = self.net
        await net.submit(net.registration())
        await self.write(
            "li", "sales", "organisations.register", "organisations", "o1", {"name": "东方公司"}, organisation="o1"
        )
        await net.commit(
            "li",
            Call("customers.place", {"customer": "c1", "version": 1, "organisation": "o1", "client_department": None}),
            via="sales",
        )
        project = {"project": "p1", "organisation": "o1"}
        await self.write("li", "sales", "projects.register", "projects", "p1", {"name": "智慧工厂"}, **project)
        part = {"role": "sponsor", "right": "decides", "weight": 50, "stance": "neutral"}
        join = {"participation": "t1", "project": "p1", "customer": "c1", **part}
        await self.write("li", "sales", "participations.register", "participations", "t1", {"note": "关键"}, **join)
        demand = {"demand": "n1", "customer": "c1", "project": "p1"}
        await self.write("li", "sales", "demands.register", "demands", "n1", {"text": "培训"}, **demand)

    async def hand_over(self, number: int, sender: str, via: str, to: str) -> None:
        args = {"handover": f"h{number}", "project": "p1", "version": number, "to": to}
        await self.write(sender, via, "handovers.make", "handovers", f"h{number}", {"note": "请接手"}, **args)

    def held(self, department: str) -> dict[str, set[str]]:
        """What the department's vault holds of everything that belongs to the project."""
        node = self.net.nodes[department]
        records = (
            ("customers", "c1"), ("organisations", "o1"), ("projects", "p1"), ("participations", "t1"),
            ("demands", "n1"), ("handovers", "h1"),
        )  # fmt: skip
        return {f"{table}/{record}": set(node.live(record, table)) for table, record in records}

    async def holds_all(self, department: str) -> None:
        await until(lambda: all(self.held(department).values()))
        assert self.held(department)["customers/c1"] >= {"name", "phone", "position"}

    async def holds_nothing(self, department: str) -> None:
        await until(lambda: not any(self.held(department).values()))


async def test_values_follow_a_project_from_vault_to_vault(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        for department in ("process", "after_sales"):
            await net.start(department)
        work = Work(net)
        await work.begin()
        for department in ("process", "technical", "after_sales"):
            assert not any(work.held(department).values())
        await work.hand_over(1, "li", "sales", "finance")
        await work.hand_over(2, "qian", "finance", "process")
        await work.holds_all("process")
        await work.hand_over(3, "zhao", "process", "technical")
        await work.holds_all("technical")
        await work.holds_nothing("process")
        assert not any(work.held("after_sales").values())


async def test_a_department_that_was_down_fetches_when_it_is_back(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        work = Work(net)
        await work.begin()
        await work.hand_over(1, "li", "sales", "finance")
        await work.hand_over(2, "qian", "finance", "process")
        await net.start("process")
        await work.holds_all("process")


async def test_who_leaves_a_project_leaves_the_vault_of_its_department(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.start("process")
        work = Work(net)
        await work.begin()
        await work.hand_over(1, "li", "sales", "finance")
        await work.hand_over(2, "qian", "finance", "process")
        await work.holds_all("process")
        await net.boss("participations.close", participation="t1", version=1)
        await until(lambda: not net.nodes["process"].live("c1"))
        assert net.nodes["process"].live("p1", "projects") == {"name": "智慧工厂"}
