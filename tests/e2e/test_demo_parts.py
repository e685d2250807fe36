"""What the demo is made of: a step that does not hold stops it, and its customers' file is what the maker makes."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest

from tools.demo.__main__ import make_story
from tools.demo.guide import show_failure
from tools.demo.kehu import Ran, UnexpectedError
from tools.demo.make_customers import HEADER, SEED, make_rows
from tools.demo.narrator import Narrator
from tools.demo.sheet import HERE, read_sheet
from tools.demo.story import StepFailedError


def test_a_step_that_does_not_hold_says_what_was_expected_what_came_and_where_the_logs_are(tmp_path: Path) -> None:
    out = io.StringIO()
    story = make_story(tmp_path, Narrator(out), 1)
    story.open_chapter("A chapter")
    with pytest.raises(StepFailedError) as caught, story.step("Something is done", "it was") as step:
        step.equal("number of nodes", 6, 5)
    show_failure(story, caught.value)
    text = " ".join(out.getvalue().split())
    for part in ("1.1 Something is done", "number of nodes", "expected 6", "came 5", "kept"):
        assert part in text
    assert "node.log" in text.replace(" ", "")  # a long path is broken over lines
    assert "it was" not in text
    assert story.seconds == []


def test_a_command_with_another_exit_code_or_without_json_does_not_hold() -> None:
    with pytest.raises(UnexpectedError, match="exit code"):
        Ran("kehu login", 1, "", '{"code": "keys.revoked"}', 0.1).require(0)
    with pytest.raises(UnexpectedError, match="output"):
        Ran("kehu login", 0, "no json", "", 0.1).require(0)


def test_the_customers_file_is_what_the_maker_makes_and_has_faults_of_many_kinds() -> None:
    rows, faults = make_rows(random.Random(SEED))
    with (HERE / "customers.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [list(HEADER), *rows]
    sheet = read_sheet(HERE / "customers.csv")
    assert sheet.faults == faults
    assert len(sheet.rows) >= 200
    assert len(sheet.faults) >= 8
    assert len(set(sheet.faults.values())) >= 8
