"""The map of a project as of a height: the client's org chart, who stands where with whom, and each person's part.

It is put together from reads that are on the record, so what stands in it all departments agree on; names are values
that the reader's node holds, as far as today's rights go. Of a past height the structure is as it was then; a value
that was changed since is destroyed everywhere, and shown as superseded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.client import NodeClient
from cli.records import RecordShown, read_record
from cli.shown import cell
from cli.working import Members, Question, read_all

REPORTS_TO: Final = "reports_to"
_SECTIONS: Final = (
    ("organisations", "client_departments", ("name",)),
    ("organisations", "customers", ("name", "position")),
    ("organisations", "relations", ("note",)),
    ("projects", "participations", ("note",)),
)
_PART: Final = ("role", "right", "weight", "stance")


@dataclass(frozen=True, slots=True)
class ProjectMap:
    """Active records by id, in the order in which they came. `transactions`: the reads. `code`: "ok", or why the
    reader is shown no members."""

    as_of: int
    project: RecordShown
    organisation: RecordShown
    departments: dict[str, RecordShown]
    people: dict[str, RecordShown]
    relations: dict[str, RecordShown]
    parts: dict[str, RecordShown]
    transactions: list[bytes]
    height: int
    code: str

    @property
    def superiors(self) -> dict[str, str]:
        """Customer -> whom they report to."""
        links = (record.facts for record in self.relations.values())
        return {facts["from"]: facts["to"] for facts in links if facts["kind"] == REPORTS_TO}

    @property
    def part_of(self) -> dict[str, dict[str, Any]]:
        """Customer -> role, right, weight, stance."""
        parts = (record.facts for record in self.parts.values())
        return {facts["customer"]: {name: facts[name] for name in _PART} for facts in parts}


async def read_map(client: NodeClient, project: str, as_of: int, purpose: str) -> ProjectMap:
    """Six reads or more, each on the record. Errors: record.not_yet, access.future and those of any read."""
    first, shown = await read_record(client, "projects", project, ["name", "goal"], purpose, as_of)
    organisation = shown.facts["organisation"]
    second, client_shown = await read_record(client, "organisations", organisation, ["name"], purpose, as_of)
    owners = {"organisations": organisation, "projects": project}
    questions = [Question(of, owners[of], table, fields, as_of) for of, table, fields in _SECTIONS]
    found = await read_all(client, questions, purpose)
    departments, people, relations, parts = (_active(section) for section in found)
    return ProjectMap(
        as_of, shown, client_shown, departments, people, relations, parts,
        [first.transaction_id, second.transaction_id, *(id_ for section in found for id_ in section.transactions)],
        max(section.height for section in found),
        next((section.code for section in found if section.code != "ok"), "ok"),
    )  # fmt: skip


def _active(section: Members) -> dict[str, RecordShown]:
    return {record.record: record for record in section.records if record.facts.get("status") != "closed"}


# As data


def map_json(found: ProjectMap) -> dict[str, Any]:
    """The map as --json has it, but for the keys that tell about the reading."""
    return {
        "project": found.project.record,
        "as_of": found.as_of,
        "stage": found.project.facts["stage"],
        "fields": found.project.fields_json(),
        "organisation": {"record": found.organisation.record, "fields": found.organisation.fields_json()},
        "departments": [
            {"record": id_, "parent": record.facts["parent"], "fields": record.fields_json()}
            for id_, record in found.departments.items()
        ],
        "people": [_person_json(found, id_, record) for id_, record in found.people.items()],
        "relations": [
            {"record": id_, **{name: record.facts[name] for name in ("from", "kind", "to", "weight")}}
            for id_, record in found.relations.items()
        ],
    }


def _person_json(found: ProjectMap, id_: str, record: RecordShown) -> dict[str, Any]:
    return {
        "record": id_,
        "department": record.facts["client_department"],
        "reports_to": found.superiors.get(id_),
        "part": found.part_of.get(id_),
        "fields": record.fields_json(),
    }


def differences(before: ProjectMap, after: ProjectMap) -> list[dict[str, Any]]:
    """What differs from one map to the other: {"what", "record", "before", "after"}, None where it is not there.

    Facts only: of values that were changed nobody has the earlier one.
    """
    found = [{"what": "stage", "record": after.project.record, **_pair(*(_stage(one) for one in (before, after)))}]
    for what, facts in (("departments", ("parent",)), ("people", ("client_department",)), ("relations", _RELATION)):
        found += _differences(what, *(_chosen(getattr(one, what), facts) for one in (before, after)))
    found += _differences("parts", before.part_of, after.part_of)
    return [entry for entry in found if entry["before"] != entry["after"]]


_RELATION: Final = ("from", "kind", "to", "weight")


def _stage(found: ProjectMap) -> dict[str, Any]:
    return {"stage": found.project.facts["stage"]}


def _chosen(records: Mapping[str, RecordShown], facts: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {id_: {name: record.facts[name] for name in facts} for id_, record in records.items()}


def _differences(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"what": what, "record": id_, **_pair(before.get(id_), after.get(id_))} for id_ in sorted({*before, *after})
    ]


def _pair(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


# For people


def name_of(record: RecordShown) -> str:
    """The name with the id; the id alone where the reader gets no name."""
    field = record.fields.get("name")
    if field is None or field.state not in ("shown", "superseded"):
        return record.record
    return f"{cell(field)} ({record.record})"


def chart_lines(found: ProjectMap) -> list[str]:
    """The org chart: departments below their parents, people in their departments with their parts."""
    lines = [name_of(found.organisation)]
    lines += _people_lines(found, None, 1)
    for id_, record in found.departments.items():
        if record.facts["parent"] not in found.departments:
            lines += _department_lines(found, id_, 1)
    return lines


def _department_lines(found: ProjectMap, department: str, depth: int) -> list[str]:
    lines = [f"{'  ' * depth}{name_of(found.departments[department])}"]
    lines += _people_lines(found, department, depth + 1)
    for id_, record in found.departments.items():
        if record.facts["parent"] == department:
            lines += _department_lines(found, id_, depth + 1)
    return lines


def _people_lines(found: ProjectMap, department: str | None, depth: int) -> list[str]:
    return [
        f"{'  ' * depth}· {_person_text(found, id_, record)}"
        for id_, record in found.people.items()
        if record.facts["client_department"] == department
    ]


def _person_text(found: ProjectMap, id_: str, record: RecordShown) -> str:
    texts = [name_of(record)]
    position = record.fields.get("position")
    if position is not None and position.state == "shown":
        texts.append(str(position.value))
    superior = found.superiors.get(id_)
    if superior is not None:
        texts.append(f"reports to {_short(found, superior)}")
    part = found.part_of.get(id_)
    if part is not None:
        weight = "" if part["weight"] is None else f", weight {part['weight']}"
        texts.append(f"{part['right']} as {part['role']}{weight}, {part['stance']}")
    return " · ".join(texts)


def _short(found: ProjectMap, customer: str) -> str:
    return name_of(found.people[customer]) if customer in found.people else customer


def relation_rows(found: ProjectMap) -> list[tuple[object, ...]]:
    """From, kind, to, weight of the relations that the chart does not show."""
    links = [record.facts for record in found.relations.values() if record.facts["kind"] != REPORTS_TO]
    return [(_short(found, row["from"]), row["kind"], _short(found, row["to"]), row["weight"]) for row in links]
