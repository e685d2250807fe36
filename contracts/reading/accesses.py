"""The table of accesses: who asked for which fields of which record, when, what for, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain import codec
from chain.execution import CallContext
from chain.state import View
from contracts.base import next_number, stamp
from contracts.deciding.permissions import Decision
from contracts.deciding.subjects import Subject
from contracts.errors import FIELD_ABSENT
from contracts.projects.dues import is_overdue
from contracts.reading.journals import add_entry
from contracts.records import Record, public_facts

Answers = dict[str, dict[str, Any]]
"""field -> {allowed: true, digest, version, because} | {allowed: false, code}"""


def record_access(
    context: CallContext,
    view: View,
    subject: Subject,
    table: str,
    record_id: str,
    action: str,
    purpose: str,
    answers: Mapping[str, Mapping[str, Any]],
    **more: codec.Value,
) -> None:
    """Adds accesses/<table>.<record>.<n>; `action` is read, list, export, match, history, contact, search,
    log or why."""
    number = next_number(view, f"accesses.{table}.{record_id}")
    row = {
        "by": subject.text,
        "department": subject.department,
        "action": action,
        "purpose": purpose,
        "allowed": sorted(field for field, answer in answers.items() if answer["allowed"]),
        "refused": sorted(field for field, answer in answers.items() if not answer["allowed"]),
        **more,
        **stamp(context),
    }
    key = f"{table}.{record_id}.{number}"
    view.put("accesses", key, row)
    for journal in ("accesses", f"accesses.{subject.text}"):
        add_entry(view, journal, key)


def answer_fields(record: Record, decisions: Mapping[str, Decision]) -> Answers:
    """What the asker is told of each field: where its value's digest is, or why not."""
    answers: Answers = {}
    for field, decision in decisions.items():
        stored = record["fields"].get(field)
        if not decision.allowed:
            answers[field] = {"allowed": False, "code": decision.code}
        elif stored is None:
            answers[field] = {"allowed": False, "code": FIELD_ABSENT.code}
        else:
            digest, version = stored
            answers[field] = {"allowed": True, "digest": digest, "version": version, "because": decision.because}
    return answers


def shown_record(
    table: str, record_id: str, record: Record, answers: Answers, time_ms: int | None = None
) -> dict[str, Any]:
    """One record in the result of a read. With `time_ms`, the block's time, facts that follow from it are among its
    facts: whether a payment is overdue."""
    facts = public_facts(record)
    if table == "payments" and time_ms is not None and "due_ms" in record:
        facts["overdue"] = is_overdue(record, time_ms)
    return {
        "table": table,
        "record": record_id,
        "version": record["version"],
        "facts": facts,
        "fields": answers,
    }


def answer_past_fields(record: Record, past: Record, decisions: Mapping[str, Decision]) -> Answers:
    """As `answer_fields`, of the record as it was: `current` says whether the value of then is still the present one.
    Vaults destroy the others, so of these there is the digest only."""
    answers = answer_fields(past, decisions)
    for field, answer in answers.items():
        if answer["allowed"]:
            answer["current"] = record["fields"].get(field, [None])[0] == answer["digest"]
    return answers
