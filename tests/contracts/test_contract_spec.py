"""docs/spec/contracts.md names every call, argument, code and default that the contracts have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import contracts.errors
import contracts.work_errors
from chain.errors import ErrorSpec
from contracts.deciding.policy import default_policy
from contracts.registry import METHODS

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "docs/spec/contracts.md").read_text(encoding="utf-8")
DEFINED = {**vars(contracts.errors), **vars(contracts.work_errors)}
CODES = {value.code: name for name, value in DEFINED.items() if isinstance(value, ErrorSpec)}


def section_of(call: str) -> str:
    found = re.search(rf"^### {re.escape(call)}\n(.*?)(?=^##)", SPEC, re.DOTALL | re.MULTILINE)
    assert found, f"{call} has no section"
    return found.group(1)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_call_is_described_with_all_its_arguments(name: str) -> None:
    words = set(re.findall(r"[a-z_]+", section_of(name)))
    assert set(METHODS[name].arguments) <= words


def test_no_call_is_described_that_does_not_exist() -> None:
    assert sorted(re.findall(r"^### (\S+)$", SPEC, re.MULTILINE)) == sorted(METHODS)


def test_every_code_is_described_used_and_tested() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "contracts").rglob("*.py"))}
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    for code, name in CODES.items():
        assert f"`{code}`" in SPEC, f"{code} is not described"
        assert f'"{code}"' in tests, f"{code} is not tested"
        users = [
            path
            for path, text in sources.items()
            if path.name not in ("errors.py", "work_errors.py") and re.search(rf"\b{name}\b", text)
        ]
        assert users, f"{name} is not used"


def test_the_described_defaults_are_the_defaults() -> None:
    policy = default_policy()
    assert ", ".join(policy["neighbours"]) in SPEC
    for table, fields in policy["tables"].items():
        assert f"{table}: {', '.join(fields)}" in SPEC
    numbers = [f"{value:,}".replace(",", " ") for value in policy["phone"].values()]
    assert ", ".join(numbers) in SPEC
