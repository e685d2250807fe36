"""Evidence of equivocation on the record: reported by the node that found it, checked by every department."""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.errors import KehuError
from chain.evidence import EVIDENCE_BYTES_MAX, REPORT_CALL, Evidence
from chain.execution import CallContext
from chain.state import View
from chain.validators import ValidatorSet
from contracts.base import Args, Argument, methods, next_number, stamp
from contracts.deciding.subjects import require_kind
from contracts.errors import EVIDENCE_HEIGHT, EVIDENCE_KNOWN, EVIDENCE_LIMIT

EVIDENCE_MAX: Final = 1_000
"""Pieces of evidence against one department: more prove nothing more, and would only fill the chain."""


def is_evidence_bytes(value: codec.Value) -> bool:
    return type(value) is bytes and 0 < len(value) <= EVIDENCE_BYTES_MAX


def report(context: CallContext, view: View, args: Args) -> codec.Value:
    """By any department's node. Writes evidence/NAME; further evidence of the same changes nothing."""
    sender = require_kind(context, view, "node")
    evidence = Evidence.from_bytes(args["evidence"])
    evidence.verify(_validators_at(view, evidence.height), context.chain_id)
    if view.has("evidence", evidence.name):
        raise KehuError(EVIDENCE_KNOWN, evidence=evidence.name)
    number = next_number(view, f"evidence.{evidence.department}")
    if number > EVIDENCE_MAX:
        raise KehuError(EVIDENCE_LIMIT, department=evidence.department, limit=EVIDENCE_MAX)
    next_number(view, "evidence")
    about = {"department": evidence.department, "kind": evidence.kind, "epoch": evidence.epoch}
    place = {"at_height": evidence.height, "view": evidence.view}
    row = {**about, **place, "evidence": args["evidence"], "by": sender.department, **stamp(context)}
    view.put("evidence", evidence.name, row)
    return {"evidence": evidence.name, **about, **place, "number": number}


def _validators_at(view: View, height: int) -> ValidatorSet:
    """Who decided that height, by the schedule in the state (chain.ledger). Errors: evidence.height."""
    schedule: dict[str, Any] = view.get("validators", "schedule") or {"sets": []}
    sets = [value for activation, value in schedule["sets"] if activation <= height]
    if not sets:
        raise KehuError(EVIDENCE_HEIGHT, height=height)
    return ValidatorSet.from_value(sets[-1])


METHODS: Final = methods(
    (
        REPORT_CALL,
        report,
        {
            "evidence": Argument(
                f"evidence (docs/spec/evidence.md), at most {EVIDENCE_BYTES_MAX} bytes", is_evidence_bytes
            )
        },
    ),
)
