"""A carrier simulator served over real HTTP on loopback, its admin, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from node.carrier.camara import NumberRecycling, RecyclingConfig
from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.oauth import Credentials
from node.carrier.simulator import Simulator, SimulatorConfig, make_simulator, serving
from node.carrier.simulator.admin import SimulatorAdmin

NUMBER, SECOND, THIRD = "+8613800138000", "+8613912345678", "+8618611112222"


class Carrier:
    """One running simulator and what talks to it."""

    def __init__(self, simulator: Simulator, url: str, admin: SimulatorAdmin, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.url = url
        self.admin = admin
        self._stack = stack

    async def stop(self) -> None:
        """Stops the simulator and closes its clients."""
        await self._stack.aclose()

    async def lookup(self, **settings: Any) -> IdentifierLookup:
        """A client whose limits suit a test; closed with the carrier."""
        given: dict[str, Any] = {
            "name": "mobile-1",
            "url": self.url,
            "token": self.simulator.lookup_token,
            "retry_pause_ms": 1,
            "deadline_ms": 30_000,
        }
        return await self._stack.enter_async_context(IdentifierLookup(LookupConfig(**(given | settings))))

    async def recycling(self, **settings: Any) -> NumberRecycling:
        """The same for the dialect of Number Recycling."""
        simulator = self.simulator
        given: dict[str, Any] = {
            "name": "mobile-2",
            "url": self.url,
            "token_url": self.url + "/oauth2/token",
            "read_credentials": lambda: Credentials(simulator.client_id, simulator.client_secret),
            "retry_pause_ms": 1,
            "deadline_ms": 30_000,
        }
        return await self._stack.enter_async_context(NumberRecycling(RecyclingConfig(**(given | settings))))


@pytest.fixture
async def start_carrier(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a simulator over `tmp_path`; a second call after the first was closed is a restart."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Carrier:
            config = SimulatorConfig("127.0.0.1", 0, tmp_path / "numbers.json", **({"seed": "test"} | settings))
            own = await stack.enter_async_context(AsyncExitStack())
            simulator = make_simulator(config)
            url = await own.enter_async_context(serving(simulator, config.host, config.port))
            admin = await own.enter_async_context(SimulatorAdmin(url, simulator.admin_token))
            return Carrier(simulator, url, admin, own)

        yield start


@pytest.fixture
async def carrier(start_carrier: Callable[..., Any]) -> Carrier:
    """A running simulator in which `NUMBER` has a subscriber."""
    started: Carrier = await start_carrier()
    await started.admin.act("activate", NUMBER)
    return started
