"""From facts to findings: why the network does or does not progress, in sentences with stable codes.

`diagnose` is a pure function. Its first finding is the headline; the others follow by how much they matter. The codes
are a contract (docs/doctor.md lists them, kept by a test).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from node.why.facts import Facts, Peer
from node.why.versions import left_behind

STILL: Final = "still"
"""The network, or this node's part in it, stands still."""
ACT: Final = "act"
"""It goes on; somebody should do something."""
NOTE: Final = "note"
LEVELS: Final = (STILL, ACT, NOTE)

CODES: Final = {
    "network.progresses": "blocks come, or would come if there were work",
    "network.changes_primary": "a new primary is being agreed on",
    "network.no_quorum": "fewer departments can vote than a block needs",
    "network.stalled": "there is work and a quorum, and no new block for longer than the longest timeouts",
    "node.catches_up": "this node fetches blocks that others have",
    "node.observes": "this node does not vote: its vote log was missing",
    "peer.missing": "no link to a department's node",
    "peer.wrong_key": "who answers for a department has another key than the chain names",
    "peer.behind": "a department's node has fewer blocks",
    "peer.observes": "a department's node does not vote: its vote log was missing",
    "peer.disk": "a department's node says that its disk is full, or nearly",
    "network.left_behind": "at the height of a change of the protocol fewer nodes can go on than a block needs",
    "node.left_behind": "this node's software does not speak the version that counts from a stated height on",
    "peer.left_behind": "a department's node does not speak the version that counts, or will from a stated height on",
    "clock.differs": "another node's clock differs from this one's by more than blocks allow, or half of that",
    "clock.behind_chain": "the newest block is from later than this clock allows: blocks keep its time until then",
    "disk.full": "a disk of this node is as good as full",
    "disk.low": "a disk of this node is nearly full",
    "vault.missing": "values that this department should hold are not here yet",
    "vault.unconfirmed": "erasures here whose receipt is not on the chain yet",
    "mempool.waiting": "transactions wait for a block",
    "requests.refused": "requests were refused since the start, by code",
    "peer.accused": "this node saw a department break the protocol",
}
"""What each code means."""
OPERATORS: Final = frozenset(
    {"peer.wrong_key", "peer.disk", "clock.differs", "clock.behind_chain", "disk.full", "disk.low", "vault.missing",
     "vault.unconfirmed", "requests.refused", "peer.accused"}
)  # fmt: skip
"""Not told to anybody who asks: they say where a node could be hurt, or what its people do."""


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    level: str
    text: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_value(self) -> dict[str, Any]:
        return {"code": self.code, "level": self.level, "text": self.text, "details": self.details}


def diagnose(facts: Facts) -> list[Finding]:
    """The headline first, then what stands still, what to act on, and notes, in the order of the rules below."""
    headline = _headline(facts)
    rules = (_peers, _keys, _own_part, _versions, _disks, _clocks, _vault, _work)
    found = [finding for rule in rules for finding in rule(facts)]
    return [headline, *sorted(found, key=lambda finding: LEVELS.index(finding.level))]


def time_of(time_ms: int, now_ms: int) -> str:
    """As people read it: the minute, with the date if that is another one. UTC."""
    then, now = (datetime.fromtimestamp(each / 1000, UTC) for each in (time_ms, now_ms))
    return then.strftime("%H:%M UTC" if then.date() == now.date() else "%Y-%m-%d %H:%M UTC")


def seconds(duration_ms: int) -> str:
    return f"{max(0, duration_ms) / 1000:.1f} s"


