"""The part of the story in which departments move, nodes change keys, and somebody equivocates."""

from __future__ import annotations

from typing import Any

from chain import codec
from chain.evidence import Evidence, Statement
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.departments.changes import effect_of
from tests.contracts.office import Office, hex_of, key_of


def tell_governance(office: Office) -> None:
    change = {"kind": "move", "department": "sales", "address": "10.0.0.9:7000"}
    _propose(office, "q1", change)
    office.ok("boss", "governance.withdraw", proposal="q1")
    effect = _propose(office, "q2", change)
    for person in ("clerk", "qian", "li", "sun", "zhao"):
        answer: Any = office.ok(person, "governance.approve", proposal="q2", effect=effect)
        if answer["status"] != "open":
            break
    _pass_until(office, answer["activation_height"])
    payload = possession_payload("technical", hex_of("node technical 2"))
    possession = key_of("node technical 2").sign(POSSESSION_PURPOSE, office.chain_id, payload)
    next_key = {"key": hex_of("node technical 2"), "possession": possession}
    height = office.ok("node technical", "governance.rotate", proposal="q3", **next_key)["activation_height"]
    office.ok("node finance", "governance.advance")
    _pass_until(office, height)
    office.ok("node sales", "evidence.report", evidence=_piece(office))
    office.ok("node sales", "votes.report_loss", votes_from=office.ledger.height + 9)
    office.call("boss", "permissions.limit_grants", duration_ms_max=86_400_000)


def _propose(office: Office, proposal: str, change: dict[str, Any]) -> dict[str, Any]:
    effect = effect_of(office.view(), change)
    office.ok("boss", "governance.propose", proposal=proposal, change=change, effect=effect)
    return effect


def _pass_until(office: Office, height: int) -> None:
    while office.ledger.height < height:
        office.ok("boss", "access.login")


def _piece(office: Office) -> bytes:
    """Two COMMITs of finance for one height and view."""
    key, chain_id, contents = key_of("node finance"), office.chain_id, [bytes(32), bytes([1]) * 32]
    statements = [
        Statement(content, key.sign("commit", chain_id, codec.encode_flat([0, 1, 0, content]))) for content in contents
    ]
    return Evidence.of(chain_id, "commit", 0, 1, 0, "finance", *statements).to_bytes()
