"""Looks at all nodes of a network and puts what they say of its progress into one answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from chain.errors import KehuError
from cli.exits import RemoteRefusal
from cli.processes import processes
from cli.profile import Profile
from cli.transport import Transport, is_height

LEVELS: Final = ("still", "act", "note")
_HEADLINES: Final = ("nodes.silent", "network.no_quorum", "network.stalled", "network.changes_primary",
                     "network.progresses")  # fmt: skip
_WHY: Final = frozenset({"headline", "findings", "facts"})


@dataclass(frozen=True, slots=True)
class Look:
    """One node's answer to GET /v1/why or /v1/doctor; None with the problem's code where there was none. `local`: of a
    node whose folder is on this machine: {"pid", "free_bytes"}."""

    department: str
    url: str
    said: Mapping[str, Any] | None
    head: tuple[int, str] | None = None
    problem: str | None = None
    local: dict[str, Any] = field(default_factory=dict)


async def look_at(profile: Profile, names: Sequence[str], person: Any) -> list[Look]:
    """`person`: None, or (department, key): that department's node tells its people more than others."""
    here = {process.name: process.pid() for process in processes(profile)}
    return list(await asyncio.gather(*(_look(profile, name, person, here) for name in names)))


async def _look(profile: Profile, name: str, person: Any, here: Mapping[str, int | None]) -> Look:
    url = profile.node_url(name)
    is_own = person is not None and (person[0] == name or name not in profile.nodes)
    key, path = (person[1], "/v1/doctor") if is_own else (None, "/v1/why")
    department = person[0] if is_own else name
    local = {"pid": here[name], "free_bytes": _free(profile.node_home(name))} if name in here else {}
    async with Transport(url, profile.genesis.chain_id, department, key) as transport:
        try:
            said = await _said(transport, path, is_own)
            status = await transport.json("GET", "/v1/status")
        except KehuError as error:
            return Look(name, url, None, problem=error.code, local=local)
    if not _is_answer(said) or not isinstance(status, dict) or not is_height(status.get("height")):
        return Look(name, url, None, problem="node.answer_malformed", local=local)
    if status.get("chain_id") != profile.genesis.chain_id.hex():
        return Look(name, url, None, problem="proof.other_network", local=local)
    return Look(name, url, said, (status["height"], str(status.get("block_id"))), local=local)


async def _said(transport: Transport, path: str, is_own: bool) -> Any:
    """Who may not ask their own node for more (a customer, a revoked key) gets what it tells anybody."""
    try:
        return await transport.json("GET", path, is_signed=is_own)
    except RemoteRefusal as error:
        if not is_own or not error.code.startswith("auth."):
            raise
    return await transport.json("GET", "/v1/why")


def _is_answer(said: Any) -> bool:
    """Whether it can be told with what others say: one node that answers oddly must not hide what those do."""
    is_whole = isinstance(said, dict) and said.keys() >= _WHY and isinstance(said["findings"], list)
    return is_whole and all(map(_is_finding, said["findings"]))


def _is_finding(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("details"), dict) or found.get("level") not in LEVELS:
        return False
    return all(isinstance(found.get(name), str) for name in ("code", "text"))


def _free(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def conclude(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Findings, the headline first; each with `by`, the nodes that say so.

    The headline is that of the nodes that answer: of several, what most of them say, the worse one if as many do.
    """
    answered = [look for look in looks if look.said is not None]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for look in answered:
        for finding in look.said["findings"] if look.said else ():
            subject = str(finding["details"].get("department") or finding["details"].get("what") or "")
            own = look.department if _is_own(finding["code"]) else ""
            entry = found.setdefault((finding["code"], subject + own), {**finding, "by": []})
            entry["by"].append(look.department)
    headlines = [entry for (code, _), entry in found.items() if code in _HEADLINES]
    others = [entry for (code, _), entry in found.items() if code not in _HEADLINES]
    others += _silent(looks) + _forks(answered)
    if not headlines:
        headlines = [_finding("nodes.silent", "still", "No node answers: nothing is known of the network")]
    headline = max(headlines, key=_weight)
    return [headline, *sorted(others, key=lambda entry: LEVELS.index(entry["level"]))]


def _weight(headline: Mapping[str, Any]) -> tuple[int, int]:
    return len(headline["by"]), len(_HEADLINES) - _HEADLINES.index(headline["code"])


def _is_own(code: str) -> bool:
    """Whether it is about the node that says it, so that two nodes' are two findings."""
    return code.startswith(("node.", "disk.", "vault.", "mempool.", "requests."))


def _finding(code: str, level: str, text: str, by: Iterable[str] = (), **details: Any) -> dict[str, Any]:
    return {"code": code, "level": level, "text": text, "details": details, "by": list(by)}


def _silent(looks: Sequence[Look]) -> list[dict[str, Any]]:
    found = []
    for look in looks:
        if look.said is not None:
            continue
        text = f"The node of {look.department} does not answer at {look.url} ({look.problem})"
        if look.local:
            text += "; its process does not run here" if look.local["pid"] is None else f"; process {look.local['pid']}"
            if (look.local["free_bytes"] or 0) < 64 << 20:
                text += "; its disk is full" if look.local["free_bytes"] is not None else "; its folder can't be read"
        details = {"department": look.department, "problem": look.problem, **look.local}
        found.append(_finding("node.silent", "act", text, **details))
    return found


def _forks(answered: Sequence[Look]) -> list[dict[str, Any]]:
    """Two blocks at one height: cannot be, while at most f departments are faulty."""
    blocks: dict[int, dict[str, list[str]]] = {}
    for look in answered:
        if look.head is not None:
            blocks.setdefault(look.head[0], {}).setdefault(look.head[1], []).append(look.department)
    return [
        _finding("network.forked", "still", f"Nodes show different blocks at height {height}: {ids}", height=height)
        for height, ids in sorted(blocks.items())
        if len(ids) > 1
    ]
