"""Who may use a route. Every route has a policy in its own line; one without can't be made.

`authorise` stands before every handler: it refuses a body where none belongs, and authenticates
before a byte of the body is read or anything is done. What the person may then see or change, the contracts say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import hdrs, web
from pydantic import BaseModel

from chain.errors import InvariantError, KehuError, define
from contracts.deciding.subjects import ADMINISTRATOR, CUSTOMER, ROLES, WORKING_ROLES
from node.api.authentication import Authenticator
from node.api.people import PERSON, Person
from node.api.problems import HTTP_MEDIA_TYPE
from node.api.signature_terms import Message

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"
BINARY: Final = "application/octet-stream"
EVENT_STREAM: Final = "text/event-stream"

AUTH_ROLE = define(
    "auth.role",
    "this route is not for people of this role",
    "ask the administration for a role that includes it, or have a colleague do it",
)
HTTP_BODY = define("http.body", "this route takes no body", "send the request without one")


class Policy(Enum):
    """`PUBLIC`: anybody, facts without personal data. `ENVELOPE`: anybody, because each transaction carries its own
    signature and is refused without it. `PERSON`: an active person who works in this department signed the request.
    `READER`: such a person, or a customer, who is served by the administration. `OPERATOR`: such a person who records
    customers. `ADMINISTRATOR`: one who administers. The value is what openapi.json says."""

    PUBLIC = "public"
    ENVELOPE = "signed transactions"
    PERSON = "signed by a person of this department"
    READER = "signed by a person of this department or a customer"
    OPERATOR = "signed by an operator or administrator of this department"
    ADMINISTRATOR = "signed by an administrator"

    @property
    def is_signed(self) -> bool:
        return self in _ROLES


_ROLES: Final[Mapping[Policy, tuple[str, ...]]] = {
    Policy.PERSON: ROLES,
    Policy.READER: (*ROLES, CUSTOMER),
    Policy.OPERATOR: WORKING_ROLES,
    Policy.ADMINISTRATOR: (ADMINISTRATOR,),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, for openapi.json; `kind` is its JSON schema type."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the route table. `body` and `answer` are what openapi.json shows and `bodies` checks."""

    method: str
    path: str
    policy: Policy
    handler: Handler
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer_type: str = JSON
    body_types: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path


RouteTable = Mapping[tuple[str, str], Route]


def route_table(routes: tuple[Route, ...]) -> RouteTable:
    """Routes by method and path. Raises `InvariantError` for two of the same."""
    table = {route.key: route for route in routes}
    if len(table) != len(routes):
        raise InvariantError("two routes have the same method and path")
    return table


def route_of(request: web.Request, table: RouteTable) -> Route | None:
    """The route that was matched; None where aiohttp will answer 404 or 405. One outside the table is a defect."""
    if request.match_info.http_exception is not None:
        return None
    resource = request.match_info.route.resource
    route = table.get((request.method, resource.canonical if resource else ""))
    if route is None:
        raise InvariantError("a route was matched that has no policy")
    return route


async def authorise(request: web.Request, route: Route, authenticator: Authenticator) -> None:
    """Raises unless this request may go to its handler. Errors: http.body, http.media_type, auth.*."""
    _require_form(request, route)
    if not route.policy.is_signed:
        return
    message = Message(request.method, f"http://node{request.raw_path}", _Lines(request))
    person = await authenticator.authenticate(message, has_body=request.can_read_body)
    if person.role not in _ROLES[route.policy]:
        raise KehuError(AUTH_ROLE, role=person.role)
    request[PERSON] = person


def person_of(request: web.Request) -> Person:
    """Who called; only for handlers whose route is signed."""
    person: Person | None = request.get(PERSON)
    if person is None:
        raise InvariantError("a handler asked for the person of a route that is not signed")
    return person


def _require_form(request: web.Request, route: Route) -> None:
    if request.can_read_body and not route.body_types:
        raise KehuError(HTTP_BODY)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise KehuError(HTTP_MEDIA_TYPE, expected="no Content-Encoding")
    if route.body_types and request.content_type not in route.body_types:
        raise KehuError(HTTP_MEDIA_TYPE, expected=" or ".join(route.body_types))


class _Lines(dict[str, str]):
    """A request's headers with repeated ones joined as RFC 9421, section 2.1, says."""

    def __init__(self, request: web.Request) -> None:
        joined: dict[str, str] = {}
        for name, value in request.headers.items():
            joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
        super().__init__(joined)
