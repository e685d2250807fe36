"""Columns, texts and finding: the same answer as a naive look at everything, in order, page by page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto import digest
from chain.errors import KehuError
from node.search.columns import Column, Names, Ties
from node.search.finding import find
from node.search.index import TableIndex
from node.search.query import Filter, Query
from node.search.text import TEXT_MAX, normalise

CHAIN = digest("genesis", b"search tests")


@pytest.mark.parametrize(
    ("typed", "compared"),
    [
        ("  ＡＢＣ  １２３ ", "abc 123"),
        ("Straße", "strasse"),
        ("王\u3000小明", "王小明"),
        ("王 A明", "王 a明"),
        ("Jean\u2011Luc \u2013 Müller", "jean-luc - müller"),
        ("O\u2019Brien", "o'brien"),
        ("o\u00b4brien", "o'brien"),
        ("买买提\u30fb艾力", "买买提\u00b7艾力"),
        ("买买提 \u2022 艾力", "买买提\u00b7艾力"),
        ("王\u200b芳\ufeff", "王芳"),
        ("\u0149", "'n"),
        ("İstanbul", "i\u0307stanbul"),
        ("ﾜﾝ", "ワン"),
        ("a\x00b\u200bc", "a bc"),
        ("", ""),
        ("长" * 100, "长" * TEXT_MAX),
    ],
)
def test_texts_are_compared_by_what_they_look_like(typed: str, compared: str) -> None:
    assert normalise(typed) == compared
    assert normalise(compared) == compared


texts = st.text(st.sampled_from("王小明芳Aa1 "), max_size=4)
changes = st.lists(st.tuples(st.integers(0, 150), st.one_of(st.none(), texts)), max_size=300)


@settings(max_examples=60)
@given(changes, texts, st.booleans(), st.data())
def test_a_column_keeps_its_order_through_all_changes(done: Any, start: str, descending: bool, data: Any) -> None:
    column, naive = Column(Names()), {}
    for number, text in done:
        column.put(f"c{number}", text)
        naive.pop(f"c{number}", None)
        if text:
            naive[f"c{number}"] = text
        if data.draw(st.booleans()):
            column.count(b"")  # settles what is new
    entries = sorted((f"{text}\0{record}".encode() for record, text in naive.items()), reverse=descending)
    walked: list[bytes] = []
    while page := column.slice(b"", walked[-1] if walked else None, 7, descending=descending):
        walked += page
    assert walked == entries
    beginning, walked = [entry for entry in entries if entry.startswith(start.encode())], []
    while page := column.slice(start.encode(), walked[-1] if walked else None, 3, descending=descending):
        walked += page
    assert walked == beginning
    begun = sorted(record for record, text in naive.items() if text.startswith(start))
    assert sorted(column.records(start.encode())) == begun
    assert column.count(start.encode()) == len(begun)
    assert len(column) == len(naive)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.lists(st.sampled_from("abc"), unique=True)), max_size=40))
def test_ties_go_both_ways(done: list[tuple[int, list[str]]]) -> None:
    ties, naive = Ties(Names()), {}
    for number, subjects in done:
        ties.put(f"c{number}", subjects)
        naive[f"c{number}"] = subjects
    for subject in "abc":
        records = {record for record, subjects in naive.items() if subject in subjects}
        assert ties.records_of([subject]) == records
        assert ties.count(subject) == len(records)
        assert {record for record in naive if ties.has(record, subject)} == records


FIELDS = ("name", "phone")
rows = st.fixed_dictionaries(
    {
        "name": texts,
        "phone": st.text(st.sampled_from("12"), max_size=3),
        "status": st.sampled_from(["valid", "invalid"]),
    }
)
filters = st.one_of(
    st.builds(Filter, st.just("field"), st.sampled_from(FIELDS), texts),
    st.builds(Filter, st.just("fact"), st.just("status"), st.sampled_from(["valid", "invalid", "val"])),
    st.builds(Filter, st.just("assigned"), st.just(""), st.sampled_from(["person:a", "person:b", "person:c"])),
)
queries = st.builds(
    Query,
    st.lists(filters, max_size=3).map(tuple),
    st.sampled_from([("field", "name"), ("field", "phone"), ("fact", "sequence"), ("id", "")]),
    st.booleans(),
)


def fits(one: Filter, row: dict[str, Any], tied: list[str]) -> bool:
    if one.kind == "assigned":
        return one.text in tied
    if one.kind == "fact":
        return bool(row[one.name] == one.text)
    text = normalise(row[one.name])
    return text != "" and text.startswith(normalise(one.text))


def order_of(query: Query, record: str, row: dict[str, Any]) -> tuple[bytes, bytes] | None:
    kind, name = query.sort
    text = record if kind == "id" else f"{row['sequence']:019d}" if kind == "fact" else normalise(row[name])
    return (text.encode(), record.encode()) if text else None


@settings(max_examples=150)
@given(st.lists(rows, max_size=60), queries, st.lists(st.integers(0, 59), max_size=40), st.integers(1, 7), st.data())
def test_finding_is_a_naive_look_at_everything(
    stored: list[dict[str, Any]], query: Query, within: list[int], limit: int, data: Any
) -> None:
    table, ties = TableIndex(FIELDS), {}
    known = {f"c{number}": row | {"sequence": number + 1} for number, row in enumerate(stored)}
    for record, row in known.items():
        table.put(record, {"version": 1, **row}, {name: row[name] for name in FIELDS})
        ties[record] = data.draw(st.lists(st.sampled_from(["person:a", "person:b"]), unique=True))
        table.assigned.put(record, ties[record])
    halves = [{f"c{number}" for number in within[::2]}, {f"c{number}" for number in within}]
    horizon = data.draw(st.sampled_from([None, [], halves, halves[:1]]))
    hidden = {f"c{number}" for number in data.draw(st.lists(st.integers(0, 59), max_size=10))}
    expected = [
        record
        for record, row in sorted(known.items(), key=lambda item: order_of(query, *item) or (b"", b""))
        if order_of(query, record, row) is not None
        and all(fits(one, row, ties[record]) for one in query.where)
        and record not in hidden
        and (horizon is None or any(record in one for one in horizon))
    ]
    if query.descending:
        expected.reverse()
    assert pages(table, query, horizon, hidden, limit) == expected


def pages(table: TableIndex, query: Query, horizon: list[set[str]] | None, hidden: set[str], limit: int) -> list[str]:
    async def walk() -> list[str]:
        found: list[str] = []
        after = None
        while True:
            page = Query(query.where, query.sort, query.descending, after)
            ids, has_more = await find(table, page, horizon, lambda record: record not in hidden, limit)
            found += ids
            assert has_more is False or len(ids) == limit
            if not has_more:
                return found
            after = ids[-1]

    return asyncio.run(walk())


async def test_a_walk_along_the_order_goes_on_while_records_come_and_go() -> None:
    table = TableIndex(FIELDS)
    for number in range(2_000):
        table.put(f"c{number:04d}", {"version": 1, "status": "valid"}, {"name": f"n{number:04d}"})

    def accept(record: str) -> bool:
        if record == "c0100":
            table.put("c0050", None, {})
            table.put("c0101", None, {})
            table.put("c9999", {"version": 1, "status": "valid"}, {"name": "n0100x"})
        return record > "c0099"

    found, has_more = await find(table, Query((), ("field", "name")), None, accept, 600)
    assert has_more is True
    assert len(set(found)) == len(found) == 600
    assert set(found) >= {f"c{number:04d}" for number in range(300, 690)}


@pytest.mark.parametrize("where", [(), (Filter("fact", "status", "valid"),)])
async def test_a_record_that_moves_on_along_the_order_while_it_is_walked_is_found_once(where: Any) -> None:
    table = TableIndex(FIELDS)
    for number in range(600):
        table.put(f"c{number:04d}", {"version": 1, "status": "valid"}, {"name": f"n{number:04d}"})

    def accept(record: str) -> bool:
        if record == "c0300":  # in the second turn, after the first one's records were found
            table.put("c0001", {"version": 2, "status": "valid"}, {"name": "n9999"})
        return record in ("c0001", "c0002", "c0599")

    found, _ = await find(table, Query(where, ("field", "name")), None, accept, 100)
    assert found == ["c0001", "c0002", "c0599"]


def test_a_query_is_committed_to_under_a_salt_and_names_the_fields_it_goes_over() -> None:
    query = Query((Filter("field", "phone", "1"), Filter("fact", "status", "valid")), ("field", "name"))
    assert query.over == ["name", "phone"]
    assert query.digest(CHAIN, bytes(32)) != query.digest(CHAIN, bytes([1]) * 32)
    assert query.digest(CHAIN, bytes(32)) == Query(query.where, query.sort).digest(CHAIN, bytes(32))
    other = Query(query.where, query.sort, descending=True)
    assert other.digest(CHAIN, bytes(32)) != query.digest(CHAIN, bytes(32))


@pytest.mark.parametrize(
    "where", [(Filter("field", "name", "x" * 257),), (Filter("field", "name", "\ud800"),), (Filter("id", "", ""),) * 9]
)
def test_a_query_that_is_too_long_or_no_text_is_refused(where: Any) -> None:
    with pytest.raises(KehuError) as raised:
        Query(where, ("id", ""))
    assert raised.value.code == "search.query"
