"""What a check of a folder says: findings by code, and counts. No personal value is in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from chain.errors import ErrorSpec, KehuError, define, shown_details

RECORDS_LISTED_MAX: Final = 1_000

CHECK_UNKNOWN_FILE = define(
    "check.unknown_file",
    "the folder holds something that no node puts there",
    "look what it is; a node does not read it",
)
CHECK_FILE_MISSING = define(
    "check.file_missing",
    "the folder lacks something that a node has",
    "start the node: it makes its databases and fetches their content; files that only you have, put back",
)
CHECK_KEY_LOST = define(
    "check.key_lost",
    "node.key is lost, and the key that is to follow it stands beside it; what the lost one had sealed does not open",
    'start the node once the departments know that key (docs/operating.md, "A lost node key"); it fetches the values '
    "anew. If the old key turns up before that, put it back",
)
CHECK_ROWS = define(
    "check.rows",
    "a database of the chain holds other rows than its blocks give",
    "move chain/ away and start the node: it fetches the chain again; then look at the disk",
)
CHECK_NOT_REPLAYED = define(
    "check.not_replayed",
    "the chain began with a snapshot and its older blocks are not here yet: links, receipts and state were compared, "
    "nothing was executed again",
    "let the node run until `first_block` in its status is 1, then check again; or audit another department's node",
)
CHECK_VALUES = define(
    "check.values_unsound",
    "sealed values do not open, or are not those that the chain commits to",
    "start the node: it sets them aside when it reads them, and fetches them from other holders",
)
CHECK_MISSING = define(
    "check.values_missing",
    "the vault lacks values that the department is entitled to",
    "start the node: it fetches them from the other holders; `kehu vault status` then says what nobody gives",
)
CHECK_HELD = define(
    "check.values_held",
    "the vault holds values that are superseded, or that the department is no longer entitled to",
    "start the node: it destroys what is superseded, and the rest once enough entitled departments hold it",
)
CHECK_ERASED = define(
    "check.erased_present",
    "the vault holds values of records that the chain has erased",
    "start the node: it destroys them before it serves anything; then find out who put them back",
)
CHECK_TORN = define(
    "check.torn_tail",
    "a power cut left a half-written end that was never acknowledged",
    "nothing: the next start cuts it off",
)
CHECK_EVIDENCE = define(
    "check.damaged_kept",
    "damaged parts were set aside here; they may hold sealed values",
    "look at the disk, then take damaged/ away",
)


class Weight(StrEnum):
    DAMAGE = "damage"
    """Bytes or meaning are not what they should be."""
    LACKING = "lacking"
    """Sound as it is, and something has to come from elsewhere."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what`: which part of the folder."""

    phase: str
    what: str
    weight: Weight
    error: KehuError

    def to_value(self) -> dict[str, Any]:
        spec = self.error.spec
        return {
            "phase": self.phase,
            "what": self.what,
            "weight": str(self.weight),
            "code": self.error.code,
            "cause": spec.cause,
            "cure": spec.cure,
            "details": shown_details(self.error),
        }


@dataclass
class CheckReport:
    """What was looked at and what was found. `meaning_checked`: the second phase was reached."""

    home: str
    department: str | None = None
    chain_id: str | None = None
    height: int | None = None
    files: int = 0
    bytes: int = 0
    pairs: int = 0
    blocks: int = 0
    transactions: int = 0
    values: int = 0
    meaning_checked: bool = False
    findings: list[Finding] = field(default_factory=list)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    phase: str = "bytes"

    def find(self, what: str, error: KehuError, weight: Weight = Weight.DAMAGE) -> None:
        self.findings.append(Finding(self.phase, what, weight, error))

    def note(self, what: str, spec: ErrorSpec, weight: Weight = Weight.NOTE, **details: object) -> None:
        self.find(what, KehuError(spec, **details), weight)

    def has(self, weight: Weight) -> bool:
        return any(finding.weight is weight for finding in self.findings)

    def to_value(self) -> dict[str, Any]:
        """The keys are those of `kehu check --json`."""
        listed = sorted(self.missing.items())[:RECORDS_LISTED_MAX]
        return {
            "home": self.home,
            "department": self.department,
            "chain_id": self.chain_id,
            "height": self.height,
            "sound": not self.has(Weight.DAMAGE),
            "complete": not self.has(Weight.LACKING),
            "meaning_checked": self.meaning_checked,
            "counts": {
                "files": self.files, "bytes": self.bytes, "pairs": self.pairs, "blocks": self.blocks,
                "transactions": self.transactions, "values": self.values,
            },
            "findings": [finding.to_value() for finding in self.findings],
            "missing": {
                "values": self.missing.total(),
                "records": [{"table": table, "record": record, "values": n} for (table, record), n in listed],
            },
        }  # fmt: skip
