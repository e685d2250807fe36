"""Changes of membership from the outside: what one would do, computed from proven state before anybody signs it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain import codec
from chain.errors import KehuError, define
from chain.state import View, state_key
from chain.transaction import Call
from cli.client import NodeClient
from cli.output import Screen
from contracts.departments.changes import effect_of, present_protocol
from contracts.departments.governance import counted_approvals
from contracts.work_errors import GOVERNANCE_UNKNOWN

MEMBER_REQUEST = define(
    "usage.member_request",
    "the request is not what `kehu node init --json` or `kehu node next-key --json` prints",
    "give --request FILE with that output, of the department that the command names",
)
MEMBER_CODE = define(
    "usage.member_code",
    "an approval names the code of the effect that was looked at, and this is not it",
    "look at `kehu member show PROPOSAL` and give the code that it names with --effect",
)
_PARTS = ("name", "key", "possession", "address")
MEANING = {
    "add": "The department's node votes from the activation height on. Its people have to be enrolled; a rule of the "
    "policy says what they may do and which values its vault gets.",
    "remove": "Its people, gateways, grants, assignments and rules end at the activation height, its node votes and is "
    "served no more. Records stay; who else is entitled keeps the values.",
    "replace": "As remove; its rules and its place among the neighbours pass to the new department, people and "
    "assignments don't.",
    "rotate": "The old key signs nothing from the activation height on; the node restarts by itself with the new one.",
    "protocol": "The rules of that version count from the activation height on. A node whose software does not speak "
    "it stops there, with all its data, and goes on once it is upgraded (docs/upgrading.md).",
    "move": "The other nodes reach it at the new address from the activation height on.",
}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A change with its effect as the proven state gives it now. `proposal`: None where it is only looked at."""

    proposal: str | None
    change: dict[str, Any]
    effect: dict[str, Any]

    @property
    def code(self) -> str | None:
        """What an approval repeats, so that nobody signs what was not looked at; of one proposal, and no other."""
        if self.proposal is None:
            return None
        return hashlib.sha256(codec.encode([self.proposal, self.change, self.effect])).hexdigest()[:8]

    def to_json(self) -> dict[str, Any]:
        change = {name: value for name, value in self.change.items() if name != "possession"}
        effect = {**self.effect, "validators": self.effect["validators"].hex()}
        return {"proposal": self.proposal, "change": change, "effect": effect, "code": self.code}

    def show(self, screen: Screen) -> None:
        effect, change = self.effect, self.change
        pairs = [(name, " -> ".join(map(str, effect[name]))) for name in ("n", "f", "quorum")]
        named = [] if self.proposal is None else [("proposal", self.proposal)]
        screen.facts((*named, *((k, v) for k, v in change.items() if k != "possession")))
        screen.facts((*pairs, ("active after heights", effect["activation_heights"]), ("set", effect["validators"])))
        if "protocol" in effect:
            screen.facts((("protocol", " -> ".join(map(str, effect["protocol"]))),))
        if effect["sole_tables"]:
            screen.line(f"Values that nobody else may be entitled to hold, in: {', '.join(effect['sole_tables'])}")
        screen.line(MEANING[change["kind"]])
        screen.line(
            f"Afterwards {effect['quorum'][1]} of {effect['n'][1]} nodes must answer for anything to be decided."
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a proposal stands. `approvals`: the departments whose approval counts; `lapsed`: those that approved an
    effect which a change of the policy has made another one, and that have to approve again."""

    status: str
    approvals: list[str]
    lapsed: list[str]
    activation_height: int | None


def read_request(file: Path, department: str) -> dict[str, Any]:
    """Parts of a change from what the department's own machine printed. Errors: usage.member_request."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
        parts = {name: found[name] for name in _PARTS if found.get(name) is not None}
        parts["possession"] = bytes.fromhex(parts["possession"])
        is_its = found["department"] == department
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KehuError(MEMBER_REQUEST, file=str(file), problem=type(error).__name__) from None
    if not is_its:
        raise KehuError(MEMBER_REQUEST, file=str(file), department=department, problem="of another department")
    return parts


async def look_ahead(client: NodeClient, proposal: str | None, change: dict[str, Any]) -> Proposed:
    """The effect of `change`, from proven state. Errors: governance.too_few, governance.sole_values, proof.*."""
    return Proposed(proposal, change, effect_of(await _proven_rules(client), change))


def new_proposal() -> str:
    return f"m-{secrets.token_hex(5)}"


async def _proven_rules(client: NodeClient) -> View:
    """All that an effect follows from."""
    rows: dict[bytes, bytes] = {}
    for table, key in (("validators", "schedule"), ("policy", "current"), ("protocol", "schedule")):
        value, _ = await client.state(table, key)
        if value is not None:
            rows[state_key(table, key)] = codec.encode(value)
    return View(rows.get)


async def look_up(client: NodeClient, proposal: str) -> tuple[Proposed, Standing]:
    """A proposal with its effect now, and how it stands, proven. Errors: governance.unknown, and as `look_ahead`."""
    row, _ = await client.state("proposals", proposal)
    if row is None:
        raise KehuError(GOVERNANCE_UNKNOWN, proposal=proposal)
    if row["status"] != "open":
        return Proposed(proposal, row["change"], row["effect"]), _standing(row, row["approvals"])
    view = await _proven_rules(client)
    proposed = Proposed(proposal, row["change"], effect_of(view, row["change"]))
    return proposed, _standing(row, counted_approvals(row, proposed.effect, present_protocol(view)))


def _standing(row: dict[str, Any], counted: Iterable[str]) -> Standing:
    return Standing(
        row["status"], sorted(counted), sorted(set(row["approvals"]) - set(counted)), row["activation_height"]
    )


async def propose(client: NodeClient, proposed: Proposed) -> dict[str, Any]:
    args = {"proposal": proposed.proposal, "change": proposed.change, "effect": proposed.effect}
    committed = await client.execute([Call("governance.propose", args)])
    return {"transaction": committed.transaction_id, "height": committed.height, **committed.result()}
