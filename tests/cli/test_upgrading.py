"""Whether the nodes could follow a new version, by what they said that they speak."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import KehuError
from cli.exits import Exit, exit_of
from cli.upgrading import lacking, require_able


def told(*newest: int | None) -> dict[str, Any]:
    names = ("administration", "finance", "sales", "technical")
    nodes = [
        {"department": name, "speaks": None if n is None else [1, n]} for name, n in zip(names, newest, strict=True)
    ]
    return {"nodes": nodes, "quorum": 3}


def code_of(said: dict[str, Any], **how: bool) -> str:
    with pytest.raises(KehuError) as caught:
        require_able(said, 2, **{"is_unready": False, "is_forced": False, **how})
    assert exit_of(caught.value) is Exit.USAGE
    return caught.value.code


def test_who_has_said_nothing_counts_as_left_behind() -> None:
    assert lacking(told(2, 1, None, 3), 2) == ["finance", "sales"]


def test_a_proposal_below_a_quorum_is_refused_whatever_is_asked() -> None:
    assert code_of(told(2, 2, 1, None)) == "usage.protocol_no_quorum"
    assert code_of(told(2, 2, 1, None), is_unready=True) == "usage.protocol_no_quorum"


def test_a_proposal_that_leaves_one_behind_has_to_be_meant() -> None:
    assert code_of(told(2, 2, 2, 1)) == "usage.protocol_unready"
    assert require_able(told(2, 2, 2, 1), 2, is_unready=True, is_forced=False) == ["technical"]
    assert require_able(told(2, 2, 2, 2), 2, is_unready=False, is_forced=False) == []


def test_looking_ahead_refuses_nothing() -> None:
    assert require_able(told(1, 1, 1, 1), 2, is_unready=True, is_forced=True) != []
