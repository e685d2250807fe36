"""One disturbed telling of the demo's story, for all tests of this folder."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, found_cluster, stop_cluster
from tests.e2e.disturbed import Blow, draw_blows, make_disturbed_story, tell_disturbed
from tests.e2e.forked import ForkedKehu
from tests.e2e.watching import ArgumentsWatch
from tools.demo.story import Story
from tools.demo.teardown import stop_network

ROOT = Path(__file__).parent.parent.parent
SEED = 20261121


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
