"""The admin API's client, for demonstrations, tests and the command line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from chain.errors import KehuError, define
from node.carrier.simulator.book import Action

ADMIN_REFUSED = define(
    "simulator.admin_refused",
    "the carrier simulator refused an admin request",
    "see the code and status it gave; is the token that of admin.token beside its data file?",
)


TIMEOUT_S: Final = 30.0


class SimulatorAdmin:
    """Talks to one simulator at `url` (no slash at the end) with its admin token. Errors: simulator.admin_refused."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def act(self, action: Action, number: str, on: date | None = None) -> dict[str, Any]:
        """Does `action` as of the day `on` (default: today); gives the number as `show` does."""
        return await self._ask("POST", f"/admin/v1/numbers/{action}", {"number": number, **_on(on)})

    async def activate_many(self, numbers: Iterable[str], on: date | None = None) -> dict[str, Any]:
        """{"activated": how many, "already": how many had a subscriber and keep it}."""
        return await self._ask("POST", "/admin/v1/numbers/activate-many", {"numbers": list(numbers), **_on(on)})

    async def show(self, number: str) -> dict[str, Any]:
        """{"number", "state", "identifier", "subscribers", "since", "asked"}."""
        return await self._ask("POST", "/admin/v1/numbers/show", {"number": number})

    async def add_fault(self, **order: Any) -> dict[str, Any]:
        """The fields of `FaultOrder`: kind, part, number, delay_ms, status, code, variant, requests, share."""
        return await self._ask("POST", "/admin/v1/faults", order)

    async def clear_faults(self) -> dict[str, Any]:
        return await self._ask("DELETE", "/admin/v1/faults", None)

    async def limit_rate(self, per_second: float | None, burst: int = 1) -> dict[str, Any]:
        return await self._ask("PUT", "/admin/v1/rate-limit", {"per_second": per_second, "burst": burst})

    async def set_tokens(self, lifetime_s: int) -> dict[str, Any]:
        """Takes all access tokens back; new ones live for `lifetime_s`."""
        return await self._ask("PUT", "/admin/v1/tokens", {"lifetime_s": lifetime_s})

    async def counters(self) -> dict[str, int]:
        """How many look-ups there were and how they ended, since the simulator started."""
        shown: dict[str, int] = (await self._ask("GET", "/admin/v1/counters", None))["counters"]
        return shown

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        async with self._session.request(method, self.url + path, json=body) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            if response.status != 200:
                code = answer.get("code") if isinstance(answer, dict) else None
                raise KehuError(ADMIN_REFUSED, status=response.status, code=code)
            return answer


def _on(day: date | None) -> dict[str, str]:
    return {} if day is None else {"on": day.isoformat()}
