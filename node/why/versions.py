"""Findings about the protocol: who will be left behind at the height of a change, or was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.why.facts import Change, Facts

Told = tuple[str, str, dict[str, Any]]
"""(code, text, details); all of them are for somebody to act on."""


def left_behind(facts: Facts) -> Iterator[Told]:
    """Those whose software does not speak the version that counts, or will count from a stated height on."""
    change = facts.change or Change(facts.protocol, 0)
    late = [name for name in facts.members if name in facts.spoken and facts.spoken[name][1] < change.version]
    for name in late:
        newest = facts.spoken[name][1]
        details = {"department": name, "speaks": newest, "needs": change.version, "height": change.height}
        if facts.change is None:
            text = f"The node of {name} spoke up to version {newest} of the protocol when last heard, and version "
            yield "peer.left_behind", f"{text}{change.version} counts: it stopped, and goes on once upgraded", details
        elif name == facts.department:
            text = f"This node's software speaks up to version {newest} of the protocol"
            yield "node.left_behind", f"{text}{_then(facts, change)}: install a release that speaks it", details
        else:
            text = f"The node of {name} {_up_to(facts, name)} of the protocol"
            yield "peer.left_behind", f"{text}{_then(facts, change)}, unless it is upgraded", details
    able = len(facts.members) - len(late)
    if late and facts.change is not None and able < facts.quorum:
        text = f"From height {change.height} on {able} of {len(facts.members)} nodes can go on, and {facts.quorum} are "
        details = {"able": able, "quorum": facts.quorum, "height": change.height}
        yield "network.left_behind", f"{text}needed: without upgrades the network stops there", details


def _up_to(facts: Facts, name: str) -> str:
    is_linked = all(peer.missing_since_ms is None for peer in facts.peers if peer.department == name)
    newest = facts.spoken[name][1]
    return f"speaks up to version {newest}" if is_linked else f"spoke, when last heard, up to version {newest}"


def _then(facts: Facts, change: Change) -> str:
    blocks = change.height - 1 - facts.height
    return f", and from height {change.height} on version {change.version} counts: it stops after {blocks} more blocks"
