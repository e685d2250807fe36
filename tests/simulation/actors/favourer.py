"""A primary that orders only its own clients, prompt at every block, and never what came in by others (B43)."""

from __future__ import annotations

from tests.simulation.actors.base import Actor

OWN_FIRST = 500_000
"""Transactions of its own clients; below those of the membership (tests.simulation.disk)."""


class Favourer(Actor):
    kind = "favourer"

    def propose(self, transactions: list[int]) -> bytes | None:
        self.did()
        disk = self.node.disk
        return disk.build([OWN_FIRST + disk.height])
