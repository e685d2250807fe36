"""The phone desk of a department that has a carrier: made from the node's folder, closed with the node."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from chain.errors import KehuError
from chain.ledger import Ledger
from chain.state import View
from node.carrier.gateway import Gateway
from node.carrier.platforms import Platforms
from node.folder.opening import Opened
from node.intake.own_transactions import OwnTransactions
from node.keys.files import read_public
from node.phone.anew import NewNumbers
from node.phone.desk import PHONE_NO_GATEWAY, PhoneDesk
from node.phone.kept import KeptIdentifiers
from node.phone.panel import Panel
from node.phone.question import Questions
from node.phone.sweep import Sweeper
from node.vault.shares import Peers


class PhoneOffice:
    """Without a carrier section and a gateway key there is no desk, and `desk` raises phone.no_gateway.

    `kept` has what a question brought to light that only the vaults may have; `new_numbers` looks at what comes in as a
    new number, with or without a desk. `sweeper` is there if the configuration
    wants the node to sweep by itself; whoever holds the office runs it.
    Errors: config.missing (secrets of carriers), config.invalid, carrier.* (their configuration).
    """

    def __init__(
        self,
        opened: Opened,
        ledger: Ledger,
        own: OwnTransactions,
        peers: Peers | None,
        is_ready: Callable[[], bool],
        clock_ms: Callable[[], int],
    ) -> None:
        config = opened.config
        self._department = config.department
        self._platforms: Platforms | None = None
        self._panel: Panel | None = None
        self._desk: PhoneDesk | None = None
        self.sweeper: Sweeper | None = None
        chain_id, draw = opened.genesis.chain_id, secrets.token_bytes
        questions = Questions(opened.vault, draw)
        self.kept = KeptIdentifiers(chain_id, lambda: View(ledger.state.get), clock_ms)
        self.new_numbers = NewNumbers(chain_id, questions, lambda: View(ledger.state.get))
        carrier, key = config.carrier, opened.gateway_key
        if carrier is None or key is None:
            return
        self._platforms = Platforms(carrier, opened.home.path)
        self._gateway_id = read_public(opened.home.gateway_key).name
        gateway = Gateway(self._gateway_id, key, self._platforms.table, chain_id, clock_ms, draw)
        self._panel = Panel(config.department, gateway, questions, ledger, peers, clock_ms)
        self._desk = PhoneDesk(
            config.department,
            gateway,
            key,
            carrier.region,
            chain_id,
            questions,
            self._panel,
            self.kept,
            lambda: View(ledger.state.get),
            own,
            clock_ms,
        )
        if config.phone.sweep:
            self.sweeper = Sweeper(self._desk, config.phone, clock_ms, is_ready)

    @property
    def desk(self) -> PhoneDesk:
        if self._desk is None:
            raise KehuError(PHONE_NO_GATEWAY, department=self._department)
        return self._desk

    def status(self) -> dict[str, Any] | None:
        """Public facts, JSON values; None without a carrier."""
        if self._platforms is None or self._panel is None:
            return None
        return {
            "gateway": self._gateway_id,
            "platforms": self._platforms.status(),
            "asked_by_others": self._panel.asked_by_others,
            "sweep": None if self.sweeper is None else self.sweeper.status(),
        }

    async def close(self) -> None:
        if self._platforms is not None:
            await self._platforms.close()
