"""Golden scenarios: everything the replicas do, effect by effect, as text that is reviewed like code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consensus.scenario import Scenario, scenarios


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_a_scenario_goes_as_written(path: Path) -> None:
    """If the difference is meant: python -m tests.consensus.scenario --write, and review it."""
    expected = path.read_text(encoding="utf-8")
    assert Scenario().run(expected) == expected


def test_there_are_scenarios_and_each_decides_something() -> None:
    assert len(scenarios()) >= 8
    assert all("DECIDE" in path.read_text(encoding="utf-8") for path in scenarios())
