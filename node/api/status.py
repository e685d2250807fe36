"""Health, status, genesis: what anybody may know of a node."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.api.context import answer, context_of
from node.api.models import GenesisAnswer, HealthAnswer, MembershipAnswer, ProtocolAnswer, StatusAnswer, WhyAnswer
from node.api.policy import Policy, Route
from node.members.membership import describe


async def show_health(_request: web.Request) -> web.Response:
    """The process answers; nothing more."""
    return answer(HealthAnswer(status="ok"))


async def show_ready(request: web.Request) -> web.Response:
    """Whether this node can take transactions now; for load balancers and health checks."""
    context = context_of(request)
    if context.node.is_ready:
        return answer(HealthAnswer(status="ready"))
    response = answer(HealthAnswer(status="not ready"), status=503)
    response.headers["Retry-After"] = str(context.limits.retry_after_s)
    return response


async def show_status(request: web.Request) -> web.Response:
    node = context_of(request).node
    head = node.ledger.head
    return answer(
        StatusAnswer(
            network=node.genesis.network,
            chain_id=node.genesis.chain_id.hex(),
            department=node.department,
            height=head.height,
            block_id=head.block_id.hex(),
            block_time_ms=head.header.time_ms,
            state_root=head.header.state_root.hex(),
            now_ms=node.now_ms(),
            node=dict(node.status()),
        )
    )


async def show_why(request: web.Request) -> web.Response:
    """What anybody may know: who is missing, which votes are there, the next timer."""
    return answer(WhyAnswer.model_validate(context_of(request).node.why(is_operator=False)))


async def show_doctor(request: web.Request) -> web.Response:
    """All of it: disks, keys, clocks, vault, refusals too."""
    return answer(WhyAnswer.model_validate(context_of(request).node.why(is_operator=True)))


async def show_membership(request: web.Request) -> web.Response:
    return answer(MembershipAnswer.model_validate(describe(context_of(request).node.ledger)))


async def show_protocol(request: web.Request) -> web.Response:
    return answer(ProtocolAnswer.model_validate(context_of(request).node.protocol()))


async def show_genesis(request: web.Request) -> web.Response:
    genesis = context_of(request).node.genesis
    return answer(GenesisAnswer(chain_id=genesis.chain_id.hex(), genesis=genesis.value))


ROUTES: Final = (
    Route("GET", "/healthz", Policy.PUBLIC, show_health, "Whether the process answers", HealthAnswer),
    Route("GET", "/readyz", Policy.PUBLIC, show_ready, "Whether the node takes transactions; 503 if not", HealthAnswer),
    Route("GET", "/v1/status", Policy.PUBLIC, show_status, "Height, roots, and the node's own state", StatusAnswer),
    Route("GET", "/v1/why", Policy.PUBLIC, show_why, "Why the network does or does not progress", WhyAnswer),
    Route("GET", "/v1/doctor", Policy.PERSON, show_doctor, "Likewise, with what operators should act on", WhyAnswer),
    Route(
        "GET",
        "/v1/membership",
        Policy.PUBLIC,
        show_membership,
        "Departments, faults tolerated, quorum, the change under way, and what made each set",
        MembershipAnswer,
    ),
    Route(
        "GET",
        "/v1/protocol",
        Policy.PUBLIC,
        show_protocol,
        "Which version of the rules counts, which comes, and what each department's software speaks",
        ProtocolAnswer,
    ),
    Route("GET", "/v1/genesis", Policy.PUBLIC, show_genesis, "What the network started from", GenesisAnswer),
)
