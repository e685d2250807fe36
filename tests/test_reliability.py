"""docs/reliability.md names a test, or what lacks, for every number of the lists, and the tests it names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
IDS = (
    *(f"S{number:02d}" for number in range(1, 26)),
    *(f"B{number:02d}" for number in range(1, 47)),
    *(str(number) for number in range(1, 43) if number != 35),
    *(f"C{number:02d}" for number in range(1, 25)),
)


def rows() -> dict[str, tuple[list[str], str]]:
    """Id -> (tests, what stands beside them)."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = text.partition("## Every number of the lists")[2].partition("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| ([SBC]?\d+) \|[^|]*\|([^|]*)\|([^|]*)\|$", table, re.MULTILINE):
        assert row[0] not in found
        found[row[0]] = (re.findall(r"`(test_\w+)`", row[1]), row[2].strip())
    return found


def test_every_number_has_a_test_or_says_what_lacks() -> None:
    assert tuple(rows()) == IDS
    assert [id_ for id_, (tests, beside) in rows().items() if not tests and not beside] == []


def test_every_test_that_is_named_exists() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    exist = set(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    assert sorted({name for tests, _ in rows().values() for name in tests} - exist) == []
