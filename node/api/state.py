"""The committed state, for people of this department: one value with its proof, or a page of a table.

What stands in the state is public within the network: ids, digests, roles, grants, versions, times, who read what.
Personal values are not in it. Tables are named here one by one, so that a new one is not shown by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from aiohttp import web

from chain import light
from chain.errors import KehuError, define
from chain.state import View, decode_value, state_key
from contracts.deciding.own import is_own_entry
from contracts.deciding.permissions import Resource, may
from contracts.deciding.subjects import CUSTOMER, subject_of_person
from contracts.reading.trails import LOGS
from contracts.records import RECORD_TABLES, SEQUENCES
from node.api.context import answer, context_of
from node.api.facade import NodeFacade
from node.api.models import ListAnswer, ListItem, StateAnswer
from node.api.people import Person
from node.api.policy import Handler, Parameter, Policy, Route, person_of
from node.api.queries import read_choice, read_name, read_uint, require_name
from node.api.transactions import to_json

LISTED: Final = (
    "assignments",
    "customers",
    "departments",
    "erasures",
    "evidence",
    "gateways",
    "grants",
    "people",
    "proposals",
)
"""Tables that can be paged through."""
SHOWN: Final = frozenset(LISTED) | {
    "accesses",
    "answers",
    "changes",
    "counters",
    "holds",
    "invitations",
    "governance",
    "keys",
    "memberships",
    "logins",
    "grant_limits",
    "policy",
    "protocol",
    "granted_projects",
    "scope_grants",
    "subject_grants",
    "validators",
    "entries",
    "superiors",
    "ties",
    "uses",
    "versions",
    *RECORD_TABLES,
    *SEQUENCES.values(),
}
_PAGE_DEFAULT: Final = 50

STATE_UNKNOWN_TABLE = define(
    "state.unknown_table",
    "the state has no table of this name that is shown",
    "the tables are listed in docs/spec/contracts.md",
)
STATE_NOT_CERTIFIED = define(
    "state.not_certified",
    "the state is still that of genesis, which no certificate covers",
    "ask for a proof once the first block is committed; genesis itself follows from its file",
)


STATE_BY_LOG = define(
    "state.by_log",
    "who logged in, read or changed what is told to those who may know it, and telling it is on the record",
    "use `kehu log` (access.log), or the record's history",
)
AUTH_NOT_OWN = define(
    "auth.not_own",
    "customers are shown what is their own, and this is not",
    "ask for the entries of your own record; docs/spec/contracts.md lists them",
)


async def show_value(request: web.Request) -> web.Response:
    node = context_of(request).node
    table = request.match_info["table"]
    key = require_name(request.match_info["key"], "key")
    is_proven = read_choice(request, "proof", ("1", "0")) == "1"
    if table not in SHOWN:
        raise KehuError(STATE_UNKNOWN_TABLE)
    _require_shown_to(person_of(request), node, table, key)
    raw = node.ledger.state.get(state_key(table, key))
    shown = StateAnswer(
        table=table,
        key=key,
        height=node.ledger.height,
        value=None if raw is None else to_json(decode_value(raw)),
        raw=None if raw is None else raw.hex(),
    )
    if is_proven:
        shown = shown.model_copy(update={"proof": _proof(node, table, key)})
    return answer(shown)


def _require_shown_to(person: Person, node: NodeFacade, table: str, key: str) -> None:
    """Customers are shown the entries about them, and records of their own that they may read. Errors:
    auth.not_own, state.by_log."""
    if person.role != CUSTOMER:
        if table in LOGS:
            raise KehuError(STATE_BY_LOG, table=table)
        return
    if is_own_entry(person.id, table, key):
        return
    view = View(node.ledger.state.get)
    subject = subject_of_person(view, person.id)
    if not may(view, subject, "read", Resource(table, key), node.now_ms()).allowed:
        raise KehuError(AUTH_NOT_OWN, table=table, key=key)


def _proof(node: NodeFacade, table: str, key: str) -> str:
    head = node.ledger.head
    if head.certificate is None:
        raise KehuError(STATE_NOT_CERTIFIED, height=head.height)
    return light.prove_state(node.ledger.state, head.header, head.certificate, table, key).to_bytes().hex()


def _lister(table: str) -> Handler:
    async def show_page(request: web.Request) -> web.Response:
        context = context_of(request)
        after = read_name(request, "after")
        size = min(max(1, read_uint(request, "limit", _PAGE_DEFAULT)), context.limits.page_max)
        rows = list(islice(_rows_after(context.node, table, after), size + 1))
        items = [ListItem(id=key, facts=_facts(value)) for key, value in rows[:size]]
        following = items[-1].id if len(rows) > size else None
        return answer(ListAnswer(height=context.node.ledger.height, items=items, next=following))

    return show_page


def _rows_after(node: NodeFacade, table: str, after: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    return node.ledger.state.scan(table, after=after or "")


def _facts(value: dict[str, Any]) -> dict[str, Any]:
    """Without the digests of a record's fields; a grant's `fields` are names."""
    kept = {name: item for name, item in value.items() if name != "fields" or isinstance(item, list)}
    facts: dict[str, Any] = to_json(kept)
    return facts


_PAGE: Final = (
    Parameter("after", "string", "the id after which the page begins"),
    Parameter("limit", "integer", "how many at most"),
)

ROUTES: Final = (
    Route(
        "GET",
        "/v1/state/{table}/{key}",
        Policy.READER,
        show_value,
        "One value of the committed state, with proof=1 provable against a certified header",
        StateAnswer,
        parameters=(Parameter("proof", "string", "1 to have a proof, of absence too"),),
    ),
    *(
        Route(
            "GET",
            f"/v1/{table}",
            Policy.PERSON,
            _lister(table),
            f"Ids and public facts: {table}",
            ListAnswer,
            parameters=_PAGE,
        )
        for table in LISTED
    ),
)
