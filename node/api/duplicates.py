"""Duplicates found at entry: numbers in, ids of customers out that the asker may see anyway."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.api.context import answer, context_of, read_model
from node.api.models import DuplicatesAnswer, DuplicatesBody
from node.api.policy import JSON, Policy, Route, person_of


async def find_duplicates(request: web.Request) -> web.Response:
    body = await read_model(request, DuplicatesBody)
    found = await context_of(request).node.find_duplicates(person_of(request).id, body.phones, body.purpose)
    return answer(DuplicatesAnswer(customers=[list(records) for records in found]))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/customers/duplicates",
        Policy.OPERATOR,
        find_duplicates,
        "Which customers that you may see have these numbers already",
        DuplicatesAnswer,
        DuplicatesBody,
        body_types=(JSON,),
    ),
)
