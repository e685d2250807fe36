"""The story of the demo, told while nodes are killed under it.

For each of six chapters a seed draws a victim, the command during which it is killed, and how long it stays away. A
command that finds its node gone is run again once the node is back, as a user would; nothing else is forgiven.
"""

from __future__ import annotations

import io
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.exits import Exit
from cli.founding import DEPARTMENTS
from cli.processes import processes
from cli.profile import Profile
from tests.e2e.forked import ForkedKehu
from tools.demo.__main__ import make_story
from tools.demo.chapters import CHAPTERS, Chapter
from tools.demo.kehu import Order, Ran, UnexpectedError, order
from tools.demo.narrator import Narrator
from tools.demo.story import Story

COMMANDS: Final = {"people": 20, "arrival": 6, "permissions": 9, "conflict": 5, "carrier": 10, "audit": 3}
"""The disturbed chapters and how many commands each runs at least. The outage chapter has its own two victims."""
AWAY_S: Final = (0.5, 6.0)
INTO_COMMAND_S: Final = (0.0, 0.4)
TRIES_MAX: Final = 4


@dataclass
class Blow:
    """`victim` is killed `into_s` seconds after the beginning of the chapter's `command`th command."""

    victim: str
    command: int
    into_s: float
    away_s: float
    during: str = ""
    was_needed: bool = False
    """Whether a command found the victim gone and had to be run again."""

    def __str__(self) -> str:
        again = ", which had to be run again" if self.was_needed else ""
        return f"{self.victim} killed {self.into_s:.2f} s into `{self.during}`{again}; away {self.away_s:.1f} s"


def draw_blows(seed: int) -> dict[str, Blow]:
    """One blow for each disturbed chapter; every department is a victim once."""
    chance = random.Random(seed)
    victims = chance.sample(sorted(DEPARTMENTS), len(DEPARTMENTS))
    return {
        chapter: Blow(victim, chance.randint(1, commands), chance.uniform(*INTO_COMMAND_S), chance.uniform(*AWAY_S))
        for (chapter, commands), victim in zip(COMMANDS.items(), victims, strict=True)
    }


@dataclass
class DisturbedKehu(ForkedKehu):
    """Deals one blow at a time. `lines`: what a process of each command would have had for arguments."""

    blow: Blow | None = None
    lines: set[bytes] = field(default_factory=set)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def expect(self, blow: Blow | None) -> None:
        self.blow, self._count = blow, 0

    def start(self, wanted: Order, text: str | None = None) -> Ran:
        """Runs a command; if its node is gone, again once the node is back."""
        with self._lock:
            self._count += 1
            is_due = self.blow is not None and self._count == self.blow.command
        if is_due:
            self._spawn(self._strike, wanted.shown)
        ran = super().start(wanted, text)
        for _ in range(TRIES_MAX):
            if ran.exit != Exit.UNKNOWN:
                break
            self._require_nothing_lost(ran)
            self._revive()
            ran = super().start(wanted, text)
        return ran

    def execute(self, arguments: list[str], given: str | None) -> tuple[int, str, str]:
        self.lines.add(" ".join(arguments).encode())
        return super().execute(arguments, given)

    def finish(self) -> None:
        """The chapter is over: the victim is back before the next one begins."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._revive()

    def _spawn(self, work: object, *given: object) -> None:
        thread = threading.Thread(target=work, args=given)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _strike(self, during: str) -> None:
        blow = self.blow
        if blow is None:
            return
        time.sleep(blow.into_s)
        blow.during = during
        (process,) = processes(Profile.open(self.network), [blow.victim])
        process.signal(signal.SIGKILL)
        time.sleep(blow.away_s)
        self._revive()

    def _revive(self) -> None:
        if self.blow is None or not self.blow.during:
            return
        with self._lock:
            super().start(order("network", "up", self.blow.victim)).require(Exit.OK)

    def _require_nothing_lost(self, ran: Ran) -> None:
        """A transaction whose fate nobody knows must not be sent anew under another id: that would be cheating."""
        if self.blow is None or not self.blow.during:
            raise UnexpectedError(f"exit code of `{ran.shown}`", "an answer: no node is down", ran.err)
        if not ran.out and ran.json["code"] == "transaction.unknown_outcome":
            raise UnexpectedError(f"`{ran.shown}`", "an outcome", ran.err)
        self.blow.was_needed = True


def make_disturbed_story(folder: Path, seed: int, out: io.StringIO) -> tuple[Story, DisturbedKehu]:
    story = make_story(folder, Narrator(out), seed)
    kehu = DisturbedKehu(story.kehu.network, story.kehu.passphrases, has_forked_nodes=False)
    kehu.on_run = story.kehu.on_run
    story.kehu = kehu
    return story, kehu


def tell_disturbed(story: Story, kehu: DisturbedKehu, blows: dict[str, Blow]) -> None:
    """Tells the whole story; every blow has been dealt when it is over."""
    for chapter in CHAPTERS:
        tell_struck(story, kehu, chapter, blows.get(chapter.name))


def tell_struck(story: Story, kehu: DisturbedKehu, chapter: Chapter, blow: Blow | None) -> None:
    kehu.expect(blow)
    story.open_chapter(chapter.title)
    try:
        chapter.tell(story)
    finally:
        kehu.finish()
        kehu.expect(None)
