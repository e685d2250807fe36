"""The phone-identity rule: same subscriber, another one, no answer."""

from __future__ import annotations

import os
import signal
from typing import Any

from tools.demo.story import Customer, Step, Story


def tell(story: Story) -> None:
    kept, lost = story.pick("keeps the number"), story.pick("loses the number")
    _contact(story, kept)
    _reassign(story, lost)
    _down(story, kept)
    _hangs(story, kept)


def _check(story: Story, customer: Customer, *exits: int) -> dict[str, Any]:
    """Asks the carrier now, however young its last answer is."""
    return story.kehu("phone", "check", customer.id, "--max-age", "0", as_=story.person("sales").id, exits=exits)


def _contact(story: Story, customer: Customer) -> None:
    sales = story.person("sales")
    with story.step(
        f"{sales.id} wants to call a customer",
        "the number is given out for a stated purpose, while the carrier says that it is still the customer's",
    ) as step:
        asked = story.kehu("customer", "contact", customer.id, "--purpose", "renewal", as_=sales.id)
        step.equal("outcome", ["released", customer.fields["phone"]], [asked["outcome"], asked["phone"]])


def _reassign(story: Story, customer: Customer) -> None:
    sales = story.person("sales")
    with story.step(
        "The carrier gives another customer's number to a new subscriber",
        "the customer turns invalid, and the gate no longer gives the number out: nobody calls a stranger",
    ) as step:
        story.kehu("carrier", "set", "reassign", customer.fields["phone"])
        checked = _check(story, customer, 0)
        step.equal("status", ["invalid", "reassigned"], [checked["status"], checked["reason"]])
        asked = story.kehu("customer", "contact", customer.id, "--purpose", "renewal", as_=sales.id, exits=(1,))
        refusal = [asked["outcome"], asked["code"], asked["phone"]]
        step.equal("contact", ["refused", "phone.invalid", None], refusal)
        other = story.person("finance")
        asked = story.kehu("customer", "contact", customer.id, "--purpose", "invoice", as_=other.id, exits=(1,))
        step.equal("contact by another department", ["refused", "phone.invalid", None], refusal)
        step.says(
            f"{customer.id}: {checked['status']}, {checked['reason']}; contact {asked['outcome']} ({asked['code']})"
        )
        story.facts["reassigned"] = [checked["status"], checked["reason"], *refusal]


def _require_no_answer(story: Story, step: Step, customer: Customer) -> str:
    """The status stays, the attempt is on the record; gives why there was no answer."""
    before = _answers(story, customer)
    checked = _check(story, customer, 7)
    step.equal("status", ["no_answer", "valid", None], [checked["outcome"], checked["status"], checked["reason"]])
    after = _answers(story, customer)
    step.holds("the attempt is on the record", after.count("no_answer") > before.count("no_answer"), after)
    step.equal("answers by the carrier", before.count("found"), after.count("found"))
    return str(checked["no_answer_reason"])


def _answers(story: Story, customer: Customer) -> list[str]:
    rows = story.kehu("customer", "history", customer.id, "--kind", "answers", as_=story.person("sales").id)["rows"]
    return [row["outcome"] for row in rows]


def _down(story: Story, customer: Customer) -> None:
    with story.step(
        "The carrier's platform is down",
        "no answer is neither a yes nor a no: the status stays as it was, and the attempt is on the record",
    ) as step:
        story.kehu("network", "down", "carrier", "--kill")
        reason = _require_no_answer(story, step, customer)
        step.says(f"no answer ({reason}); {customer.id} stays valid")
        story.kehu("network", "up", "carrier")
        story.facts["carrier down"] = reason


def _hangs(story: Story, customer: Customer) -> None:
    with story.step(
        "The platform takes connections and never answers, then recovers",
        "a node waits for a bounded time and the network goes on; the next answer counts again",
    ) as step:
        carrier = story.kehu("network", "status", exits=(0, 9))["carrier"]["pid"]
        os.kill(carrier, signal.SIGSTOP)
        try:
            reason = _require_no_answer(story, step, customer)
        finally:
            os.kill(carrier, signal.SIGCONT)
        step.says(f"no answer ({reason})")
        checked = _check(story, customer, 0)
        step.equal("status", ["found", "valid"], [checked["outcome"], checked["status"]])
        story.facts["carrier hangs"] = reason
