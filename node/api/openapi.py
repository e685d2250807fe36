"""openapi.json, made from the route table and the models, so that it can't say anything else than they do."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from node.api.models import Problem
from node.api.policy import Route
from node.api.problems import MEDIA_TYPE

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REFERENCE: Final = "#/components/schemas/{model}"


def openapi_document(routes: tuple[Route, ...], version: str) -> dict[str, Any]:
    """OpenAPI 3.1 as JSON values."""
    models = {model for route in routes for model in (route.body, route.answer) if model is not None} | {Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kehu node", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": {"signature": _SIGNATURE}},
    }


_SIGNATURE: Final = {
    "type": "apiKey",
    "in": "header",
    "name": "Signature",
    "description": "HTTP message signature (RFC 9421) of a person's Ed25519 key; docs/spec/http-signatures.md",
}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__name__}_{route.path.strip('/').replace('/', '_')}".replace("{", "").replace(
            "}", ""
        ),
        "summary": route.summary,
        "x-kehu-policy": route.policy.value,
        "security": [{"signature": []}] if route.policy.is_signed else [],
        "parameters": _parameters(route),
        "responses": {
            "200": {"description": "the answer", "content": {route.answer_type: _schema(route.answer)}},
            "default": {"description": "a problem (RFC 9457)", "content": {MEDIA_TYPE: _schema(Problem)}},
        },
    }
    if route.body_types:
        content = {kind: _schema(route.body if kind.endswith("json") else None) for kind in route.body_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(route.path)
    ]
    in_query = [
        {"name": item.name, "in": "query", "description": item.text, "schema": {"type": item.kind}}
        for item in route.parameters
    ]
    return in_path + in_query


def _schema(model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {"schema": {"type": "string", "format": "binary"}}
    return {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}
