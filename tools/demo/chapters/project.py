"""A client's people and a project: who decides, how it travels, what is owed, and how it looked before."""

from __future__ import annotations

from typing import Any

from tools.demo.cast import ADMINISTRATOR
from tools.demo.kehu import Order, order
from tools.demo.story import Client, Step, Story


def tell(story: Story) -> None:
    client = _meet(story)
    _begin(story, client)
    _travel(story, client)
    _owe(story, client)
    _compare(story, client)
    _find(story, client)
    story.client = client


def _ids(story: Story, *orders: Order) -> list[str]:
    return [str(answer["record"]) for answer in story.kehu.together(orders)]


def _meet(story: Story) -> Client:
    sales = story.person("sales").id
    head, buyer, user = (story.pick(why) for why in ("heads the client", "buys", "uses"))
    with story.step(
        f"{sales} records a client: an organisation, its departments, who sits where, who reports to whom",
        "what sort of tie it is stands on the chain for all; names and notes are in the vaults, as always",
    ) as step:
        organisation = story.kehu("org", "add", "name=东方精密制造", as_=sales)["record"]
        board = story.kehu("dept", "add", organisation, "name=总经办", as_=sales)["record"]
        buying = story.kehu("dept", "add", organisation, "name=采购部", "--parent", board, as_=sales)["record"]
        client = Client(organisation, board, buying, head, buyer, user)
        places = ((head, board), (buyer, buying), (user, buying))
        story.kehu.together(
            [
                order("customer", "place", one.id, "--organisation", organisation, "--department", where, as_=sales)
                for one, where in places
            ]
        )
        _ids(
            story,
            order("relation", "add", buyer.id, "reports_to", head.id, as_=sales),
            order("relation", "add", user.id, "influences", head.id, "note=校友", "--weight", "70", as_=sales),
        )
        circle = story.kehu("relation", "add", head.id, "reports_to", buyer.id, as_=sales, exits=(1,))
        step.equal("a circle of superiors", "relation.cycle", circle["code"])
        step.says(f"that {head.id} reports to {buyer.id} as well is refused: {circle['cause']}")
    return client


def _begin(story: Story, client: Client) -> None:
    sales = story.person("sales").id
    with story.step(
        f"{sales} begins a project there, and notes each one's part: who decides, who advises, who will use it",
        "the project carries all of it: at any height it can be asked who decided what then",
    ) as step:
        begun = story.kehu("project", "add", client.organisation, "name=智慧工厂", "goal=年底上线", as_=sales)
        client.project = begun["record"]
        parts = (
            (client.head, "sponsor", "decides", "supports"),
            (client.buyer, "buyer", "advises", "neutral"),
            (client.user, "foreman", "uses", "supports"),
        )
        client.part, *_ = _ids(
            story,
            *(
                order(
                    *("participation", "add", client.project, one.id, "--role", role, "--right", right),
                    *("--stance", stance),
                    as_=sales,
                )
                for one, role, right, stance in parts
            ),
        )  # fmt: skip
        step.equal("stage", "sales", begun["stage"])
        client.height = int(story.kehu("status", "--node", "sales")["height"])


def _hand_over(story: Story, client: Client, giver: str, to: str, note: str, *exits: int) -> dict[str, Any]:
    by = story.person(giver).id
    return story.kehu("project", "hand-over", client.project, to, f"note={note}", as_=by, exits=exits or (0,))


def _travel(story: Story, client: Client) -> None:
    with story.step(
        "The project travels: from sales to finance, back since papers are missing, and on again",
        "only the department that has it hands it on, only to a neighbour, with a note; every turn stays on the record",
    ) as step:
        problem = _hand_over(story, client, "finance", "process", "抢先", 1)
        step.equal("handed on by somebody who does not have it", "project.not_owner", problem["code"])
        turns = (("sales", "finance", "合同已签"), ("finance", "sales", "资料不全"), ("sales", "finance", "已补齐"))
        for giver, to, note in turns:
            _hand_over(story, client, giver, to, note)
        rows = story.kehu("project", "history", client.project, as_=story.person("finance").id)["records"]
        told = [(row["facts"]["to"], row["facts"]["kind"], row["fields"]["note"]["value"]) for row in rows]
        kinds = ("forward", "back", "forward")
        expected = [(to, kind, note) for (_, to, note), kind in zip(turns, kinds, strict=True)]
        step.equal("turns", expected, told)
        step.shows(("to", "kind", "note"), told)
        story.facts["turns"] = told


