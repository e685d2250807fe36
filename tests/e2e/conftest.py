"""One calm telling of the demo's story and one disturbed one, for all tests of this folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, found_cluster, stop_cluster
from tests.e2e.disturbed import Blow, draw_blows, make_disturbed_story, tell_disturbed
from tests.e2e.forked import ForkedKehu
from tests.e2e.watching import ArgumentsWatch
from tools.demo.story import Story
from tools.demo.teardown import stop_network

ROOT = Path(__file__).parent.parent.parent
SEED = int(os.environ.get("KEHU_E2E_SEED", "20261121"))
DEMO_TIMEOUT_S = 400


@dataclass(frozen=True)
class Calm:
    """How the demo itself ended. `folder` is where it ran."""

    exit: int
    out: str
    facts: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class Disturbed:
    """The story with kills, its network stopped in order at the end; `arguments`: command lines seen meanwhile, and
    those of the commands themselves."""

    story: Story
    blows: dict[str, Blow]
    out: str
    arguments: set[bytes]
    seconds: float


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """`make demo`, as a process of its own."""
    folder, facts = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("facts") / "facts.json"
    command = [sys.executable, "-m", "tools.demo", "--folder", str(folder), "--seed", str(SEED), "--facts", str(facts)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=DEMO_TIMEOUT_S, check=False
    )
    read = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    return Calm(done.returncode, done.stdout + done.stderr, read, folder)


@pytest.fixture(scope="session")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    folder, out = tmp_path_factory.mktemp("disturbed"), io.StringIO()
    story, kehu = make_disturbed_story(folder, SEED, out)
    blows = draw_blows(SEED)
    begun = time.monotonic()
    try:
        with ArgumentsWatch(str(folder)) as watch:
            tell_disturbed(story, kehu, blows)
        stop_network(story)
        yield Disturbed(story, blows, out.getvalue(), watch.seen | kehu.lines, time.monotonic() - begun)
    except BaseException as error:
        error.add_note("\n".join([f"seed {SEED}", *map(str, blows.values()), out.getvalue()[-3000:]]))
        raise
    finally:
        stop_network(story, is_kill=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A network of four without a carrier, left by each test with all four up."""
    folder = tmp_path_factory.mktemp("cluster")
    try:
        yield found_cluster(folder)
    finally:
        stop_cluster(ForkedKehu(folder / "network", folder / "passphrases"))
