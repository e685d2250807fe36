"""Two departments change the same record from the same version at the same time."""

from __future__ import annotations

from typing import Any

from tools.demo.cast import Person
from tools.demo.kehu import Order, order
from tools.demo.story import Customer, Story

POSITIONS = {"sales": "总监", "finance": "财务总监"}


def tell(story: Story) -> None:
    customer = story.pick("conflict")
    sales, finance = story.person("sales"), story.person("finance")
    winner, loser = _race(story, customer, sales, finance)
    _again(story, customer, loser)
    _history(story, customer, [winner, loser])


def _change(person: Person, customer: Customer, version: int, exits: tuple[int, ...]) -> Order:
    fields = {"position": POSITIONS[person.department]}
    expect = ("--expect", str(version), "--fields", "-")
    return order("customer", "update", customer.id, *expect, as_=person.id, stdin=fields, exits=exits)


def _race(story: Story, customer: Customer, one: Person, other: Person) -> tuple[Person, Person]:
    with story.step(
        f"{one.name} of sales and {other.name} of finance change a customer's position at once, both from version 1",
        "one of them wins everywhere; the other is told of the conflict with both versions, and nothing is overwritten",
    ) as step:
        people = (one, other)
        results = story.kehu.together([_change(person, customer, 1, (0, 3)) for person in people])
        won = [person for person, result in zip(people, results, strict=True) if "version" in result]
        lost = [(person, result) for person, result in zip(people, results, strict=True) if "code" in result]
        step.equal("winners and losers", (1, 1), (len(won), len(lost)))
        loser, problem = lost[0]
        step.equal("code", "record.version_conflict", problem["code"])
        versions = {name: problem["details"].get(name) for name in ("expected", "actual")}
        step.equal("versions in the conflict", {"expected": 1, "actual": 2}, versions)
        step.says(f"{won[0].id} made version 2; {loser.id} is told: expected version 1, the record has version 2")
        story.facts["conflict"] = [problem["code"], versions]
    return won[0], loser


def _again(story: Story, customer: Customer, loser: Person) -> None:
    with story.step(
        f"{loser.name} reads what the other wrote and changes it again, from version 2",
        "who lost the race has lost nothing but a moment",
    ) as step:
        shown = story.kehu("customer", "show", customer.id, "--field", "position", as_=loser.id)
        step.equal("version read", 2, shown["version"])
        written = set(POSITIONS.values()) - {POSITIONS[loser.department]}
        step.equal("position read", written, {shown["fields"]["position"]["value"]})
        done: dict[str, Any] = story.kehu.run(_change(loser, customer, 2, (0,)))
        step.equal("version written", 3, done["version"])


def _history(story: Story, customer: Customer, in_order: list[Person]) -> None:
    reader = story.person("administration")
    with story.step(
        "The history says who changed which field when",
        "every version has its author and its transaction, kept by all departments",
    ) as step:
        rows = story.kehu("customer", "history", customer.id, as_=reader.id)["rows"]
        authors = [(row["to"], row["by"]) for row in rows if row["fields"] == ["position"]]
        step.equal("authors of versions 2 and 3", [(n, f"person:{p.id}") for n, p in enumerate(in_order, 2)], authors)
        step.shows(
            ("from", "to version", "by", "fields", "height"),
            [(row["from"], row["to"], row["by"], ", ".join(row["fields"]), row["height"]) for row in rows],
        )