def _owe(story: Story, client: Client) -> None:
    sales, finance = story.person("sales").id, story.person("finance").id
    with story.step(
        f"{finance} notes progress and a payment, {sales} confirms the one and registers a demand",
        "each entry has its time and department; that a payment is overdue all may know, how much it is only some",
    ) as step:
        bill = ("--amount", "125000.00", "--due", "2026-01-31", "note=首付")
        progress, payment, demand = _ids(
            story,
            order("progress", "add", client.project, "text=合同已审", as_=finance),
            order("payment", "add", client.project, *bill, as_=finance),
            order("demand", "add", client.user.id, "text=需要培训", "--project", client.project, as_=sales),
        )
        story.kehu("progress", "answer", progress, "confirmed", as_=sales)
        (due,) = story.kehu("payment", "list", "--filter", "state=open", as_=finance)["records"]
        step.equal("the payment", [payment, True], [due["record"], due["facts"]["overdue"]])
        step.equal("its amount in minor units", "12500000", due["fields"]["amount"]["value"])
        refused = story.kehu("payment", "show", payment, as_=sales, exits=(1,))
        step.equal("what sales is shown of the amount", "refused", refused["fields"]["amount"]["state"])
        why = story.kehu("why", sales, "read", f"payments/{payment}", "--field", "amount", as_=ADMINISTRATOR)
        step.equal("why", [False, "permission.denied"], [why["verdict"]["allowed"], why["verdict"]["code"]])
        step.says(f"overdue: {due['facts']['overdue']}; {sales} is refused the amount: no rule and no grant allows it")
        client.demand = demand


def _compare(story: Story, client: Client) -> None:
    sales, finance = story.person("sales").id, story.person("finance").id
    with story.step(
        f"The head of the client turns against it and the buyer moves; {finance} asks how it stands, and how it stood",
        "the map of any height can be drawn, and two of them compared: nothing that was so can be made unsaid",
    ) as step:
        stance = ("--role", "sponsor", "--right", "vetoes", "--stance", "opposes")
        story.kehu.together(
            [
                order("participation", "update", client.part, *stance, as_=sales),
                order(
                    "customer", "place", client.buyer.id, "--organisation", client.organisation, "--department",
                    client.board, as_=sales,
                ),
            ]
        )  # fmt: skip
        now = str(story.kehu("status", "--node", "finance")["height"])
        asked = ("--as-of", str(client.height), "--compare", now)
        found = story.kehu("project", "map", client.project, *asked, as_=finance)
        changes = {(one["what"], one["record"]): (one["before"], one["after"]) for one in found["changes"]}
        parts = changes["parts", client.head.id]
        step.equal("the head's stance", ["supports", "opposes"], [part["stance"] for part in parts])
        step.holds("the buyer has moved", ("people", client.buyer.id) in changes, changes)
        step.equal("stage", ({"stage": "sales"}, {"stage": "finance"}), changes["stage", client.project])
        step.shows(("person", "sits in", "reports to", "right", "stance"), _chart(step, client, found))
        step.says(f"that was height {client.height}; since then, to height {now}:")
        rows = [(what, *(_text(client, facts) for facts in both)) for (what, _), both in changes.items()]
        step.shows(("what", "before", "after"), rows)


def _chart(step: Step, client: Client, found: dict[str, Any]) -> list[tuple[object, ...]]:
    """The map as it was then."""
    people = {person["record"]: person for person in found["people"]}
    step.equal("people", sorted(one.id for one in (client.head, client.buyer, client.user)), sorted(people))
    names = {id_: person["fields"]["name"]["value"] for id_, person in people.items()}
    departments = {one["record"]: one["fields"]["name"]["value"] for one in found["departments"]}
    return [
        (
            names[id_],
            departments[person["department"]],
            names.get(person["reports_to"], ""),
            person["part"]["right"],
            person["part"]["stance"],
        )
        for id_, person in people.items()
    ]


def _text(client: Client, facts: dict[str, Any] | None) -> str:
    """What changed, in words."""
    names = {client.board: "总经办", client.buying: "采购部"}
    return ", ".join(names.get(value, str(value)) for value in (facts or {}).values() if value is not None)


def _find(story: Story, client: Client) -> None:
    finance, technical = story.person("finance").id, story.person("technical").id
    with story.step(
        "Who may see it finds it, by the beginning of a name and by the stage it is at; others find nothing",
        "what was looked for stays between the person and their own node; what came of it is on the record",
    ) as step:
        by_stage = ("customer", "list", "--filter", "stage=finance", "--sort", "name")
        found = story.kehu.together(
            [
                order("project", "search", "智慧", as_=finance),
                order("project", "search", "智慧", as_=technical),
                order(*by_stage, as_=finance),
            ]
        )
        step.equal(
            "projects found", [[client.project], []], [[row["record"] for row in one["records"]] for one in found[:2]]
        )
        ids = sorted(row["customer"] for row in found[2]["customers"])
        step.equal("their customers", sorted(one.id for one in (client.head, client.buyer, client.user)), ids)
        logged = story.kehu("log", "reads", "--person", finance, "--limit", "100", as_=ADMINISTRATOR)
        step.says(
            f"{len(ids)} customers have to do with projects at finance; the log of {finance} has all of these reads"
        )
        step.holds("the reads are in the log", any("search" in str(row) for row in logged["rows"]), logged)
