"""The values behind a committed access call. They leave the vault here and nowhere else.

The access stands on the chain before this is asked; `NodeFacade.disclose` checks that it does, that this key made
it, and which fields the departments allowed. The request is signed with the same key, so a receipt id alone, which
is public, opens nothing.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.api.context import answer, context_of
from node.api.models import ValueBody, ValuesAnswer
from node.api.policy import Policy, Route, person_of
from node.api.queries import read_digest


async def show_values(request: web.Request) -> web.Response:
    id_ = read_digest(request, "id")
    disclosed = await context_of(request).node.disclose(id_, person_of(request).key)
    values = [
        ValueBody(table=item.table, record=item.record, field=item.field, salt=item.salt.hex(), value=item.value)
        for item in disclosed
    ]
    return answer(ValuesAnswer(transaction=id_.hex(), values=values))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/transactions/{id}/values",
        Policy.READER,
        show_values,
        "The values that this committed access call of yours was allowed to see",
        ValuesAnswer,
    ),
)
