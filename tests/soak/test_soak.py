"""What `make soak` takes for growth: a leak is found; neither what the state explains nor a single sample counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.folder.config import Home
from tests.node import storage_workload
from tests.soak.memory import MIB, STAGED_MAX, Sample, entry_bytes_of, growth_of, overfull

ENTRY_BYTES = 500
HOUR_S = 3_600


def samples(leak_mib_per_hour: float, minutes: int = 60) -> list[Sample]:
    """A sample every ten seconds: 40 MiB fill in the first third, and the state grows by 100 entries a second."""
    found = []
    for seconds in range(0, minutes * 60, 10):
        filling = min(1.0, seconds / (minutes * 20)) * 40 * MIB
        state = 100 * seconds
        leaked = leak_mib_per_hour * MIB * seconds / HOUR_S
        found.append(Sample(seconds, int(60 * MIB + filling + leaked + state * ENTRY_BYTES), state))
    return found


@pytest.mark.parametrize("minutes", [8, 60])
def test_what_the_state_explains_is_no_leak(minutes: int) -> None:
    growth = growth_of(samples(0, minutes), ENTRY_BYTES)
    assert growth.raw == pytest.approx(100 * HOUR_S * ENTRY_BYTES, rel=0.01)
    assert abs(growth.beyond) < 0.1 * MIB
    assert not growth.is_too_much


def test_a_node_that_grows_beyond_it_is_found() -> None:
    growth = growth_of(samples(50), ENTRY_BYTES)
    assert growth.beyond == pytest.approx(50 * MIB, rel=0.01)
    assert growth.is_too_much
    assert not growth_of(samples(20), ENTRY_BYTES).is_too_much


def test_a_few_samples_far_off_change_nothing() -> None:
    noisy = [replace(each, own_bytes=each.own_bytes + 90 * MIB * (at % 9 == 0)) for at, each in enumerate(samples(0))]
    assert abs(growth_of(noisy, ENTRY_BYTES).beyond) < MIB


def test_a_queue_that_was_too_long_once_is_told() -> None:
    fine = samples(0)
    assert overfull(fine, 100) == []
    full = [*fine, replace(fine[-1], mempool=101, staged=STAGED_MAX + 1)]
    assert len(overfull(full, 100)) == 2


def test_what_an_entry_takes_is_measured_on_a_chain(tmp_path: Path) -> None:
    storage_workload.run(tmp_path, 3)
    assert 50 < entry_bytes_of(Home(tmp_path).chain) < 5_000
