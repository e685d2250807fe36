"""The route table (S18): every route has a policy, is served, is described, and there are no others."""

from __future__ import annotations

import re

import pytest
from aiohttp import web

from chain.errors import InvariantError
from node.api.app import ROUTES, make_app
from node.api.policy import Policy, Route, route_table
from tests.node.api.conftest import Api
from tests.node.api.fake_node import Clock, FakeNode

PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v1/status"),
    ("GET", "/v1/why"),
    ("GET", "/v1/genesis"),
    ("GET", "/v1/membership"),
    ("GET", "/v1/protocol"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/blocks/{height}"),
    ("GET", "/v1/export"),
    ("GET", "/v1/transactions/{id}"),
    ("GET", "/v1/transactions/{id}/proof"),
}


def test_what_is_served_is_the_route_table_and_nothing_else() -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in make_app(FakeNode(), Clock()).router.routes()
        if route.resource is not None
    }
    assert served == {route.key for route in ROUTES}


def test_only_the_routes_meant_to_be_public_are() -> None:
    assert {route.key for route in ROUTES if route.policy is Policy.PUBLIC} == PUBLIC
    assert {route.key for route in ROUTES if route.policy is Policy.ENVELOPE} == {("POST", "/v1/transactions")}


def test_nothing_that_changes_anything_is_public() -> None:
    assert all(route.method == "GET" for route in ROUTES if route.policy is Policy.PUBLIC)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_does_without_a_signature_exactly_what_its_policy_says(api: Api, route: Route) -> None:
    if route.key == ("GET", "/v1/events"):
        assert route.policy is Policy.PERSON
    path = re.sub(r"\{\w+\}", "1", route.path)
    headers = {"Content-Type": "application/json"} if route.body_types else {}
    answer = await api.request(route.method, path, b"{}" if route.body_types else None, headers)
    is_refused = answer.status == 401 and answer.code == "auth.required"
    assert is_refused == route.policy.is_signed


async def test_a_route_that_was_added_past_the_table_is_not_served(api: Api) -> None:
    async def leak(_request: web.Request) -> web.Response:
        return web.Response(text="secret")

    table = route_table(ROUTES)
    assert ("GET", "/debug") not in table
    node = FakeNode()
    app = make_app(node, node.clock)
    app.router.add_get("/debug", leak)
    from node.api.server import serve

    server = await serve(app, "127.0.0.1", 0)
    try:
        async with api.session.get(f"http://127.0.0.1:{server.port}/debug") as response:
            assert response.status == 500
            assert "secret" not in await response.text()
    finally:
        await server.close()
    assert isinstance(node.failures[0], InvariantError)


def test_two_routes_of_one_place_are_a_defect() -> None:
    with pytest.raises(InvariantError):
        route_table((ROUTES[0], ROUTES[0]))


async def test_the_description_has_every_route_with_its_policy_and_models(api: Api) -> None:
    document = (await api.request("GET", "/v1/openapi.json")).json
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {route.key for route in ROUTES}
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["x-kehu-policy"] == route.policy.value
        assert bool(operation["security"]) == route.policy.is_signed
        assert ("requestBody" in operation) == bool(route.body_types)
        named = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", route.path))
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert references <= set(document["components"]["schemas"])
    assert "Problem" in references
    identifiers = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "http.no_route"),
        ("GET", "/v1/state/people", 404, "http.no_route"),
        ("GET", "/metrics", 404, "http.no_route"),
        ("GET", "/v1/..%2f..%2fetc/passwd", 404, "http.no_route"),
        ("DELETE", "/v1/status", 405, "http.method"),
        ("HEAD", "/v1/status", 405, None),
        ("GET", "/v1/phone/attest", 405, "http.method"),
        ("PUT", "/v1/transactions", 405, "http.method"),
    ],
)
async def test_what_is_not_a_route_is_a_problem_too(
    api: Api, method: str, path: str, status: int, code: str | None
) -> None:
    answer = await api.request(method, path)
    assert answer.status == status
    assert code is None or answer.code == code
    assert status != 405 or answer.headers["Allow"]
