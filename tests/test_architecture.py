"""The shape of the house: what its files and functions may be. The import rules are import-linter's (`make lint`)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("chain", "consensus", "contracts", "node", "cli")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 80
PURE = ("chain", "consensus", "contracts")
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input", "open", "print", "id", "hash"}


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=named)
def test_a_source_file_is_small_explained_and_without_asserts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= FILE_LINES_MAX
    if path.name != "__init__.py":
        assert ast.get_docstring(tree), "a file says at its top what it is for"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert disappears under -O"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", sources(*PURE), ids=named)
def test_the_core_calls_nothing_that_could_differ_between_replicas(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"line {node.lineno}: {node.func.id}"
        if isinstance(node, (ast.For, ast.comprehension)):
            assert not _is_set(node.iter), "the order of a set differs from process to process: sort it"


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"set", "frozenset"}
    return isinstance(node, (ast.Set, ast.SetComp))


def test_nothing_is_left_for_later() -> None:
    marks = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error"]))
    left = [
        f"{named(path)}: {line.strip()}"
        for path in sources(*PACKAGES, "tests", "tools")
        for line in path.read_text(encoding="utf-8").splitlines()
        if marks.search(line)
    ]
    assert left == []


def test_dangerous_ways_to_read_bytes_are_nowhere() -> None:
    banned = re.compile(r"^\s*(import|from) (pickle|marshal|shelve|yaml|dill)\b|(?<![\w.])(eval|exec)\(", re.MULTILINE)
    assert [named(path) for path in sources(*PACKAGES) if banned.search(path.read_text(encoding="utf-8"))] == []


def test_no_secret_is_compared_in_a_time_that_depends_on_it() -> None:
    """S22. Keys of requests are public and on the chain; what is secret is compared by `hmac.compare_digest`, except a
    passphrase that was typed twice at one's own terminal."""
    compared = re.compile(
        r"\b\w*(token|secret|passphrase|password|hmac)\w*(\(.*\))? *(==|!=)|(==|!=) *\w*(token|secret)\b"
    )
    left = [
        named(path)
        for path in sources(*PACKAGES)
        for line in path.read_text(encoding="utf-8").splitlines()
        if compared.search(line)
    ]
    assert left == ["node/keys/passphrase.py"]
