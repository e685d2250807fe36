"""The phone desk of a department that has a carrier: made from the node's folder, closed with the node."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from chain.errors import KehuError
from chain.state import View
from node.carrier.gateway import Gateway
from node.carrier.platforms import Platforms
from node.keys import read_public
from node.opening import Opened
from node.own_transactions import OwnTransactions
from node.phone import PHONE_NO_GATEWAY, PhoneDesk


class PhoneOffice:
    """Without a carrier section and a gateway key there is no desk, and `desk` raises phone.no_gateway.

    Errors: config.missing (secrets of carriers), config.invalid, carrier.* (their configuration).
    """

    def __init__(
        self, opened: Opened, view: Callable[[], View], own: OwnTransactions, clock_ms: Callable[[], int]
    ) -> None:
        self._department = opened.config.department
        self._platforms: Platforms | None = None
        self._desk: PhoneDesk | None = None
        carrier, key = opened.config.carrier, opened.gateway_key
        if carrier is None or key is None:
            return
        self._platforms = Platforms(carrier, opened.home.path)
        chain_id, name = opened.genesis.chain_id, read_public(opened.home.gateway_key).name
        gateway = Gateway(name, key, self._platforms.table, chain_id, clock_ms, secrets.token_bytes)
        self._desk = PhoneDesk(
            gateway, key, carrier.region, chain_id, opened.vault, view, own, clock_ms, secrets.token_bytes
        )

    @property
    def desk(self) -> PhoneDesk:
        if self._desk is None:
            raise KehuError(PHONE_NO_GATEWAY, department=self._department)
        return self._desk

    async def close(self) -> None:
        if self._platforms is not None:
            await self._platforms.close()
