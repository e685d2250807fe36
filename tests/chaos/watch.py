"""Looks at the nodes while things happen to them: memory, and who ended without having been told to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from tests.chaos.network import Network

SAMPLE_S: Final = 2.0
TAIL_LINES: Final = 12
MEGABYTE: Final = 1 << 20


class Watch:
    """`samples`: department -> resident bytes, oldest first."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.samples: dict[str, list[int]] = defaultdict(list)

    async def run(self) -> None:
        while True:
            for name, node in self.network.nodes.items():
                if (resident := node.resident_bytes()) is not None:
                    self.samples[name].append(resident)
            await asyncio.sleep(SAMPLE_S)

    def fallen(self) -> list[str]:
        """Nodes that ended although nothing was done to them; they are started again."""
        wrongs = []
        for name, node in self.network.nodes.items():
            if node.is_wanted and node.pid is None:
                ending = node.wait_end(1)
                tail = node.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
                wrongs.append("\n    ".join([f"{name} ended by itself: {ending and ending.code}", *tail]))
                node.start()
        return wrongs

    def memory(self) -> list[str]:
        """Per department: the median of the first and of the last quarter of the run, and the most."""
        lines = []
        for name, samples in self.samples.items():
            quarter = max(1, len(samples) // 4)
            first, last = sorted(samples[:quarter]), sorted(samples[-quarter:])
            lines.append(
                f"{name:16} first quarter {first[quarter // 2] // MEGABYTE:>4} MiB, "
                f"last quarter {last[quarter // 2] // MEGABYTE:>4} MiB, most {max(samples) // MEGABYTE:>4} MiB"
            )
        return lines

    def most_bytes(self) -> int:
        return max((max(samples) for samples in self.samples.values()), default=0)
