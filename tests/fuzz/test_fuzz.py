"""Some of every kind of hostile input; `make fuzz` runs as many as one likes."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from chain.errors import CODEC_SHAPE, KehuError
from tests.fuzz import campaign
from tests.fuzz.bombs import MIB, bombs
from tests.fuzz.campaign import CHUNK, cpu_s_max, judge, least_seconds, run_campaign, run_chunk, targets
from tests.fuzz.target import Target, reader

CORPUS = Path(__file__).parent / "corpus"
HEAP_FACTOR_MAX = 40
"""Heap that an input may take while it is looked at, as a multiple of its size. (Rows and JSON objects are the
worst: three bytes are an object of 64.)"""
WORTH_A_LOOK_S = 0.004
"""What is refused quicker than this has not been unpacked."""
TRACED_PATIENCE = 10.0
"""Python whose memory is traced takes several times as long. How long it takes untraced is judged before."""
QUICK = 60


@pytest.mark.parametrize("name", sorted(targets()))
def test_every_reader_parses_or_refuses_with_a_code(name: str) -> None:
    done = run_chunk((7, QUICK, name))
    assert done.findings == []
    assert done.tally.executions == QUICK


@pytest.mark.parametrize(
    "case", json.loads((CORPUS / "found.json").read_text(encoding="utf-8")), ids=lambda it: it["why"]
)
def test_what_once_broke_something_is_refused(case: dict[str, str]) -> None:
    with targets()[case["target"]].open() as take:
        outcome, problem = judge(take, bytes.fromhex(case["input"]))
    assert (outcome, problem) == (case["outcome"], "")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(targets()))
def test_a_mebibyte_of_anything_costs_little_time_and_memory(name: str) -> None:
    """S12, S13: colliding keys, depth, counts. Processor time of the quickest of three goes; heap at its highest."""
    target, costly = targets()[name], []
    with target.open() as take:
        judge(take, b"")
        for kind, bomb in bombs().items():
            for place, carry in enumerate(target.carry):
                data = carry(bomb)
                spent_s = least_seconds(take, data, 1)
                if spent_s < WORTH_A_LOOK_S:
                    continue
                spent_s = min(spent_s, least_seconds(take, data)) if spent_s > cpu_s_max(target) else spent_s
                tracemalloc.start()
                outcome, problem = judge(take, data, TRACED_PATIENCE)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                if problem or spent_s > cpu_s_max(target) or peak > HEAP_FACTOR_MAX * MIB:
                    costly.append((kind, place, outcome, problem, round(spent_s * 1000), peak >> 20))
    assert costly == []


@pytest.mark.slow
def test_the_same_executions_have_the_same_inputs_and_outcomes() -> None:
    runs = [run_campaign(0, 40 * CHUNK, processes=processes) for processes in (1, 2)]
    assert runs[0].findings == runs[1].findings == []
    assert runs[0].digest == runs[1].digest


def test_a_finding_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(data: bytes) -> None:
        if data == b"bad":
            raise KeyError("x")
        raise KehuError(CODEC_SHAPE)

    target = Target("made up", lambda rng: rng.choice((b"good", b"bad")), reader(read))
    monkeypatch.setattr(campaign, "targets", lambda: {"made up": target})
    done = campaign.run_chunk((3, CHUNK, "made up"))
    assert len(done.findings) == 1
    assert "KeyError" in done.findings[0]
    assert f"--target 'made up' --input {b'bad'.hex()}" in done.findings[0]


def test_an_execution_that_does_not_end_is_ended_and_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the processor time that it takes, and whatever it catches."""

    def read(_data: bytes) -> None:
        while True:
            try:
                sum(range(1_000))
            except Exception:
                continue

    monkeypatch.setattr(campaign, "HANG_CPU_S", 0.05)
    monkeypatch.setattr(campaign, "targets", lambda: {"made up": Target("made up", lambda _: b"any", reader(read))})
    done = campaign.run_chunk((3, CHUNK, "made up"))
    assert done.tally.executions == 1
    assert "Hang: more than" in done.findings[0]


def test_a_run_of_which_nothing_ends_is_given_up_with_the_execution_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a process of it is gone, or stands still where no signal reaches it."""
    monkeypatch.setattr(campaign, "SILENCE_S", 0.2)
    monkeypatch.setattr(campaign, "run_chunk", _die)
    done = run_campaign(5 * CHUNK, CHUNK, processes=1)
    assert done.findings == [f"no end of the executions from {5 * CHUNK} on for 0.2 s"]


def _die(_job: object) -> None:
    os._exit(1)
