"""A grant for one field of one record; reads without it are refused and stay on the record."""

from __future__ import annotations

from typing import Any

from tools.demo.cast import ADMINISTRATOR
from tools.demo.story import Customer, Step, Story

PURPOSE = "site-visit"
GRANTED = "organisation"


def tell(story: Story) -> None:
    customer = story.pick("permissions")
    first = _refused_without(story, customer)
    grant = _grant(story, customer)
    _read_granted(story, customer)
    last = _revoke(story, customer, grant)
    _auditor_sees(story, customer, [first, last])


def _read(story: Story, customer: Customer, *exits: int) -> dict[str, Any]:
    reader = story.person("technical").id
    return story.kehu("customer", "show", customer.id, "--purpose", PURPOSE, as_=reader, exits=exits)


def _require_refused(step: Step, shown: dict[str, Any]) -> str:
    """All fields are refused; gives the transaction."""
    step.equal("states of the fields", {"refused"}, {item["state"] for item in shown["fields"].values()})
    step.equal("reasons", {"permission.denied"}, {item["code"] for item in shown["fields"].values()})
    step.equal("values shown", {None}, {item["value"] for item in shown["fields"].values()})
    return str(shown["transaction"])


def _refused_without(story: Story, customer: Customer) -> str:
    technical = story.person("technical")
    with story.step(
        f"{technical.name} ({technical.id}) of the technical department asks for a customer without having a grant",
        "nothing is shown unless it is granted; the refusal itself is in a block, proven at another department's node",
    ) as step:
        transaction = _require_refused(step, _read(story, customer, 1))
        receipt = story.kehu("tx", "show", transaction, "--node", "after_sales")
        step.equal("transaction at another node", "committed", receipt["status"])
        allowed = [name for name, item in receipt["results"][0]["fields"].items() if item["allowed"]]
        step.equal("fields that the departments allowed", [], allowed)
        step.says(f"refused, and on the record at height {receipt['height']}: transaction {transaction[:16]}…")
    return transaction


def _grant(story: Story, customer: Customer) -> str:
    technical = story.person("technical")
    with story.step(
        f"The administration grants {technical.id} one field of this customer, for one purpose, for a week",
        "a permission is a transaction of its own, signed by an administrator",
    ) as step:
        granted = story.kehu(
            "grant", f"person:{technical.id}", "--action", "read", "--record", customer.id, "--field", GRANTED,
            "--purpose", PURPOSE, "--expires", "7d", as_=ADMINISTRATOR,
        )  # fmt: skip
        listed = story.kehu("grants", "--subject", f"person:{technical.id}", as_=ADMINISTRATOR)["grants"]
        step.equal("live grants", [granted["grant"]], [item["grant"] for item in listed])
    return str(granted["grant"])


def _read_granted(story: Story, customer: Customer) -> None:
    technical = story.person("technical")
    with story.step(
        f"{technical.id} asks again",
        "exactly the granted field is shown, with the value that sales recorded; all others stay refused",
    ) as step:
        shown = _read(story, customer, 0)["fields"]
        visible = {name: item["value"] for name, item in shown.items() if item["state"] == "shown"}
        step.equal("fields shown", {GRANTED: customer.fields[GRANTED]}, visible)
        others = {item["state"] for name, item in shown.items() if name != GRANTED}
        step.equal("states of the other fields", {"refused"}, others)
        step.shows(
            ("field", "value"), [(name, item["value"] or f"refused ({item['code']})") for name, item in shown.items()]
        )
        other_purpose = story.kehu(
            "customer", "show", customer.id, "--purpose", "curiosity", as_=technical.id, exits=(1,)
        )
        _require_refused(step, other_purpose)
        step.says("for another purpose the same field is refused")


def _revoke(story: Story, customer: Customer, grant: str) -> str:
    technical = story.person("technical")
    with story.step(
        "The administration revokes the grant",
        f"the next read of {technical.id} is refused again",
    ) as step:
        story.kehu("revoke", grant, as_=ADMINISTRATOR)
        return _require_refused(step, _read(story, customer, 1))


def _auditor_sees(story: Story, customer: Customer, refused: list[str]) -> None:
    auditor, technical = story.person("finance"), story.person("technical")
    auditor = next(person for person in story.people if person.role == "auditor")
    with story.step(
        f"{auditor.name} ({auditor.id}), the auditor, asks who looked at this customer",
        "reads and refused reads are all there: who, when, which fields, for what purpose",
    ) as step:
        rows = story.kehu("customer", "history", customer.id, "--kind", "accesses", as_=auditor.id)["rows"]
        theirs = [row for row in rows if row["by"] == f"person:{technical.id}"]
        found = {row["transaction"]: row["allowed"] for row in theirs}
        step.equal("the refused reads", {id_: [] for id_ in refused}, {id_: found.get(id_) for id_ in refused})
        step.holds("the granted read", [GRANTED] in found.values(), found)
        step.shows(
            ("height", "by", "action", "purpose", "allowed", "refused"),
            [
                (
                    row["height"],
                    row["by"],
                    row["action"],
                    row["purpose"],
                    ", ".join(row["allowed"]),
                    len(row["refused"]),
                )
                for row in rows
            ],
        )
        story.facts["accesses"] = sorted({(row["purpose"], tuple(row["allowed"])) for row in theirs})
