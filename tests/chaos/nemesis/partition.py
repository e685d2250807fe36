"""The network falls into groups that hear nothing of each other.

With at most f victims, these are apart from the rest, each alone or all together. With more, no side has a quorum.
"""

from __future__ import annotations

from functools import partial

from tests.chaos.nemesis.base import Nemesis


class Partition(Nemesis):
    async def begin(self) -> None:
        is_alone = self.chance.random() < 0.5 or len(self.victims) > len(self.network.departments) - self.network.f - 1
        groups = [(name,) for name in self.victims] if is_alone else [self.victims]
        for group in groups:
            rest = [name for name in self.network.departments if name not in group]
            await self.together([partial(self.network.net.cut, group, rest)])
        self.injected += 1

    async def heal(self) -> None:
        await self.together([self.network.net.heal])
