"""Chains of earlier versions replay to the very roots that they had when those versions were the newest."""

from __future__ import annotations

import hashlib

import pytest

from chain.protocol import NEWEST
from tests.contracts.story import tell

ROOTS = {
    1: "efbe218b59fd8dcfadbfdb606e97ccf61037da75fc1f515700887726909696bd",
    2: "2bdb62b37fd605b535a68cf8063a9e4a4bee1af4be3b11d892b9579e81064841",
    3: "2cde8ad793dd8f02df7439f8cf74b675439e90c7809cef073436566baf9a6d33",
}
"""Of every block of the story. They are those of the contracts as they were before version 4: who changes the story
takes the new ones from the commit before, and who changes a contract never changes them."""


def roots_of(version: int) -> str:
    blocks, _ = tell(version)
    return hashlib.sha256(b"".join(state + receipts for state, receipts in blocks)).hexdigest()


@pytest.mark.parametrize("version", sorted(ROOTS))
def test_every_block_by_the_rules_of_an_earlier_version_is_what_it_was(version: int) -> None:
    assert roots_of(version) == ROOTS[version]


def test_the_story_comes_to_where_the_newest_version_differs() -> None:
    assert sorted(ROOTS) == list(range(1, NEWEST))
    assert roots_of(NEWEST) not in ROOTS.values()
