"""Asking the carrier, for people who record customers. The number travels in bodies only, never in a URL."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from chain import codec
from chain.attestation import leading_answer
from contracts.people.attestations import attestations_of
from node.api.context import answer, context_of, read_model
from node.api.models import AttestAnswer, AttestBody, CheckAnswer, CheckBody, DueAnswer, DueItem
from node.api.policy import JSON, Parameter, Policy, Route, person_of
from node.api.queries import read_uint

_PAGE_DEFAULT: Final = 200
DUE_PAGE_MAX: Final = 1_000


async def attest_phone(request: web.Request) -> web.Response:
    """A gateway's signed answer about a number that is about to be recorded."""
    body = await read_model(request, AttestBody)
    heard = await context_of(request).node.attest_phone(
        person_of(request).key,
        body.customer,
        body.phone,
        bytes.fromhex(body.phone_salt),
    )
    return answer(
        AttestAnswer(
            attestation=codec.encode(heard.attestation).hex(),
            outcome=leading_answer(attestations_of(heard.attestation)).outcome,
            reason=heard.reason,
        )
    )


async def check_phone(request: web.Request) -> web.Response:
    """Has a recorded number checked again, unless a recent answer will do."""
    body = await read_model(request, CheckBody)
    checked = await context_of(request).node.check_phone(person_of(request).key, body.customer, body.max_age_ms)
    return answer(CheckAnswer.model_validate(dict(checked)))


async def list_due(request: web.Request) -> web.Response:
    """Whose numbers should be checked again, of those that the person may have checked."""
    after = read_uint(request, "after", 0)
    limit = min(max(1, read_uint(request, "limit", _PAGE_DEFAULT)), DUE_PAGE_MAX)
    page = await context_of(request).node.due_phones(person_of(request).key, after, limit)
    items = [
        DueItem(
            customer=due.customer,
            sequence=due.sequence,
            status=due.status,
            checked_ms=due.checked_ms,
            asked_ms=due.asked_ms,
        )
        for due in page.items
    ]
    return answer(DueAnswer(items=items, next=page.next, sweep_age_ms=page.sweep_age_ms))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/phone/attest",
        Policy.OPERATOR,
        attest_phone,
        "Ask the carrier about a number that is about to be recorded",
        AttestAnswer,
        AttestBody,
        body_types=(JSON,),
    ),
    Route(
        "POST",
        "/v1/phone/check",
        Policy.OPERATOR,
        check_phone,
        "Have a recorded number checked again",
        CheckAnswer,
        CheckBody,
        body_types=(JSON,),
    ),
    Route(
        "GET",
        "/v1/phone/due",
        Policy.OPERATOR,
        list_due,
        "Customers whose numbers are due to be checked again",
        DueAnswer,
        parameters=(
            Parameter("after", "integer", "the sequence number after which the page begins"),
            Parameter("limit", "integer", "how many at most"),
        ),
    ),
)
