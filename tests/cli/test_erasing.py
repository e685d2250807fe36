"""The hold that keeps a record, as `kehu erasure status` finds it by the version of the rules that counts."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chain.protocol import SCHEDULE, TABLE
from cli.client import NodeClient
from cli.erasing import hold_on
from contracts.departments.features import HELD_TOGETHER

HEIGHT = 20


class Proven:
    """The client of a chain at `HEIGHT` with a held customer, c1, and a demand of theirs, d1."""

    def __init__(self, first: int) -> None:
        """`first`: the height from which holds on customers lie on their demands too."""
        self._rows: dict[tuple[str, str], dict[str, Any]] = {
            (TABLE, SCHEDULE): {"versions": [[0, HELD_TOGETHER - 1], [first, HELD_TOGETHER]]},
            ("demands", "d1"): {"customer": "c1"},
            ("holds", "customers.c1"): {"reason": "lawsuit", "released": None},
        }

    async def state(self, table: str, key: str) -> tuple[dict[str, Any] | None, int]:
        return self._rows.get((table, key)), HEIGHT


@pytest.mark.parametrize(
    ("first", "expected"), [(HEIGHT, ("lawsuit", "customers.c1")), (HEIGHT + 1, None), (HEIGHT + 8, None)]
)
async def test_a_hold_on_a_customer_keeps_a_demand_from_the_height_of_its_version_on(
    first: int, expected: tuple[str, str] | None
) -> None:
    client = cast(NodeClient, Proven(first))
    assert await hold_on(client, "demands", "d1") == expected
    assert await hold_on(client, "customers", "c1") == ("lawsuit", "customers.c1")
