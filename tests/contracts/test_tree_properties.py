"""Whatever is tried in whatever order: departments stay a forest within their organisation, superiors stay a forest,
nothing in use is closed, and every past chart stays as it was."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.contracts.client import Client
from tests.contracts.office import Office
from tests.contracts.test_members import members

DEPARTMENTS = ["d0", "d1", "d2", "d3", "d4"]
PEOPLE = ["c0", "c1", "c2", "c3"]
departments = st.sampled_from(DEPARTMENTS)
people = st.sampled_from(PEOPLE)


class Chart(RuleBasedStateMachine):
    """d4 is in another organisation than the rest, and so is c3."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(Office())
        self.relations = 0
        self.past: dict[int, Any] = {}

    @initialize()
    def begin(self) -> None:
        for organisation in ("o1", "o2"):
            self.client.organisation(organisation)
        for department in DEPARTMENTS:
            self.client.department(department, "o2" if department == "d4" else "o1")
        for person in PEOPLE:
            self.client.customer(person, "o2" if person == "c3" else "o1")

    def row(self, table: str, record: str) -> dict[str, Any]:
        return self.client.office.row(table, record)

    @rule(department=departments, parent=st.none() | departments)
    def move(self, department: str, parent: str | None) -> None:
        before = {name: self.row("client_departments", name) for name in DEPARTMENTS}
        version = before[department]["version"]
        args = {"client_department": department, "version": version, "parent": parent}
        code = self.client.office.code("li", "client_departments.move", **args)
        assert (code == "ok") == self._may_move(before, department, parent), code

    def _may_move(self, rows: dict[str, Any], department: str, parent: str | None) -> bool:
        if rows[department]["status"] == "closed":
            return False
        if parent is None:
            return True
        below = {department}
        for _ in DEPARTMENTS:
            below |= {name for name, row in rows.items() if row["parent"] in below}
        is_home = rows[parent]["organisation"] == rows[department]["organisation"]
        return is_home and rows[parent]["status"] == "active" and parent not in below

    @rule(department=departments)
    def close(self, department: str) -> None:
        rows = {name: self.row("client_departments", name) for name in DEPARTMENTS}
        has_department = any(row["parent"] == department and row["status"] == "active" for row in rows.values())
        has_people = any(self.row("customers", person)["client_department"] == department for person in PEOPLE)
        args = {"client_department": department, "version": rows[department]["version"]}
        code = self.client.office.code("li", "client_departments.close", **args)
        is_free = rows[department]["status"] == "active" and not has_department and not has_people
        assert (code == "ok") == is_free, code

    @rule(person=people, department=st.none() | departments)
    def place(self, person: str, department: str | None) -> None:
        row = self.row("customers", person)
        args = {"customer": person, "version": row["version"], "organisation": row["organisation"]}
        self.client.office.code("li", "customers.place", **args, client_department=department)

    @rule(one=people, other=people)
    def report(self, one: str, other: str) -> None:
        superiors = self._superiors()
        self.relations += 1
        args = self.client.relation_args(f"l{self.relations}", one, "reports_to", other)
        code = self.client.office.code("li", "relations.register", **args)
        above, reached = other, {other}
        while above in superiors:
            above = superiors[above]
            reached.add(above)
        is_home = self.row("customers", one)["organisation"] == self.row("customers", other)["organisation"]
        assert (code == "ok") == (one not in superiors and one not in reached and is_home), code

    @rule(number=st.integers(1, 8))
    def end(self, number: int) -> None:
        self.client.office.code("li", "relations.close", relation=f"l{number}", version=1)

    def _superiors(self) -> dict[str, str]:
        rows = [row for _, row in self.client.office.ledger.state.scan("relations")]
        return {row["from"]: row["to"] for row in rows if row["status"] == "active"}

    @rule()
    def remember(self) -> None:
        height = self.client.office.ledger.height
        self.past[height] = self._chart(height)

    def _chart(self, height: int) -> Any:
        """Structure only: which values are the present ones changes with time."""
        tables = ("client_departments", "customers", "relations")
        found = [members(self.client, "organisations", "o1", table, as_of=height)["records"] for table in tables]
        return [[(item["record"], item["version"], item["facts"]) for item in records] for records in found]

    @invariant()
    def everything_is_a_forest_and_the_past_stays(self) -> None:
        state = self.client.office.ledger.state
        parents = {key: row["parent"] for key, row in state.scan("client_departments")}
        for links in (parents, self._superiors()):
            for start in links:
                steps, at = 0, start
                while links.get(at) is not None:
                    at, steps = links[at], steps + 1
                    assert steps <= len(links)
        for height in list(self.past)[-1:]:
            assert self._chart(height) == self.past[height]


TestChart = Chart.TestCase
TestChart.settings = settings(max_examples=20, stateful_step_count=20)
