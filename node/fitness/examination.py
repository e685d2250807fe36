"""All looks at a folder and its machine, put together. Nothing is changed, and a running node is not disturbed."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.genesis import Genesis, is_department_id, is_hex_key
from node.carrier.platforms import require_secrets
from node.fitness.addresses import look_at_addresses
from node.fitness.findings import Finding, found, refused, sort
from node.fitness.machine import is_running, look_at_disk, look_at_libraries, look_at_limits, look_at_secrets
from node.fitness.neighbours import Probing, Told, ask_nodes, look_at_clocks, look_at_peer
from node.folder.config import Config, Home, split_address
from node.folder.reading import FilesRead, try_home
from node.keys.files import read_public
from node.members.joining import Member, read_members
from node.peers.transport import PEER_UNKNOWN, Peer
from node.surroundings import wall_ms
from node.why.findings import STILL


@dataclass(frozen=True, slots=True)
class Examination:
    """`source`: where the members and their keys were taken from: "nodes", "members.json" or "genesis.json"."""

    department: str | None
    chain_id: str | None
    is_running: bool
    source: str | None
    findings: list[Finding]

    @property
    def can_take_part(self) -> bool:
        return not any(finding.level == STILL for finding in self.findings)


async def examine(home: Home, urls: Mapping[str, str], clock_ms: Callable[[], int] = wall_ms) -> Examination:
    """`urls`: other departments' APIs, beyond those that members.json names."""
    if not home.path.is_dir():
        return Examination(None, None, False, None, sort(list(map(refused, try_home(home).errors))))
    read = try_home(home)
    config, genesis = read.config, read.genesis
    runs = is_running(home)
    errors = [*read.errors, *_look_at_carrier(home, config)]
    findings = [*map(refused, errors), *look_at_disk(home.path), *look_at_secrets(home, config)]
    findings += [*look_at_limits(), *look_at_libraries()]
    if runs:
        findings.append(found("home.running"))
    if config is not None:
        findings += look_at_addresses(config.listen, is_running=runs)
    source = None
    if config is not None and genesis is not None:
        source, more = await _look_around(home, config, genesis, read, {**told_urls(home), **urls}, clock_ms)
        findings += more
    chain_id = None if genesis is None else genesis.chain_id.hex()
    return Examination(None if config is None else config.department, chain_id, runs, source, sort(findings))


async def _look_around(
    home: Home, config: Config, genesis: Genesis, read: FilesRead, urls: Mapping[str, str], clock_ms: Callable[[], int]
) -> tuple[str, list[Finding]]:
    told = await ask_nodes({name: url for name, url in urls.items() if name != config.department}, clock_ms)
    ours = [each for each in told if each.chain_id == genesis.chain_id.hex()]
    findings = [
        found("genesis.other", f"{each.department} at {each.url}", department=each.department, address=each.url)
        for each in told
        if each not in ours
    ]
    findings += look_at_clocks(ours, clock_ms(), genesis.time_ms, genesis.clock_skew_ms_max)
    source, members = known_members(home, genesis, ours)
    findings += look_at_keys(home, config, genesis, read, members)
    others = {name: member for name, member in members.items() if name != config.department}
    key = read.node_key or SigningKey(secrets.token_bytes(32))
    identity = Probing(config.department, key, genesis.chain_id)
    looks = [
        look_at_peer(identity, name, Peer(member.key, *split_address(config.peers.get(name, member.address))))
        for name, member in sorted(others.items())
    ]
    found_there = [each for each in await asyncio.gather(*looks) if each is not None]
    return source, findings + [each for each in found_there if config.department in members or not _says_unknown(each)]


def _says_unknown(finding: Finding) -> bool:
    """Whether a department refuses this one only because it has not been admitted: `key.not_member` says it once."""
    return finding.code == "peer.refused" and finding.details["reason"] == PEER_UNKNOWN.code


def told_urls(home: Home) -> dict[str, str]:
    """The APIs that members.json names, if it is there."""
    try:
        nodes = json.loads(home.members.read_text(encoding="utf-8")).get("nodes", {})
        return {str(name): str(url) for name, url in nodes.items() if str(url).startswith(("http://", "https://"))}
    except (OSError, ValueError, AttributeError):
        return {}


def known_members(home: Home, genesis: Genesis, told: list[Told]) -> tuple[str, dict[str, Member]]:
    """What most of the nodes that answer say; else members.json; else genesis."""
    answers = Counter(json.dumps(members_of(each.membership)) for each in told if members_of(each.membership))
    if answers:
        rows = json.loads(answers.most_common(1)[0][0])
        return "nodes", {name: Member(bytes.fromhex(key), address) for name, key, address in rows}
    try:
        if introduced := read_members(home):
            return "members.json", introduced
    except KehuError:
        pass  # try_home does not read it; opening the folder will say so
    keys = {member.department: member.key for member in genesis.validators.members}
    return "genesis.json", {name: Member(key, genesis.addresses[name]) for name, key in keys.items()}


def members_of(membership: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """(department, key, address) of the newest set; nothing if the answer is none."""
    try:
        rows = ((membership or {})["next"] or membership or {})["members"]
        found_ = [(str(row["department"]), str(row["key"]), str(row["address"])) for row in rows]
    except (KeyError, TypeError):
        return []
    return [row for row in found_ if is_department_id(row[0]) and is_hex_key(row[1]) and _is_address(row[2])]


def _is_address(text: str) -> bool:
    try:
        split_address(text)
    except KehuError:
        return False
    return True


def look_at_keys(
    home: Home, config: Config, genesis: Genesis, read: FilesRead, members: Mapping[str, Member]
) -> list[Finding]:
    """The node's key against the network's, the gateway's against genesis."""
    findings = []
    own = members.get(config.department)
    if own is None:
        findings.append(found("key.not_member", config.department, department=config.department))
    elif read.node_key is not None and own.key not in {read.node_key.public, _next_key(home)}:
        details = {"expected": own.key.hex(), "actual": read.node_key.public.hex()}
        findings.append(found("key.other", config.department, department=config.department, **details))
    if read.gateway_key is not None:
        findings += _look_at_gateway(home, genesis, read.gateway_key)
    elif config.carrier is not None and not home.gateway_key.exists():
        findings.append(found("key.no_gateway", department=config.department))
    return findings


def _next_key(home: Home) -> bytes | None:
    try:
        return read_public(home.next_key).public if home.next_key.exists() else None
    except KehuError:
        return None


def _look_at_carrier(home: Home, config: Config | None) -> list[KehuError]:
    """What the node refuses to start with once it has a gateway that asks the carrier."""
    if config is None or config.carrier is None or not home.gateway_key.exists():
        return []
    try:
        require_secrets(config.carrier, home.path)
    except KehuError as error:
        return [error]
    return []


def _look_at_gateway(home: Home, genesis: Genesis, key: SigningKey) -> list[Finding]:
    name = read_public(home.gateway_key).name
    for gateway in genesis.value["gateways"]:
        if gateway.get("id") == name and gateway.get("key") != key.public.hex():
            return [found("key.gateway", name, gateway=name, expected=gateway.get("key"), actual=key.public.hex())]
    return []
