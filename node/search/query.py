"""What somebody looks for: filters, an order, and the record after which a page begins.

The query itself stays between the reader and the own department's node. The chain has its salted digest, so that
afterwards it can be shown what was asked, and the node can answer nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from chain import codec
from chain.crypto import digest
from chain.errors import KehuError, define

FILTERS_MAX: Final = 8
TEXT_MAX: Final = 256

Kind = Literal["field", "fact", "assigned", "stage", "overdue"]
SWITCH: Final = ("true", "false")

SEARCH_QUERY = define(
    "search.query",
    "a part of the query is not of the form that a query has",
    "compare the named part with docs/api.md",
)


@dataclass(frozen=True, slots=True)
class Filter:
    """field: the value of field `name` begins with `text`. fact: the public fact `name` is `text`. assigned: the record
    is assigned to the subject `text`. stage: it is reached through a project in the hands of the department `text`.
    overdue: it is a payment that is overdue ("true") or is not ("false") at the time of the block that has the search.
    Of the latter three `name` is empty."""

    kind: Kind
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """`sort`: kind ("field", "fact" or "id") and name; records without such a value are not found. `after`: a record.

    Errors: search.query.
    """

    where: tuple[Filter, ...]
    sort: tuple[str, str]
    descending: bool = False
    after: str | None = None

    def __post_init__(self) -> None:
        if len(self.where) > FILTERS_MAX:
            raise KehuError(SEARCH_QUERY, part="where", limit=FILTERS_MAX)
        for position, one in enumerate(self.where):
            if len(one.text) > TEXT_MAX or not _has_utf8(one.text):
                raise KehuError(SEARCH_QUERY, part="where", position=position, limit=TEXT_MAX)
            if one.kind == "overdue" and one.text not in SWITCH:
                raise KehuError(SEARCH_QUERY, part="where", position=position, expected=" or ".join(SWITCH))

    @property
    def over(self) -> list[str]:
        """The personal fields that it filters and sorts by, in order of name."""
        named = {one.name for one in self.where if one.kind == "field"}
        return sorted(named | ({self.sort[1]} if self.sort[0] == "field" else set()))

    def to_value(self) -> codec.Value:
        return {
            "where": [[one.kind, one.name, one.text] for one in self.where],
            "sort": list(self.sort),
            "descending": self.descending,
            "after": self.after,
        }

    def digest(self, chain_id: bytes, salt: bytes) -> bytes:
        """What access.search puts on the chain."""
        return digest("query", codec.encode([chain_id, salt, self.to_value()]))


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
