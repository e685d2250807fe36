"""A client organisation to work with: 东方公司 with its departments, people and a project, on top of `Office`."""

from __future__ import annotations

from typing import Any

from tests.contracts.office import Office


class Client:
    """What tests do with organisations and projects; ids are given, values are Chinese."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self._phones = 0

    def digests(self, table: str, record: str, **values: str) -> dict[str, bytes]:
        return {name: self.office.digest(record, name, value, table) for name, value in values.items()}

    def organisation(self, id_: str, by: str = "li") -> Any:
        fields = self.digests("organisations", id_, name="东方公司")
        return self.office.ok(by, "organisations.register", organisation=id_, fields=fields)

    def department(self, id_: str, organisation: str = "o1", parent: str | None = None) -> Any:
        fields = self.digests("client_departments", id_, name="采购部")
        args = {"client_department": id_, "organisation": organisation, "parent": parent, "fields": fields}
        return self.office.ok("li", "client_departments.register", **args)

    def customer(self, id_: str, organisation: str | None = "o1", department: str | None = None) -> None:
        self._phones += 1
        self.office.register(id_, phone=f"+86138{self._phones:08}", position="经理")
        if organisation is not None:
            self.place(id_, organisation, department)

    def place(self, id_: str, organisation: str | None, department: str | None = None, by: str = "li") -> Any:
        version = self.office.row("customers", id_)["version"]
        place = {"organisation": organisation, "client_department": department}
        return self.office.ok(by, "customers.place", customer=id_, version=version, **place)

    def relation_args(self, id_: str, one: str, kind: str, other: str, **more: Any) -> dict[str, Any]:
        fields = self.digests("relations", id_, note="多年同事")
        return {"relation": id_, "from": one, "to": other, "kind": kind, "weight": None, "fields": fields} | more

    def relation(self, id_: str, one: str, kind: str, other: str, by: str = "li", **more: Any) -> Any:
        return self.office.ok(by, "relations.register", **self.relation_args(id_, one, kind, other, **more))

    def project(self, id_: str = "p1", organisation: str = "o1", by: str = "li") -> Any:
        fields = self.digests("projects", id_, name="智慧工厂", goal="年底上线")
        return self.office.ok(by, "projects.register", project=id_, organisation=organisation, fields=fields)

    def handover_args(self, id_: str, to: str, project: str = "p1", **more: Any) -> dict[str, Any]:
        fields = self.digests("handovers", id_, note="合同已签")
        version = self.office.row("projects", project)["version"]
        return {"handover": id_, "project": project, "version": version, "to": to, "fields": fields} | more

    def hand_over(self, by: str, id_: str, to: str, project: str = "p1") -> Any:
        return self.office.ok(by, "handovers.make", **self.handover_args(id_, to, project))

    def part_args(self, id_: str, customer: str, project: str = "p1", **more: Any) -> dict[str, Any]:
        part = {"role": "sponsor", "right": "decides", "weight": 80, "stance": "supports"}
        fields = self.digests("participations", id_, note="关键人物")
        return {"participation": id_, "project": project, "customer": customer, **part, "fields": fields} | more

    def participate(self, id_: str, customer: str, project: str = "p1", by: str = "li", **more: Any) -> Any:
        return self.office.ok(by, "participations.register", **self.part_args(id_, customer, project, **more))

    def work_args(self, call: str, id_: str, **more: Any) -> dict[str, Any]:
        """Arguments of progress.record, progress_answers.give, demands.register, payments.register, feedback.send."""
        table = call.partition(".")[0]
        name = {"progress": "progress", "progress_answers": "progress_answer", "feedback": "feedback"}.get(table)
        field = "amount" if table == "payments" else "text"
        fields = self.digests(table, id_, **{field: "1250000" if table == "payments" else "设备已到现场"})
        return {name or table.removesuffix("s"): id_, "fields": fields} | more

    def work(self, by: str, call: str, id_: str, **more: Any) -> Any:
        return self.office.ok(by, call, **self.work_args(call, id_, **more))


def stocked_client(office: Office) -> Client:
    """o1 with head office d1 and below it d2; c1 in d1, c2 and c3 in d2, c2 and c3 report to c1; project p1 with c1
    and c2; c4 in o2."""
    client = Client(office)
    client.organisation("o1")
    client.organisation("o2")
    client.department("d1")
    client.department("d2", parent="d1")
    for customer, department in (("c1", "d1"), ("c2", "d2"), ("c3", "d2")):
        client.customer(customer, "o1", department)
    client.customer("c4", "o2")
    client.relation("l1", "c2", "reports_to", "c1")
    client.relation("l2", "c3", "reports_to", "c1", weight=60)
    client.project("p1")
    client.participate("t1", "c1")
    client.participate("t2", "c2", right="uses", stance="neutral", weight=None)
    return client
