"""The same transactions give the same roots and receipts whatever PYTHONHASHSEED is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from contracts.registry import METHODS

ROOT = Path(__file__).parents[2]


def story_digests(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.story"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_every_call_gives_the_same_roots_and_receipts_under_two_hash_seeds() -> None:
    first, second = story_digests("1"), story_digests("2")
    assert first == second
    assert first.splitlines()[-1].split() == sorted(METHODS)
