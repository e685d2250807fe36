"""The identifier look-up dialect: POST {url}/v1/lookup {"number"} with a bearer token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from node.carrier.client import Again, ClientLimits, PlatformClient, Reply, reason_of
from node.carrier.platform import Answer

_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z._:-]{8,128}")


@dataclass(frozen=True, slots=True)
class LookupConfig(ClientLimits):
    """url: the platform's base URL."""

    name: str
    url: str
    token: str

    def __repr__(self) -> str:
        return f"LookupConfig({self.name!r}, {self.url!r})"


class IdentifierLookup(PlatformClient):
    """A `CarrierPlatform` that speaks the identifier look-up."""

    dialect = "identifier"

    def __init__(self, config: LookupConfig) -> None:
        super().__init__(config.name, config, {"Authorization": f"Bearer {config.token}"})
        self._url = config.url + "/v1/lookup"

    async def look_up(self, number: str, since_ms: int = 0) -> Answer:  # noqa: ARG002 - an identifier has no date
        return await self.ask(lambda: self._attempt(number))

    async def _attempt(self, number: str) -> Answer | Again:
        reply = await self.post(self._url, json={"number": number})
        if reply.status == 429:
            return self.hold_back(reply.retry_after)
        if reply.status != 200:
            return Answer.no_answer(reason_of(reply.status))
        return _read_answer(reply)


def _read_answer(reply: Reply) -> Answer:
    """The answer in a 200's body; anything but {"outcome": "none"} or a found identifier is malformed."""
    said = reply.json()
    if said == {"outcome": "none"}:
        return Answer.none()
    if not isinstance(said, dict) or set(said) != {"outcome", "identifier"} or said["outcome"] != "found":
        raise ValueError("neither found nor none")
    identifier = said["identifier"]
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise ValueError("no identifier")
    return Answer.found(identifier)
