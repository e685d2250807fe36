"""Ends what the demonstration started, and nothing else."""

from __future__ import annotations

import signal

from tools.demo.kehu import order
from tools.demo.story import Story


def stop_network(story: Story, *, is_kill: bool = False) -> None:
    """Stops all processes of the story's network; a second Ctrl-C does not come between."""
    if not (story.network / "network.json").exists():
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        story.kehu.start(order("network", "down", *(["--kill"] if is_kill else []))).require(0)
    finally:
        signal.signal(signal.SIGINT, before)
