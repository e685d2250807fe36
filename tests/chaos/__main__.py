"""Real nodes in network namespaces, each on a disk of its own, under real faults: `make chaos MINUTES=10 SEED=7`.

    --minutes M       how long rounds go on; never shorter than one of every kind (default 4)
    --seed S          what is done, in which order, to whom (default: drawn, and printed)
    --departments N   four or more (default 4)
    --kinds K ...     only these
    --slack X         what the stated bounds are multiplied with before a figure fails the run (default 3; 1 on a
                      machine that does nothing else)
    --writers W       who write and wait for each answer, per department (default 2)
    --clean           only removes what an earlier run left behind

KEHU_CHAOS=required makes it an error where the machine cannot run it. Exit: 0 all kept, or not run; 1 a broken promise,
or required and not run; 2 another run is under way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.chaos import netns
from tests.chaos.machine import PREFIX, only_run, why_not
from tests.chaos.network import Network, remove_all
from tests.chaos.plan import SHAPES
from tests.chaos.play import Play
from tests.chaos.report import report

REQUIRED: Final = os.environ.get("KEHU_CHAOS") == "required"


def main() -> int:
    options = _options()
    if reason := why_not():
        print(f"CHAOS NOT RUN: {reason}")
        return 1 if REQUIRED else 0
    with only_run() as is_ours:
        if not is_ours:
            print("another chaos run is under way on this machine")
            return 2
        if options.clean:
            remove_all()
            return 0
        return _run(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--departments", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--slack", type=float, default=3.0)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--clean", action="store_true")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    replay = _replay(options, seed)
    print(f"seed {seed}; the same again: {replay}", flush=True)
    # A run that is told to end takes everything away, as one that is interrupted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    network = Network(options.departments)
    try:
        network.build()
        # The bridge has no way out: what a client reaches, it reaches through the namespaces.
        netns.enter(netns.CLIENTS)
        play = Play(network, seed, options.slack, tuple(options.kinds))
        figures = asyncio.run(play.run(options.minutes * 60, options.writers))
        is_kept = report(figures, play.told, play.watch, options.slack, tuple(options.kinds))
        if not is_kept:
            print(f"evidence: {_keep(network, seed)}\nreplay:   {replay}")
        return 0 if is_kept else 1
    except BaseException:
        print(f"broken off; evidence: {_keep(network, seed)}\nreplay: {replay}")
        raise
    finally:
        network.remove()


def _replay(options: argparse.Namespace, seed: int) -> str:
    kinds = "" if options.kinds == list(SHAPES) else f" --kinds {' '.join(options.kinds)}"
    sizes = f"--minutes {options.minutes:g} --departments {options.departments} --writers {options.writers}"
    return f"python -m tests.chaos --seed {seed} {sizes} --slack {options.slack:g}{kinds}"


def _keep(network: Network, seed: int) -> Path:
    """Logs, exports and the nodes' folders, before the disks are taken away."""
    kept = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-evidence-{seed}-"))
    for node in network.nodes.values():
        node.kill()
    for pattern in ("*.log", "*.kehu"):
        for path in network.folder.glob(pattern):
            shutil.copy2(path, kept)
    for name, node in network.nodes.items():
        try:
            shutil.copytree(node.home, kept / name)
        except (OSError, shutil.Error) as error:
            print(f"the folder of {name} could not be kept whole: {type(error).__name__}")
    return kept


if __name__ == "__main__":
    sys.exit(main())
