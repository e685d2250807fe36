"""All nodes of a network at one look."""

from __future__ import annotations

import asyncio
from typing import Any

from chain.errors import KehuError
from cli.processes import CARRIER, Process, is_ready, processes
from cli.profile import Profile
from cli.transport import NODE_ANSWER_MALFORMED, Transport


async def look_at(profile: Profile) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Each node's facts in order of department id, and the carrier simulator's, if the network has one."""
    here = {process.name: process for process in processes(profile)}
    names = {item["id"]: item["name"] for item in profile.genesis.value["departments"]}
    nodes = await asyncio.gather(
        *(_look_at_node(profile, id_, names.get(id_), here.get(id_)) for id_ in sorted(profile.nodes))
    )
    return list(nodes), await _look_at_carrier(profile, here.get(CARRIER))


async def _look_at_node(profile: Profile, department: str, name: str | None, process: Process | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "department": department,
        "name": name,
        "url": profile.node_url(department),
        "pid": process.pid() if process else None,
        "is_ready": False,
        "height": None,
        "block_id": None,
        "problem": None,
    }
    async with Transport(facts["url"], profile.genesis.chain_id, department, None) as transport:
        try:
            said = await transport.json("GET", "/v1/status")
        except KehuError as error:
            return {**facts, "problem": error.code}
    if not isinstance(said, dict) or not isinstance(said.get("node"), dict):
        return {**facts, "problem": NODE_ANSWER_MALFORMED.code}
    is_ready = said["node"].get("is_ready") is True
    return {**facts, "is_ready": is_ready, "height": said.get("height"), "block_id": said.get("block_id")}


async def _look_at_carrier(profile: Profile, process: Process | None) -> dict[str, Any] | None:
    if profile.carrier_url is None:
        return None
    ready = await is_ready(profile.carrier_url + "/healthz")
    return {"url": profile.carrier_url, "pid": process.pid() if process else None, "is_ready": ready}
