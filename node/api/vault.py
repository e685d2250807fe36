"""The state of the department's vault: what it holds, what it lacks and who could give it. Never a value."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.api.context import answer, context_of
from node.api.models import Height, Model
from node.api.policy import Parameter, Policy, Route
from node.api.queries import read_name, read_uint

_PAGE_DEFAULT: Final = 50


class TableCounts(Model):
    """Values of one table: held; lacking though the department may hold them; held though it may not any more."""

    live: int
    missing: int
    surplus: int


class MissingValue(Model):
    """`entitled`: the other departments that may hold it; of these, `held_by` say that they do and `silent` did not
    answer."""

    table: str
    record: str
    field: str
    version: int
    entitled: list[str]
    held_by: list[str]
    silent: list[str]


class VaultAnswer(Model):
    """`is_examined`: every record was looked at since the last change that concerns whole tables."""

    department: str
    height: Height
    is_examined: bool
    tables: dict[str, TableCounts]
    live_values: int
    staged_transactions: int
    staged_values: int
    erased_records: int
    missing: list[MissingValue]
    next: str | None


async def show_vault(request: web.Request) -> web.Response:
    context = context_of(request)
    size = min(max(1, read_uint(request, "limit", _PAGE_DEFAULT)), context.limits.page_max)
    return answer(VaultAnswer.model_validate(await context.node.vault_report(read_name(request, "after"), size)))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/vault",
        Policy.OPERATOR,
        show_vault,
        "What the department's vault holds by table, and a page of what it lacks with the departments that hold it",
        VaultAnswer,
        parameters=(
            Parameter("after", "string", "the missing value after which the page begins, as TABLE.RECORD.FIELD"),
            Parameter("limit", "integer", "how many at most"),
        ),
    ),
)
