"""What this node's software speaks of the protocol, what the chain needs, and what the other departments' nodes speak.

A node whose software does not speak the version of the next height stops once the block before it is stored, before it
votes on anything further: it would decide by other rules than everybody else. It learns that from its own certified
state, never from what a peer says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain import protocol
from chain.errors import KehuError
from chain.ledger import Ledger
from node.why.facts import Change


class Outdated(KehuError):  # noqa: N818 - a state of this software, not of a caller
    """The next height is made by rules that this software does not speak. The node ends; its folder is whole."""


def require_spoken(ledger: Ledger) -> None:
    """Raises `Outdated` unless this software can take part in the next height."""
    try:
        ledger.require_supported()
    except KehuError as error:
        raise Outdated(error.spec, **error.details) from None


def coming_change(ledger: Ledger) -> Change | None:
    """The version that is agreed on and does not count yet, with its first height."""
    height, version = protocol.last_version(ledger.protocol_schedule())
    return None if height <= ledger.height + 1 else Change(version, height)


def describe(ledger: Ledger, department: str, spoken: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """What `GET /v1/protocol` says. `spoken`: (oldest, newest) of each department's software, as its node said
    over the link that stands; who is not linked is not known."""
    validators, change = ledger.validators(ledger.height + 1), coming_change(ledger)
    return {
        "height": ledger.height,
        "version": ledger.protocol(ledger.height + 1),
        "next": None if change is None else {"version": change.version, "activation_height": change.height},
        "department": department,
        "speaks": [protocol.OLDEST, protocol.NEWEST],
        "quorum": validators.quorum,
        "nodes": [
            {"department": name, "speaks": list(spoken[name]) if name in spoken else None}
            for name in validators.departments
        ],
    }
