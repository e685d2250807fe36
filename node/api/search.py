"""Searching by personal values. The query travels in a body and stays here; the chain has its digest only.

What was found stands in a transaction of this node's before the answer leaves, so whoever asks learns nothing that is
not on the record; the values are then asked for like those of any read.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.api.context import answer, context_of, read_model
from node.api.models import QueryBody, SearchAnswer, SearchBody
from node.api.policy import JSON, Policy, Route, person_of
from node.search.query import Filter, Query


async def answer_search(request: web.Request) -> web.Response:
    body, person = await read_model(request, SearchBody), person_of(request)
    salt, query = bytes.fromhex(body.salt), _query(body.query)
    found = await context_of(request).node.search(person.key, person.id, body.search, salt, query)
    return answer(SearchAnswer(transaction=found.transaction_id.hex(), height=found.height, next=found.next))


def _query(body: QueryBody) -> Query:
    """Errors: search.query."""
    where = tuple(Filter(one.kind, one.name, one.text) for one in body.where)
    return Query(where, (body.sort.kind, body.sort.name), body.descending, body.after)


ROUTES: Final = (
    Route(
        "POST",
        "/v1/search",
        Policy.PERSON,
        answer_search,
        "Have a search that you put on the record (access.search) answered",
        SearchAnswer,
        SearchBody,
        body_types=(JSON,),
    ),
)
