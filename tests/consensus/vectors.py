"""Golden vectors of everything consensus puts on the wire or into the vote log, with real signatures.

`python -m tests.consensus.vectors` writes tests/vectors/consensus.json anew; do that only when the format is meant to
change, and review the difference. Format: {"about", "chain_id", "keys": {department: public key},
"messages" and "records": {name: {"bytes": hex}}, "payloads": {name: {"purpose", "payload", "signature"}}}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chain.certificate import Certificate, Vote, sign_vote
from chain.crypto import digest
from consensus.messages import (
    Complaint,
    Message,
    NewView,
    PrePrepare,
    ProposalReply,
    ProposalRequest,
    Status,
    ViewChange,
    VoteMessage,
)
from consensus.votes import CommitRecord, NewViewRecord, PrepareRecord, Record, ViewChangeRecord
from tests.simulation.cheap_crypto import keys_of

PATH = Path(__file__).parent.parent / "vectors" / "consensus.json"
CHAIN_ID = digest("genesis", b"vectors")
BLOCK_ID = digest("block", b"vectors")
KEYS = keys_of(4)
NAMES = tuple(sorted(KEYS))


def votes(phase: str, height: int, view: int) -> list[Vote]:
    return [sign_vote(KEYS[name], CHAIN_ID, phase, 2, height, view, BLOCK_ID, name) for name in NAMES[:3]]  # type: ignore[arg-type]


def messages() -> dict[str, Message]:
    parent = Certificate.of(votes("commit", 6, 0))
    prepared = Certificate.of(votes("prepare", 7, 0))
    changes = tuple(
        ViewChange.signed(KEYS[name], CHAIN_ID, 2, 7, 1, prepared if name == NAMES[0] else None, name)
        for name in NAMES[:3]
    )
    pre_prepare = PrePrepare.signed(KEYS[NAMES[0]], CHAIN_ID, 2, 7, 0, BLOCK_ID, NAMES[0], b"body", parent)
    return {
        "pre-prepare": pre_prepare,
        "pre-prepare at height 1": PrePrepare.signed(KEYS[NAMES[0]], CHAIN_ID, 0, 1, 0, BLOCK_ID, NAMES[0], b"", None),
        "prepare": VoteMessage(votes("prepare", 7, 0)[0]),
        "commit": VoteMessage(votes("commit", 7, 0)[0]),
        "view-change": changes[0],
        "view-change without a prepared certificate": changes[1],
        "new-view": NewView.signed(KEYS[NAMES[1]], CHAIN_ID, 2, 7, 1, BLOCK_ID, changes, NAMES[1]),
        "new-view without a block": NewView.signed(KEYS[NAMES[1]], CHAIN_ID, 2, 7, 1, None, changes[1:], NAMES[1]),
        "status": Status(6, 0, True, False, True, parent),
        "status at genesis": Status(0, 0, True, False, False, None),
        "proposal-request": ProposalRequest(7, BLOCK_ID),
        "proposal-reply": ProposalReply(7, BLOCK_ID, b"body"),
        "complaint": Complaint(7, 1),
    }


def records() -> dict[str, Record]:
    sent = messages()
    view_change, new_view = sent["view-change"], sent["new-view"]
    if not isinstance(view_change, ViewChange) or not isinstance(new_view, NewView):
        raise TypeError
    return {
        "prepare": PrepareRecord(votes("prepare", 7, 0)[0], b"body"),
        "commit": CommitRecord(votes("commit", 7, 0)[0], Certificate.of(votes("prepare", 7, 0))),
        "view-change": ViewChangeRecord(view_change),
        "new-view": NewViewRecord(new_view),
    }


def payloads() -> dict[str, dict[str, str]]:
    signed: dict[str, dict[str, str]] = {}
    for name, message in messages().items():
        match message:
            case VoteMessage(vote):
                purpose, payload, signature = vote.phase, vote.payload(), vote.signature
            case PrePrepare() | ViewChange() | NewView():
                purpose, payload, signature = message.kind, message.payload(), message.signature
            case _:
                continue
        signed[name] = {"purpose": purpose, "payload": payload.hex(), "signature": signature.hex()}
    return signed


def build() -> dict[str, Any]:
    return {
        "about": "docs/spec/consensus.md; written by python -m tests.consensus.vectors",
        "chain_id": CHAIN_ID.hex(),
        "keys": {name: KEYS[name].public.hex() for name in NAMES},
        "messages": {name: {"bytes": message.to_bytes().hex()} for name, message in messages().items()},
        "records": {name: {"bytes": record.to_bytes().hex()} for name, record in records().items()},
        "payloads": payloads(),
    }


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(build(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
