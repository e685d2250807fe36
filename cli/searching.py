"""Searching by values: the search goes on the ledger, the node answers it there, and what comes is checked."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.codec import Check
from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from chain.transaction import Call
from cli.client import OUTCOME_UNKNOWN, NodeClient
from cli.records import RecordShown, disclose, read_fields
from cli.transport import NODE_ANSWER_MALFORMED
from cli.verify import Committed
from contracts.base import is_department_id, is_subject
from contracts.records import SEQUENCES
from node.search.query import SWITCH, Filter, Query

FACTS: Final = ("status", "reason", "state", "role")
"""Filters by public facts; everything else that is not listed below is a personal field."""
PLACES: Final = ("organisation", "department")
"""Facts everywhere but in customers, where they are what somebody wrote down."""
REGISTERED: Final = ("fact", "sequence")
PAYMENTS: Final = "payments"
DUE: Final = ("fact", "due_ms")

FILTER_MALFORMED = define(
    "usage.filter",
    "a filter is written NAME=VALUE: a field's beginning, or status, reason, assigned, stage, or overdue of payments",
    "write name=王, phone=138, status=valid, assigned=person:li-wei, stage=finance or overdue=true (or false); quote "
    "values with spaces",
)
AFTER_MALFORMED = define(
    "usage.after",
    "a plain list goes on after a number, a filtered or sorted one after a record",
    "give --after what the page before named as next, with the same filters and order",
)
SEARCH_OTHER = define(
    "proof.other_search",
    "what the node calls the answer to this search is none, or another one's",
    "don't rely on the answer; report the node",
)


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: the record, or in a plain list the number, to go on after; `committed` is the transaction in which the
    answer stands."""

    records: list[RecordShown]
    next: str | int | None
    committed: Committed


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of a table on the command line. `text`: the beginning of its first field, or of a number."""

    text: str | None = None
    filters: Sequence[str] = ()
    filters_file: Path | None = None
    sort: str | None = None
    is_descending: bool = False
    after: str | None = None
    region: str | None = None

    def query(self, table: str, first: str = "name") -> Query:
        """Errors: usage.filter, usage.field, usage.fields_file, search.query."""
        given = [f"{name}={value}" for name, value in read_fields(list(self.filters), self.filters_file).items()]
        where = read_filters(given, self.region, table)
        if self.text is not None:
            where = (read_text(self.text, self.region, table, first), *where)
        order = read_sort(self.sort or ("registered" if table in SEQUENCES else "id"), table)
        return Query(where, order, self.is_descending, self.after)

    @property
    def is_plain(self) -> bool:
        """Whether it is all records in the order in which they were registered."""
        return (
            self.text is None
            and not self.filters
            and self.filters_file is None
            and self.sort is None
            and (not self.is_descending)
        )


def read_filters(given: Sequence[str], region: str | None = None, table: str = "customers") -> tuple[Filter, ...]:
    """NAME=VALUE texts. Numbers may lack the country code, which is then the region's. Errors: usage.filter."""
    return tuple(_filter(position, text, region, table) for position, text in enumerate(given))


def _filter(position: int, text: str, region: str | None, table: str) -> Filter:
    name, equals, value = text.partition("=")
    if not equals or not value.strip() or re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) is None:
        raise KehuError(FILTER_MALFORMED, position=position)
    if name == "assigned":
        return Filter("assigned", "", _could_be(is_subject, value if ":" in value else f"person:{value}", position))
    if name == "stage":
        return Filter("stage", "", _could_be(is_department_id, value, position))
    if name == "overdue" and table == PAYMENTS:
        if value not in SWITCH:
            raise KehuError(FILTER_MALFORMED, position=position)
        return Filter("overdue", "", value)
    if _is_fact(name, table):
        return Filter("fact", name, value)
    return Filter("field", name, phone_start(value, region) if name == "phone" else value)


def _could_be(check: Check, text: str, position: int) -> str:
    """`text`, unless it can't be what is looked for: that would find nothing, and say nothing of why."""
    if not check(text):
        raise KehuError(FILTER_MALFORMED, position=position)
    return text


def _is_fact(name: str, table: str) -> bool:
    return name in FACTS or (name in PLACES and table != "customers")


