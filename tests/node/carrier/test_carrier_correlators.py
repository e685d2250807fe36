"""By the correlator of a question, a platform's support finds what became of it: above all where it gave no answer."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest

NUMBER = "+8613800138000"


@pytest.mark.parametrize(
    ("fault", "said", "deadline_ms"),
    [
        ({"kind": "time_out"}, "nothing", 1_000),
        ({"kind": "malformed", "variant": "disconnect"}, "nothing", 30_000),
        ({"kind": "malformed", "variant": "html"}, "200", 30_000),
        ({"kind": "fail", "status": 503}, "503", 30_000),
        ({"kind": "fail", "status": 429}, "429", 30_000),
    ],
)
async def test_the_log_has_the_correlator_of_every_question_without_an_answer(
    carrier: Any, fault: dict[str, Any], said: str, deadline_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kehu.carrier")
    await carrier.admin.add_fault(**fault)
    platform = await carrier.recycling(deadline_ms=deadline_ms, rate_pause_ms=60_000)
    assert (await platform.look_up(NUMBER, 0)).outcome == "no_answer"
    assert re.search(rf"answered {said}, x-correlator [0-9a-f]{{8}}-[0-9a-f-]{{27}}$", caplog.text, re.MULTILINE)


async def test_a_clear_answer_leaves_no_correlator_in_the_log(carrier: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kehu.carrier")
    now_ms = time.time_ns() // 1_000_000
    assert (await (await carrier.recycling()).look_up(NUMBER, now_ms)).outcome == "same"
    assert "x-correlator" not in caplog.text
