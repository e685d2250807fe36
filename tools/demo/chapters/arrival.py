"""A CSV file comes in; the carrier is asked for each number."""

from __future__ import annotations

import json
import shutil
import urllib.request

from node.carrier.numbers import parse_number
from tools.demo.story import Customer, Step, Story

SHOWN_ROWS = 6


def tell(story: Story) -> None:
    file = story.folder / story.sheet.path.name
    shutil.copy(story.sheet.path, file)
    _give_numbers_out(story, str(file))
    _import(story, str(file))
    _import_again(story, str(file))
    _list(story)


def _give_numbers_out(story: Story, file: str) -> None:
    with story.step(
        "The carrier gives the numbers to their subscribers; some are returned again",
        "each subscriber has an identifier at the carrier that goes with the person, not with the number",
    ) as step:
        given = story.kehu("carrier", "set", "activate", "--from", file)
        returned = story.kehu("carrier", "set", "return", *story.sheet.unknown_numbers)
        step.equal("numbers returned", len(story.sheet.unknown_numbers), returned["numbers"])
        step.says(f"{given['numbers']} numbers given out, {returned['numbers']} of them returned")


def _import(story: Story, file: str) -> None:
    sheet, sales = story.sheet, story.person("sales")
    with story.step(
        f"{sales.name} ({sales.id}) of sales imports a file of {len(sheet.rows)} rows",
        "each faulty row is left out with its number and reason; the rest is in, agreed on by the departments",
    ) as step:
        before = _times_asked(story)
        done = story.kehu("customer", "import", file, as_=sales.id, exits=(9,))
        step.equal("rows in the file", len(sheet.rows), done["rows"])
        step.equal(
            "rows left out, with reasons", sheet.faults, {fault["row"]: fault["code"] for fault in done["faults"]}
        )
        step.equal("rows that are in", sheet.good, [item["row"] for item in done["customers"]])
        statuses = {item["status"] for item in done["customers"]}
        step.holds("every new customer's number is valid", statuses <= {"valid", None}, statuses)
        asked = _times_asked(story) - before
        step.holds("the carrier was asked about each number", asked >= len(sheet.good), asked)
        story.customers = [_customer(story, item["row"], item["customer"]) for item in done["customers"]]
        story.facts |= {"imported": len(story.customers), "left out": {f["row"]: f["code"] for f in done["faults"]}}
        step.says(f"{len(story.customers)} customers are in; the carrier was asked {asked} times")
        step.shows(
            ("row left out", "column", "reason"), [(f["row"], f["column"] or "", f["code"]) for f in done["faults"]]
        )


def _customer(story: Story, row: int, id_: str) -> Customer:
    cells = story.sheet.rows[row]
    return Customer(id_, row, {**cells, "phone": parse_number(cells["phone"])})


def _times_asked(story: Story) -> int:
    """How often the carrier has been asked, from its own counters."""
    carrier = json.loads((story.network / "network.json").read_text(encoding="utf-8"))["carrier"]
    token = (story.network / "carrier" / "admin.token").read_text(encoding="ascii").strip()
    request = urllib.request.Request(carrier + "/admin/v1/counters", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(json.load(response)["counters"].get("requests", 0))


def _import_again(story: Story, file: str) -> None:
    sales = story.person("sales")
    with story.step(
        "The same file is imported once more",
        "an import can be repeated and taken up again: nobody is recorded twice",
    ) as step:
        done = story.kehu("customer", "import", file, as_=sales.id, exits=(9,))
        step.equal("new customers", 0, done["imported"])
        ids = [customer.id for customer in story.customers]
        step.equal("the same customers", ids, [item["customer"] for item in done["customers"]])


def _list(story: Story) -> None:
    sales = story.person("sales")
    with story.step(
        f"{sales.id} looks at the first customers, and the technical department at those it may see",
        "values come from the vault of the own node only after the read is on the chain; each fits its digest there",
    ) as step:
        page = story.kehu("customer", "list", "--limit", str(SHOWN_ROWS), as_=sales.id)["customers"]
        _compare(step, story, page)
        names = ("name", "phone", "organisation")
        values = [[row["fields"][name]["value"] for name in names] for row in page]
        facts = [(row["customer"], row["facts"]["status"]) for row in page]
        step.shows(
            ("customer", "status", "姓名", "手机", "单位"),
            [(*fact, *value) for fact, value in zip(facts, values, strict=True)],
        )
        technical = story.person("technical")
        seen = story.kehu("customer", "list", as_=technical.id)["customers"]
        step.equal(f"customers that {technical.id} sees", [], seen)


def _compare(step: Step, story: Story, page: list[dict[str, object]]) -> None:
    known = {customer.id: customer.fields for customer in story.customers}
    step.equal("customers on the page", SHOWN_ROWS, len(page))
    for row in page:
        fields: dict[str, dict[str, object]] = row["fields"]  # type: ignore[assignment]
        expected = {name: known[str(row["customer"])][name] for name in fields}
        step.equal("values as in the file", expected, {name: item["value"] for name, item in fields.items()})