def phone_start(text: str, region: str | None = None) -> str:
    """The beginning of a number as it is recorded, +country and digits: of a whole number in any spelling that would
    be recorded too, of its beginning without blanks, dashes and the leading 0 that is dialled inside the country.
    Errors: phone.region."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    from node.carrier.numbers import DEFAULT_REGION, PHONE_REGION, parse_number, plain_spelling

    home = (region or DEFAULT_REGION).upper()
    try:
        return parse_number(text, home)
    except KehuError as error:
        if error.spec is PHONE_REGION:
            raise
    digits = re.sub(r"[\s()./-]", "", plain_spelling(text))
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if digits.startswith("+"):
        return digits
    codes = {name: code for code, names in COUNTRY_CODE_TO_REGION_CODE.items() for name in names}
    country = codes[home]
    return f"+{country}{digits if country == 39 else digits.removeprefix('0')}"  # Italy's 0 is part of the number


def read_text(text: str, region: str | None = None, table: str = "customers", first: str = "name") -> Filter:
    """What somebody types to search: of people and customers a number or an email if it looks like one, else how the
    table's first field begins."""
    if table in ("customers", "people") and _looks_like_number(text):
        return Filter("field", "phone", phone_start(text, region))
    if table in ("customers", "people") and re.fullmatch(r"\S+@\S*", text.strip()):
        return Filter("field", "email", text)
    return Filter("field", first, text)


def _looks_like_number(text: str) -> bool:
    from node.carrier.numbers import plain_spelling

    return re.fullmatch(r"(?=.*\d)\+?[\d\s()./-]{3,}", plain_spelling(text)) is not None


def read_sort(name: str, table: str = "customers") -> tuple[str, str]:
    """A field's name, a fact's, "registered", "id", or of payments "due". Errors: usage.filter."""
    if name == "registered":
        return REGISTERED
    if table == PAYMENTS and name in ("due", DUE[1]):
        return DUE
    if re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) is None:
        raise KehuError(FILTER_MALFORMED, position=0)
    return ("id", "") if name == "id" else ("fact" if _is_fact(name, table) or name == "stage" else "field", name)


async def find_page(
    client: NodeClient, of: tuple[str, str], asked: Asked, fields: list[str], limit: int, purpose: str
) -> Page:
    """One page of a table: read off in order where nothing is filtered or sorted, searched for otherwise. `of`: the
    table, and its field that a text is the beginning of.

    Errors: usage.after, and those of `search`.
    """
    table = of[0]
    if table not in SEQUENCES or not asked.is_plain:
        return await search(client, table, asked.query(*of), fields, limit, purpose)
    if not (asked.after or "0").isdecimal():
        raise KehuError(AFTER_MALFORMED)
    args = {"table": table, "after": int(asked.after or "0"), "limit": limit, "fields": fields, "purpose": purpose}
    committed = await client.execute([Call("access.list", args)])
    result = committed.result()
    return Page(await disclose(client, committed, result["records"]), result["next"], committed)


async def search(client: NodeClient, table: str, query: Query, fields: list[str], limit: int, purpose: str) -> Page:
    """One page. Errors: those of the contracts and the node, proof.*."""
    salt = secrets.token_bytes(SALT_BYTES)
    args: dict[str, Any] = {"table": table, "query": query.digest(client.genesis.chain_id, salt), "over": query.over}
    more = {"fields": fields, "limit": limit, "purpose": purpose}
    recorded = (await client.execute([Call("access.search", args | more)])).result()
    answer = await client.post("/v1/search", _body(recorded["search"], salt, query))
    try:
        transaction_id, following = bytes.fromhex(answer["transaction"]), answer["next"]
    except (KeyError, TypeError, ValueError):
        raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path="/v1/search") from None
    committed = await client.find(transaction_id)
    if committed is None:
        raise KehuError(OUTCOME_UNKNOWN, transaction=transaction_id)
    result = _require_answer(committed, recorded, client.key.public.hex())
    return Page(await disclose(client, committed, result["records"]), following, committed)


def _body(number: int, salt: bytes, query: Query) -> dict[str, Any]:
    where = [{"kind": one.kind, "name": one.name, "text": one.text} for one in query.where]
    sort = {"kind": query.sort[0], "name": query.sort[1]}
    asked = {"where": where, "sort": sort, "descending": query.descending, "after": query.after}
    return {"search": number, "salt": salt.hex(), "query": asked}


def _require_answer(committed: Committed, recorded: dict[str, Any], key: str) -> dict[str, Any]:
    """The result of the node's transaction, if it answers this very search. Errors: proof.other_search."""
    results = committed.require_ok().receipt.results
    result = results[0] if len(results) == 1 and isinstance(results[0], dict) else {}
    expected = recorded | {"key": key}
    if {name: result.get(name) for name in expected} != expected:
        raise KehuError(SEARCH_OTHER, transaction=committed.transaction_id, search=recorded["search"])
    return result
