"""Asking the carrier, for people who record customers. The number travels in bodies only, never in a URL."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from chain import codec
from chain.attestation import Attestation
from node.api.context import answer, context_of, read_model
from node.api.models import AttestAnswer, AttestBody, CheckAnswer, CheckBody
from node.api.policy import JSON, Policy, Route, person_of


async def attest_phone(request: web.Request) -> web.Response:
    """A gateway's signed answer about a number that is about to be recorded."""
    body = await read_model(request, AttestBody)
    heard = await context_of(request).node.attest_phone(
        person_of(request).key,
        body.customer,
        body.phone,
        bytes.fromhex(body.phone_salt),
        bytes.fromhex(body.identifier_salt),
    )
    response = answer(
        AttestAnswer(
            attestation=codec.encode(heard.attestation).hex(),
            outcome=Attestation.from_value(heard.attestation).outcome,
            identifier=heard.identifier,
            reason=heard.reason,
        )
    )
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


async def check_phone(request: web.Request) -> web.Response:
    """Has a recorded number checked again, unless a recent answer will do."""
    body = await read_model(request, CheckBody)
    checked = await context_of(request).node.check_phone(person_of(request).key, body.customer, body.max_age_ms)
    return answer(CheckAnswer.model_validate(dict(checked)))


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
)
