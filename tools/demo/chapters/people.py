"""Keys, enrolment, log-in."""

from __future__ import annotations

import json

from tools.demo.cast import ADMINISTRATOR, Person
from tools.demo.chapters.founding import write_passphrase
from tools.demo.kehu import Json, Order, order
from tools.demo.story import Story


def tell(story: Story) -> None:
    requests = _make_keys(story)
    _enrol(story, requests)
    _refuse(story)
    _log_in(story)


def _make_keys(story: Story) -> dict[str, str]:
    with story.step(
        "Everybody makes a key of their own, sealed under their own passphrase",
        "what leaves the person's machine is the public half and a proof; nobody else ever has the secret half",
    ) as step:
        for person in story.people:
            write_passphrase(story, person.id)
        made = story.kehu.together(
            [
                order(
                    "key", "new", person.id, "--department", person.department,
                    "--passphrase-file", str(story.kehu.passphrase_file(person.id)),
                )
                for person in story.people
            ]
        )  # fmt: skip
        step.equal("different keys", len(story.people), len({request["key"] for request in made}))
    return {request["person"]: _write_request(story, request["person"], request) for request in made}


def _write_request(story: Story, name: str, request: Json) -> str:
    """What goes to the administrator: nothing in it is secret."""
    path = story.folder / f"{name}.request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    return str(path)


def _enrol(story: Story, requests: dict[str, str]) -> None:
    with story.step(
        "The administrator enrols them: somebody of every department, and an auditor",
        "the departments agreed on each key; names went into vaults, the chain has work ids and digests",
    ) as step:
        enrolled = story.kehu.together([_enrolment(person, requests[person.id]) for person in story.people])
        step.equal("enrolled", [person.id for person in story.people], [item["person"] for item in enrolled])
        listed = {row["person"]: row for row in story.kehu("people", "list", as_=ADMINISTRATOR)["people"]}
        for person in story.people:
            step.equal(f"status of {person.id}", "active", listed.get(person.id, {}).get("status"))
        step.shows(
            ("work id", "name", "department", "role"),
            [(person.id, person.name, person.department, person.role) for person in story.people],
        )
        story.facts["people"] = sorted(listed)


def _enrolment(person: Person, request: str) -> Order:
    return order(
        "people", "enrol", person.id, "--role", person.role, "--request", request, "--fields", "-",
        as_=ADMINISTRATOR, stdin={"name": person.name},
    )  # fmt: skip


def _refuse(story: Story) -> None:
    sales, finance = story.person("sales"), story.person("finance")
    with story.step(
        f"{sales.id}, who is no administrator, tries to end {finance.id}'s part in the network",
        "the contract refuses, in every department alike, and nothing is changed",
    ) as step:
        problem = story.kehu("people", "revoke", finance.id, as_=sales.id, exits=(1,))
        step.equal("code", "permission.administrator_only", problem["code"])
        people = {row["person"]: row["status"] for row in story.kehu("people", "list", as_=ADMINISTRATOR)["people"]}
        step.equal(f"status of {finance.id}", "active", people[finance.id])
        step.says(f"{problem['code']}: {problem['cause']}")
        story.facts["refused revocation"] = problem["code"]


def _log_in(story: Story) -> None:
    with story.step(
        "Everybody logs in at their own department's node",
        "every log-in is a signed transaction in the chain, admitted by that department's node",
    ) as step:
        logins = story.kehu.together([order("login", as_=person.id) for person in story.people])
        for person, login in zip(story.people, logins, strict=True):
            step.equal(
                f"who logged in as {person.id}", [person.id, person.department], [login["person"], login["department"]]
            )
        heights = [login["height"] for login in logins]
        step.says(f"blocks {min(heights)} to {max(heights)}")
