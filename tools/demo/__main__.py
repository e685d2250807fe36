"""`python -m tools.demo`: tells the story; exit code 0 only if every step held."""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.demo.chapters import CHAPTERS, Chapter
from tools.demo.guide import show_failure, show_guide, show_times
from tools.demo.kehu import Kehu
from tools.demo.narrator import Narrator
from tools.demo.sheet import HERE, read_sheet
from tools.demo.story import StepFailedError, Story
from tools.demo.teardown import stop_network

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main() -> int:
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    folder = given.folder.resolve() if given.folder else Path(tempfile.mkdtemp(prefix="kehu-demo-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; name a new folder")
    story = make_story(folder, Narrator(sys.stdout), given.seed)
    is_kept = given.keep
    try:
        _play(story, given.seed, is_kept=given.keep)
        if given.facts is not None:
            given.facts.write_text(json.dumps(story.facts, ensure_ascii=False, indent=2), encoding="utf-8")
        return 0
    except StepFailedError as error:
        show_failure(story, error)
        is_kept = True
        return _stopped(story, EXIT_FAILED)
    except KeyboardInterrupt:
        story.narrator.line("\nInterrupted; cleaning up.")
        is_kept = False
        return _stopped(story, EXIT_INTERRUPTED)
    except BaseException:
        is_kept = True
        _stopped(story, EXIT_FAILED)
        raise
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the network up and say how to use it")
    parser.add_argument("--folder", type=Path, help="a new or empty folder (default: a temporary one)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(1 << 32), help="chooses customers, victims and the changed byte"
    )
    parser.add_argument("--facts", type=Path, help="write what came out to this file, as JSON")
    return parser.parse_args()


def make_story(folder: Path, narrator: Narrator, seed: int) -> Story:
    """A story to be told in `folder`."""
    kehu = Kehu(folder / "network", folder / "passphrases")
    return Story(folder, kehu, narrator, random.Random(seed), read_sheet(HERE / "customers.csv"))


def _play(story: Story, seed: int, *, is_kept: bool) -> None:
    begun = time.monotonic()
    story.narrator.line(
        "Kehu 客户: six departments keep customer records together, and can prove who saw and changed what.", "bold"
    )
    story.narrator.line(f"Folder {story.folder}, seed {seed}")
    for chapter in CHAPTERS:
        tell_chapter(story, chapter)
    seconds = time.monotonic() - begun
    if not is_kept:
        stop_network(story)
    show_times(story, seconds)
    if is_kept:
        show_guide(story)


def tell_chapter(story: Story, chapter: Chapter) -> None:
    story.open_chapter(chapter.title)
    chapter.tell(story)


def _stopped(story: Story, exit_: int) -> int:
    stop_network(story, is_kill=True)
    return exit_


if __name__ == "__main__":
    sys.exit(main())
