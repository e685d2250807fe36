"""The API as an aiohttp application: the route table, and what stands between a request and its handler."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import hdrs, web

from chain.errors import InvariantError, KehuError
from contracts.deciding.subjects import CUSTOMER
from node.api import (
    backup,
    duplicates,
    erasures,
    events,
    export,
    phone,
    preview,
    search,
    state,
    status,
    transactions,
    values,
    vault,
)
from node.api.authentication import Authenticator, Clock
from node.api.context import CONTEXT, Context, allow, context_of
from node.api.facade import NodeFacade
from node.api.limits import ApiLimits
from node.api.openapi import openapi_document
from node.api.pace import CustomerPace
from node.api.people import PERSON
from node.api.policy import JSON, Handler, Policy, Route, RouteTable, authorise, route_of, route_table
from node.api.problems import LOG, NODE_FAULT, REQUEST_ID, http_problem, marks, new_request_id, problem_response, whence
from node.api.signature_terms import COMPONENTS, LABEL, TAG
from node.storage.durable import StorageFailure

API_VERSION: Final = "1"
_COVERED: Final = " ".join(f'"{name}"' for name in COMPONENTS)
_ACCEPT_SIGNATURE: Final = f'{LABEL}=({_COVERED});created;expires;nonce;keyid;tag="{TAG}"'
_TABLE: Final[web.AppKey[RouteTable]] = web.AppKey("route_table")
_OPENAPI: Final = web.AppKey("openapi", bytes)

Observe = Callable[[str, str, int, float], None]
"""Told of every answer: method, route (never the path as sent), status, seconds."""
_OBSERVE: Final[web.AppKey[Observe]] = web.AppKey("observe")


def _unobserved(_method: str, _route: str, _status: int, _seconds: float) -> None:
    """Nobody counts."""


async def show_openapi(request: web.Request) -> web.Response:
    return web.Response(body=request.app[_OPENAPI], content_type=JSON)


ROUTES: Final[tuple[Route, ...]] = (
    *status.ROUTES,
    *transactions.ROUTES,
    *values.ROUTES,
    *search.ROUTES,
    *preview.ROUTES,
    *duplicates.ROUTES,
    *phone.ROUTES,
    *vault.ROUTES,
    *erasures.ROUTES,
    *state.ROUTES,
    *export.ROUTES,
    *backup.ROUTES,
    *events.ROUTES,
    Route("GET", "/v1/openapi.json", Policy.PUBLIC, show_openapi, "This description"),
)


def make_app(
    node: NodeFacade, clock: Clock, limits: ApiLimits | None = None, observe: Observe = _unobserved
) -> web.Application:
    """The API of `node`; `clock` gives Unix time in ms. To be served by `server.serve`, which adds the deadlines."""
    limits = limits or ApiLimits()
    app = web.Application(middlewares=[_answer], client_max_size=limits.body_bytes_max)
    pace = CustomerPace(limits.customer_requests_per_minute)
    app[CONTEXT] = Context(node, clock, limits, Authenticator(node, clock), pace)
    app[_TABLE] = route_table(ROUTES)
    app[_OBSERVE] = observe
    app[_OPENAPI] = json.dumps(openapi_document(ROUTES, API_VERSION), ensure_ascii=False).encode()
    app[export.SLOTS] = export.export_slots(limits)
    app[backup.SLOTS] = backup.backup_slots()
    app[events.HUB] = events.Hub(node, limits)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler, expect_handler=_expect_nothing)
    app.cleanup_ctx.append(_events)
    app.on_shutdown.append(_end_streams)
    app.on_response_prepare.append(_mark)
    return app


async def _expect_nothing(_request: web.Request) -> None:
    """`bodies.read_body` asks for the body (100 Continue) once the request is authorised, not aiohttp before it."""


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    if REQUEST_ID in request:  # otherwise `server` has refused it before it came here, and marked that
        response.headers.update(marks(request[REQUEST_ID]))


async def _events(app: web.Application) -> AsyncIterator[None]:
    app[events.HUB].start()
    yield
    await app[events.HUB].close()


async def _end_streams(app: web.Application) -> None:
    await app[events.HUB].close()


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Names the request, has it answered and counted."""
    begun = time.monotonic()
    request[REQUEST_ID] = new_request_id()
    allow(request, context_of(request).limits.request_s)
    response = await _authorise_and_handle(request, handler)
    resource = request.match_info.route.resource
    path = "unmatched" if resource is None else resource.canonical
    method = request.method if request.method in hdrs.METH_ALL else "other"
    request.app[_OBSERVE](method, path, response.status, time.monotonic() - begun)
    return response


async def _authorise_and_handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever is refused into a problem document."""
    context = context_of(request)
    try:
        route = route_of(request, request.app[_TABLE])
        if route is not None:
            await authorise(request, route, context.authenticator)
            person = request.get(PERSON)
            if person is not None and person.role == CUSTOMER:
                context.pace.take(person.key, context.clock())
        return await handler(request)
    except ConnectionError:
        raise  # the client is gone
    except Exception as error:
        return _refused(request, error)


def _refused(request: web.Request, error: Exception) -> web.Response:
    context = context_of(request)
    shown = _shown(request, error)
    if isinstance(error, (InvariantError, StorageFailure)):
        context.node.fail(error)
    if request.writer.output_size:
        raise ConnectionResetError  # the answer has begun: cutting it short is the one way left to say no
    response = problem_response(shown, request[REQUEST_ID], context.limits.retry_after_s)
    if response.status == 401:
        response.headers["Accept-Signature"] = _ACCEPT_SIGNATURE
    if isinstance(error, web.HTTPException) and hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    if request.can_read_body:
        response.force_close()  # what is left of the body is not read, so the connection can't go on
    return response


def _shown(request: web.Request, error: Exception) -> KehuError:
    """The error as a client may see it; what was not foreseen goes to the log, by its place and without its text."""
    if isinstance(error, KehuError):
        return error
    if isinstance(error, web.HTTPException):
        return http_problem(error)
    LOG.error("request %s failed: %s", request[REQUEST_ID], whence(error))
    return KehuError(NODE_FAULT)
