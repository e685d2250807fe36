"""`python -m tests.e2e --seeds 6 --from 1`: the story with other victims at other moments, seed by seed.

Each seed gives every department its turn as a victim, in another chapter and during another command.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.disturbed import draw_blows, make_disturbed_story, tell_disturbed
from tools.demo.teardown import stop_network


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e", description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--from", dest="first", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = [seed for seed in range(given.first, given.first + given.seeds) if not tell_seed(seed)]
    print(f"failed seeds: {failed}" if failed else f"all {given.seeds} seeds hold")
    return 1 if failed else 0


def tell_seed(seed: int) -> bool:
    """Tells the story once; the folder is kept if it does not hold. What comes out has no seed in it but `picked`."""
    folder, out, blows = Path(tempfile.mkdtemp(prefix=f"kehu-e2e-{seed}-")), io.StringIO(), draw_blows(seed)
    story, kehu = make_disturbed_story(folder, seed, out)
    begun = time.monotonic()
    try:
        tell_disturbed(story, kehu, blows)
    except Exception as error:
        print(out.getvalue()[-6000:])
        print(f"seed {seed} FAILED in {folder}: {error}", *blows.values(), sep="\n  ")
        return False
    finally:
        stop_network(story, is_kill=True)
    story.facts.pop("picked")
    facts = json.dumps({name: fact for name, fact in story.facts.items() if name != "customers"}, ensure_ascii=False)
    print(f"seed {seed} holds after {time.monotonic() - begun:.0f} s: {facts}", *blows.values(), sep="\n  ")
    shutil.rmtree(folder)
    return True


if __name__ == "__main__":
    sys.exit(main())
