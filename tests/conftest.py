"""What holds for every test, and in which order they run."""

from __future__ import annotations

import gc
import re
import signal
from typing import Final

import pytest
from hypothesis import settings

LONGEST = ("demo", "e2e")
"""Groups that keep one worker busy for minutes; the other one does everything else meanwhile."""

settings.register_profile("kehu", deadline=None)
settings.load_profile("kehu")
"""How long an example takes says how busy the machine is."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background has them ignore interruptions, and so would every process that they
    # start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that two workers end at about the same time: with --no-loadscope-reorder,
    pytest-xdist hands out groups in this order."""

    def place(item: pytest.Item) -> int:
        group = item.get_closest_marker("xdist_group")
        if group is not None and group.args[0] in LONGEST:
            return LONGEST.index(group.args[0])
        return len(LONGEST) + (item.get_closest_marker("slow") is None)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Modules and tests live to the end, and the collector would go through them again and again: a tenth of the time
    that tests take in the process that runs them."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


_GROUP: Final = re.compile(r"@\w+$")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """pytest-xdist writes the group behind a test's name, by which nobody would find it again: `make test-failed`."""
    cache = session.config.cache
    if cache is not None and not hasattr(session.config, "workerinput"):
        failed = cache.get("cache/lastfailed", {})
        cache.set("cache/lastfailed", {_GROUP.sub("", name): True for name in failed})
