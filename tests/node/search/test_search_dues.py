"""Payments by whether they are overdue: the index says what the contract's rule says of the rows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import KehuError
from contracts.projects.dues import is_overdue
from node.search.dues import TURN, by_overdue
from node.search.index import TableIndex
from node.search.query import Filter, Query

GREATEST_MS = 1 << 62
moments = st.one_of(st.integers(1, 5), st.integers(10**15, 10**17), st.just(GREATEST_MS))
payments = st.fixed_dictionaries({"due_ms": moments, "state": st.sampled_from(["open", "paid", "cancelled"])})


@given(st.lists(payments, max_size=20), moments)
def test_what_is_overdue_at_a_time_is_what_the_rule_says_of_each_row(rows: list[dict[str, Any]], time_ms: int) -> None:
    table = TableIndex(("amount",))
    known = {f"y{number}": row for number, row in enumerate(rows)}
    for record, row in known.items():
        table.put(record, {"version": 1, **row}, {})
    table.put("n1", {"version": 1, "state": "open"}, {})  # is never due
    for wanted in (True, False):
        found = asyncio.run(by_overdue(table, time_ms, is_overdue=wanted))
        assert found == {record for record, row in known.items() if is_overdue(row, time_ms) is wanted}


@pytest.mark.parametrize("state", ["open", "paid"])
async def test_others_get_their_turns_while_all_that_is_not_overdue_is_gathered(state: str) -> None:
    table, turns = TableIndex(()), 0
    for number in range(20 * TURN):
        table.put(f"y{number}", {"version": 1, "due_ms": 7, "state": state}, {})
    gathering = asyncio.create_task(by_overdue(table, 1, is_overdue=False))
    while not gathering.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await gathering) == 20 * TURN
    assert turns >= (40 if state == "open" else 20)


def test_payments_are_in_the_order_of_their_due_times_however_long_the_numbers_are() -> None:
    table = TableIndex(())
    for record, due_ms in (("far", GREATEST_MS), ("near", 7), ("next", 1_700_000_000_000)):
        table.put(record, {"version": 1, "due_ms": due_ms}, {})
    assert list(table.columns["fact", "due_ms"].records(b"")) == ["near", "next", "far"]


def test_a_query_for_what_is_neither_overdue_nor_not_is_refused() -> None:
    with pytest.raises(KehuError) as caught:
        Query((Filter("overdue", "", "perhaps"),), ("id", ""))
    assert caught.value.code == "search.query"
