"""Trying out changes of permissions, for administrators: who would gain or lose what. Nothing is changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiohttp import web

from chain import codec
from chain.transaction import Call
from node.api.context import answer, context_of, read_model
from node.api.models import DifferenceBody, PreviewAnswer, PreviewBody
from node.api.policy import JSON, Policy, Route, person_of


async def preview(request: web.Request) -> web.Response:
    body = await read_model(request, PreviewBody)
    codec.encode([one.args for one in body.calls])  # raises for what no transaction could carry
    calls = [Call(one.name, one.args) for one in body.calls]
    seen = await context_of(request).node.preview(person_of(request).key, calls)
    return answer(
        PreviewAnswer(
            height=seen.height,
            people=seen.people,
            left_out=seen.left_out,
            differences=[DifferenceBody(**asdict(one)) for one in seen.differences],
        )
    )


ROUTES: Final = (
    Route(
        "POST",
        "/v1/permissions/preview",
        Policy.ADMINISTRATOR,
        preview,
        "What changes of permissions would change, for whom; nothing is done",
        PreviewAnswer,
        PreviewBody,
        body_types=(JSON,),
    ),
)