def count_of(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _missing(facts: Facts) -> list[Peer]:
    return [peer for peer in facts.peers if peer.missing_since_ms is not None]


def _mute(facts: Facts) -> list[str]:
    """Members that are linked and don't vote, this node's department included."""
    own = [facts.department] if facts.is_observer else []
    return sorted(own + [peer.department for peer in facts.peers if _is_mute(peer)])


def _is_mute(peer: Peer) -> bool:
    return peer.missing_since_ms is None and peer.standing is not None and peer.standing.is_observer


def _headline(facts: Facts) -> Finding:
    missing, mute = _missing(facts), _mute(facts)
    n, able = len(facts.members), len(facts.members) - len(missing) - len(mute)
    if able < facts.quorum:
        return _no_quorum(facts, missing, mute, able)
    waited_ms = None if facts.waiting_since_ms is None else facts.now_ms - facts.waiting_since_ms
    if waited_ms is not None and waited_ms > facts.patience_ms and not facts.is_catching_up:
        return _stalled(facts, waited_ms)
    if not facts.is_view_active:
        asked = [name for name, view in facts.asked_for if view >= facts.view]
        text = f"A new primary is being agreed on: view {facts.view}, {facts.primary}; {_have(asked, facts.quorum)}"
        return Finding("network.changes_primary", NOTE, f"{text}{_next(facts)}", {"asked": asked, "view": facts.view})
    last = time_of(facts.block_time_ms, facts.now_ms)
    but = f", with {len(missing)} of {n} departments missing" if missing else ""
    text = f"Network progresses{but}: block {facts.height} at {last}, view {facts.view}, primary {facts.primary}"
    return Finding("network.progresses", NOTE, text, {"height": facts.height, "view": facts.view})


def _no_quorum(facts: Facts, missing: Sequence[Peer], mute: Sequence[str], able: int) -> Finding:
    parts = []
    if missing:
        since = ", ".join(f"{peer.department} since {_since(peer, facts)}" for peer in missing)
        parts.append(f"{len(missing)} of {len(facts.members)} departments {_are(missing)} missing ({since})")
    if mute:
        parts.append(f"{', '.join(mute)} {_are(mute)} not voting (no vote log)")
    text = f"Stands still: {'; '.join(parts)}; {facts.quorum} votes are needed and {able} can be had"
    details = {"missing": [peer.department for peer in missing], "mute": list(mute), "quorum": facts.quorum}
    return Finding("network.no_quorum", STILL, text, details)


def _stalled(facts: Facts, waited_ms: int) -> Finding:
    """The votes of this height that are there, and whose are lacking."""
    if not facts.is_view_active:
        asked = [name for name, view in facts.asked_for if view >= facts.view]
        stage, there = f"view {facts.view} is asked for", asked
    elif not facts.has_proposal:
        stage, there = f"{facts.primary}, the primary of view {facts.view}, has proposed nothing", []
    elif len(facts.prepared_by) < facts.quorum:
        stage, there = f"the proposal of {facts.primary} is not prepared", list(facts.prepared_by)
    else:
        stage, there = f"the proposal of {facts.primary} is prepared and not committed", list(facts.committed_by)
    lacking = [name for name in facts.members if name not in there]
    votes = f"; {_have(there, facts.quorum)}, lacking: {', '.join(lacking)}" if there else ""
    text = f"Stands still for {seconds(waited_ms)} at height {facts.height + 1}: {stage}{votes}{_next(facts)}"
    return Finding("network.stalled", STILL, text, {"there": there, "lacking": lacking, "waited_ms": waited_ms})


def _have(there: Sequence[str], quorum: int) -> str:
    return f"{len(there)} of {quorum} needed ({', '.join(there) or 'nobody'})"


def _next(facts: Facts) -> str:
    if not facts.timers:
        return ""
    timer = min(facts.timers, key=lambda item: item.due_ms)
    return f"; next timer: {timer.name} in {seconds(timer.due_ms - facts.now_ms)}"


def _since(peer: Peer, facts: Facts) -> str:
    return time_of(peer.missing_since_ms or facts.now_ms, facts.now_ms)


def _are(several: Sequence[object]) -> str:
    return "is" if len(several) == 1 else "are"


def _peers(facts: Facts) -> Iterator[Finding]:
    for peer in facts.peers:
        if peer.missing_since_ms is not None:
            text = f"No link to {peer.department} since {_since(peer, facts)}"
            yield Finding("peer.missing", ACT, text, {"department": peer.department, "since_ms": peer.missing_since_ms})
        elif peer.standing is not None:
            yield from _standing(facts, peer)


def _standing(facts: Facts, peer: Peer) -> Iterator[Finding]:
    standing, who = peer.standing, {"department": peer.department}
    if standing is None:
        return
    own = facts.height if standing.own_height is None else standing.own_height
    behind = own - standing.height
    if behind > 1:
        text = f"{peer.department} is {behind} blocks behind (at {standing.height} of {own})"
        yield Finding("peer.behind", ACT, text, {**who, "height": standing.height, "behind": behind})
    if standing.is_observer:
        text = f"{peer.department} does not vote: its vote log was missing, and it waits until it may vote again"
        yield Finding("peer.observes", ACT, text, who)
    if standing.disk != "ok":
        text = f"{peer.department} says that its disk is {standing.disk}"
        yield Finding("peer.disk", ACT, text, {**who, "disk": standing.disk})


def _keys(facts: Facts) -> Iterator[Finding]:
    for peer in _missing(facts):
        if peer.last_error == "peer.wrong_key":
            text = f"Who answers for {peer.department} does not hold the key that the chain names for it"
            cure = "its node has a wrong key, or the address leads elsewhere"
            yield Finding("peer.wrong_key", ACT, f"{text}: {cure}", {"department": peer.department})
    for what, times in sorted(facts.accusations.items()):
        department, _, offence = what.partition(" ")
        text = f"{department} broke the protocol: {offence}, {count_of(times, 'time')} since this node's start"
        yield Finding("peer.accused", ACT, text, {"department": department, "offence": offence, "times": times})


def _own_part(facts: Facts) -> Iterator[Finding]:
    if facts.is_catching_up:
        yield Finding("node.catches_up", NOTE, f"This node fetches blocks after {facts.height} from others")
    if facts.is_observer:
        when = f"from height {facts.votes_from_height}" if facts.votes_from_height else "once a quorum says where it is"
        yield Finding("node.observes", ACT, f"This node does not vote (no vote log); it will {when}")


def _versions(facts: Facts) -> Iterator[Finding]:
    for code, text, details in left_behind(facts):
        yield Finding(code, ACT, text, details)


def _disks(facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        if disk.state != "ok":
            left = f"{disk.free_bytes >> 20} MiB of {disk.total_bytes >> 20} MiB are free"
            text = f"The disk of {disk.what} is {'full' if disk.state == 'full' else 'nearly full'}: {left}"
            level = STILL if disk.state == "full" else ACT
            yield Finding(f"disk.{disk.state}", level, text, {"what": disk.what, "free_bytes": disk.free_bytes})


def _clocks(facts: Facts) -> Iterator[Finding]:
    for peer in facts.peers:
        offset_ms = 0 if peer.standing is None or peer.missing_since_ms is not None else peer.standing.offset_ms
        if abs(offset_ms) * 2 <= facts.clock_skew_ms_max:
            continue
        which = "ahead of" if offset_ms > 0 else "behind"
        limit = f"blocks may be {seconds(facts.clock_skew_ms_max)} ahead of a node's clock"
        text = f"The clock of {peer.department} is {seconds(abs(offset_ms))} {which} this node's; {limit}"
        yield Finding("clock.differs", ACT, text, {"department": peer.department, "offset_ms": offset_ms})
    ahead_ms = facts.block_time_ms - facts.now_ms
    if ahead_ms > facts.clock_skew_ms_max:
        text = f"Block {facts.height} is from {seconds(ahead_ms)} after what this node's clock says now"
        text += "; where all clocks were set back, blocks keep that time until the clocks have come there"
        yield Finding("clock.behind_chain", ACT, text, {"height": facts.height, "ahead_ms": ahead_ms})


def _vault(facts: Facts) -> Iterator[Finding]:
    if facts.vault_missing:
        text = f"{count_of(facts.vault_missing, 'value')} that this department should hold, no linked holder has given"
        yield Finding("vault.missing", ACT, text, {"values": facts.vault_missing})
    if facts.vault_unconfirmed:
        text = f"{count_of(facts.vault_unconfirmed, 'erasure')} here, whose receipt is not on the chain yet"
        yield Finding("vault.unconfirmed", NOTE, text, {"erasures": facts.vault_unconfirmed})


def _work(facts: Facts) -> Iterator[Finding]:
    if facts.mempool_transactions:
        oldest = facts.overtaken_blocks
        passed = f"; some were passed over by {count_of(oldest, 'block')}" if oldest else ""
        waiting = f"{count_of(facts.mempool_transactions, 'transaction')} for a block{passed}"
        details = {"transactions": facts.mempool_transactions, "overtaken_blocks": oldest}
        yield Finding("mempool.waiting", NOTE, f"Waiting: {waiting}", details)
    if facts.refused:
        most = sorted(facts.refused.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{code} {times}" for code, times in most[:5])
        yield Finding("requests.refused", NOTE, f"Refused since the start: {listed}", {"by_code": dict(most)})
