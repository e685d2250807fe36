"""A customer is forgotten: everywhere, for good, with receipts from all departments, in a chain that still verifies."""

from __future__ import annotations

from typing import Any

from tools.demo.cast import ADMINISTRATOR
from tools.demo.story import Customer, Story, wait_for


def tell(story: Story) -> None:
    _hold(story)
    code = _look(story)
    _erase(story, code)
    _scan(story, story.require_client().user)


def _order(story: Story) -> tuple[str, ...]:
    return ("customer", "erase", story.require_client().user.id, "--reason", "withdrawn")


def _hold(story: Story) -> None:
    user = story.require_client().user
    with story.step(
        "A customer wants to be forgotten, but a legal hold lies on the record",
        "while it lies there, neither an order nor a retention period erases anything",
    ) as step:
        story.kehu("erasure", "hold", user.id, "--reason", "lawsuit", as_=ADMINISTRATOR)
        seen = story.kehu(*_order(story), as_=ADMINISTRATOR)
        refused = story.kehu(*_order(story), "--confirm", seen["confirm"], as_=ADMINISTRATOR, exits=(1,))
        step.equal("held", ["lawsuit", "erasure.held"], [seen["held"], refused["code"]])
        story.kehu("erasure", "release", user.id, "--reason", "settled", as_=ADMINISTRATOR)


def _look(story: Story) -> str:
    client = story.require_client()
    with story.step(
        "The hold is lifted; the first step of the order says what would go, and where it lies",
        "relations, participations, demands and feedback go with the person; nobody confirms blindly",
    ) as step:
        seen = story.kehu(*_order(story), as_=ADMINISTRATOR)
        going = [(one["table"], ", ".join(one["fields"]), _vaults(one)) for one in seen["together"]]
        tables = {table for table, _, _ in going}
        step.equal("tables", {"customers", "relations", "participations", "demands", "feedback"}, tables)
        step.holds("the demand goes along", client.demand in str(seen["together"]), seen["together"])
        step.shows(("table", "fields", "vaults of"), going)
        story.facts["erased together"] = sorted(tables)
    return str(seen["confirm"])


def _vaults(one: dict[str, Any]) -> str:
    return ", ".join(sorted({department for departments in one["fields"].values() for department in departments}))


def _erase(story: Story, code: str) -> None:
    user = story.require_client().user
    with story.step(
        "The second step does it",
        "each department's node destroyed what it had before it told anybody, and signed a receipt for it on the chain",
    ) as step:
        story.kehu(*_order(story), "--confirm", code, as_=ADMINISTRATOR)
        status: dict[str, Any] = {}

        def look() -> tuple[bool, object]:
            status.update(story.kehu("erasure", "status", user.id, as_=ADMINISTRATOR))
            return status["state"] == "complete", status["waiting"]

        wait_for("a receipt of every department", look)
        step.equal("receipts", 6, len(status["confirmed"]))
        step.shows(
            ("department", "values destroyed", "late"),
            [(name, receipt["values"], receipt["late"]) for name, receipt in status["confirmed"].items()],
        )
        problem = story.kehu("customer", "show", user.id, as_=story.person("sales").id, exits=(1,))
        step.equal("reading it", "record.erased", problem["code"])
        story.customers = [customer for customer in story.customers if customer.id != user.id]


def _scan(story: Story, user: Customer) -> None:
    with story.step(
        "Every byte of every node's folder and log is looked through for the number",
        "what stays on the chain are digests that nobody can tie to a person; the audit below verifies all of it",
    ) as step:
        files = [path for path in (story.network / "nodes").rglob("*") if path.is_file()]
        contents = [path.read_bytes() for path in files if path.exists()]
        needles = [user.fields["phone"].encode(), user.fields["phone"].removeprefix("+86").encode()]
        found = sum(needle in content for content in contents for needle in needles)
        step.equal("files with the number", 0, found)
        known = sum(user.id.encode() in content for content in contents)
        step.holds("the scan finds the id, which stays", known > 0, known)
        step.says(f"{len(contents)} files, {sum(map(len, contents)):,} bytes: the number is in none")
