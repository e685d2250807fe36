"""`kehu why`: a decision explained by the rules, grants and assignments that make or miss it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.layout import time_text
from cli.options import Person
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run


@command(
    app,
    "why",
    needs=Needs.KEY,
    example="kehu why li-wei read customers/c-1f… --field phone --as admin",
    json_keys=(
        "person",
        "action",
        "table",
        "record",
        "field",
        "purpose",
        "allowed",
        "fields",
        "code",
        "verdict",
        "grounds",
        "left_out",
        "assigned",
        "projects",
        "transaction",
        "height",
    ),
    exits=SIGNED,
)
async def why(
    run: Run,
    person: Person,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="read, change, contact or export.")],
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="TABLE/RECORD, TABLE/* for all records, or a customer's id.")
    ],
    field: Annotated[
        str | None, typer.Option("--field", metavar="FIELD", help="Which field (default: whether any).")
    ] = None,
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="WORD", help="For which purpose (default: none).")
    ] = None,
) -> Answer:
    """Explain why somebody may or may not do something: every rule and grant that could allow it, and its misses.

    Grants that expired or were revoked are named too; where the record is in no scope, which ties would bring it in.

    About yourself, or as an administrator about anybody; the question goes on the ledger. Exit code 1 if you may not
    ask, not if the answer is no. Without --field the answer is yes if it is yes for any field, and says for which.
    """
    from chain.transaction import Call

    table, slash, record = resource.partition("/")
    table, record = (table, record) if slash else ("customers", resource)
    args: dict[str, Any] = {"person": person, "action": action, "table": table, "record": record}
    args |= {"field": field, "purpose": purpose}
    async with run.client() as client:
        committed = await client.execute([Call("access.why", args)])
    told = committed.result()
    data = {**told, **_answer(told), "transaction": committed.transaction_id, "height": committed.height}
    return Answer(data, lambda screen: _show(screen, data), Exit.REFUSED if data["verdict"] is None else Exit.OK)


def _answer(told: dict[str, Any]) -> dict[str, Any]:
    """Whether the answer is yes, for which fields, and the code that says why not. The call's own `allowed` says
    whether one may ask, which nobody who reads "allowed" beside an action would think."""
    verdict = told["verdict"]
    if verdict is None:
        return {"allowed": False, "fields": None}
    fits = [set(ground["terms"]["fields"]) for ground in told["grounds"] if not ground["misses"]]
    fields = set().union(*fits) if verdict["allowed"] else set()
    if "*" in fields:
        fields = {"*"}
    if told["field"] is not None:
        fields = {told["field"]} if verdict["allowed"] else set()
    return {"allowed": verdict["allowed"], "fields": sorted(fields), "code": verdict["code"]}


def _show(screen: Screen, data: dict[str, Any]) -> None:
    from cli.shown import show_refusal

    verdict = data["verdict"]
    if verdict is None:
        show_refusal(screen, data["code"])
        return
    which = "every field" if data["fields"] == ["*"] else ", ".join(data["fields"])
    screen.line(f"Yes, by {verdict['because']}, for {which}" if verdict["allowed"] else f"No: {verdict['code']}")
    screen.table(
        ("ground", "actions", "fields", "of", "purpose", "misses"),
        [
            (
                ground["name"],
                ", ".join(ground["terms"]["actions"]),
                ", ".join(ground["terms"]["fields"]),
                f"{ground['terms']['table']} {ground['terms']['scope']}",
                ground["terms"].get("purpose"),
                ", ".join(map(_miss(ground), ground["misses"])) or "nothing: it allows",
            )
            for ground in data["grounds"]
        ],
    )
    if data["left_out"]:
        screen.line(f"And {data['left_out']} more that do not allow it.")
    screen.line(f"Assigned to: {', '.join(data['assigned']) or 'nobody'}")
    screen.line(f"Belongs to projects: {', '.join(data['projects']) or 'none'}")


def _miss(ground: dict[str, Any]) -> Callable[[str], str]:
    """What a ground misses, with what it would take, or when it ended."""
    terms = ground["terms"]
    more = {
        "scope": " or ".join(ground["ties"]),
        "expired": time_text(terms.get("expires_ms")),
        "revoked": time_text(terms.get("revoked_ms")),
    }
    return lambda miss: f"{miss} ({more[miss]})" if miss in more else miss
