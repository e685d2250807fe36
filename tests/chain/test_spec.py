"""docs/spec is in step with the code: its numbers, tags, purposes, fields, codes, and every example."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import chain
from chain import attestation, findings
from chain.block import Header
from chain.certificate import PHASES
from chain.errors import CATALOGUE
from chain.execution import UNEXECUTED
from chain.receipt import Receipt
from chain.transaction import Transaction
from chain.validators import faults_tolerated, quorum_of

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "docs" / "spec"
PAPERS = ("encoding", "digests", "signatures", "genesis", "transactions", "batches-blocks", "certificates", "receipts",
          "state", "export", "evidence", "membership", "snapshot", "protocol")  # fmt: skip
TEXTS = {name: (SPEC / f"{name}.md").read_text(encoding="utf-8") for name in PAPERS}


def rows(paper: str, header: str) -> list[list[str]]:
    """The cells of the table whose first header cell is `header`, without back quotes."""
    found: list[list[str]] = []
    is_inside = False
    for line in TEXTS[paper].splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == header:
            is_inside = True
        elif not cells:
            is_inside = False
        elif is_inside and not cells[0].startswith("---"):
            found.append(cells)
    return found


def documented_limits() -> dict[str, int]:
    pattern = re.compile(r"^\| `(chain\.[a-z]+\.[A-Z_]+)` \| ([\d,]+) \|", re.MULTILINE)
    return {name: int(value.replace(",", "")) for text in TEXTS.values() for name, value in pattern.findall(text)}


def limits_in_code() -> dict[str, int]:
    found = {}
    for path in sorted((ROOT / "chain").glob("*.py")):
        module = importlib.import_module(f"chain.{path.stem}") if path.stem != "__init__" else chain
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
            name = target.id if isinstance(target, ast.Name) else "_"
            value = getattr(module, name, None)
            if name.isupper() and not name.startswith("_") and type(value) is int:
                found[f"{module.__name__}.{name}"] = value
    return found


def test_every_number_of_the_code_is_documented_with_its_value() -> None:
    in_code = limits_in_code()
    elsewhere = ("chain.attestation", "chain.records")  # attestation.md, compared by its own test
    assert documented_limits() == {name: value for name, value in in_code.items() if not name.startswith(elsewhere)}


def calls(method: str) -> Iterator[str]:
    for package in ("chain", "consensus", "contracts", "node", "cli"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == method:
                    first = node.args[0] if node.args else None
                    if isinstance(first, ast.Constant) and isinstance(first.value, str):
                        yield first.value


def test_the_table_of_digest_tags_is_the_codes() -> None:
    assert sorted(row[0] for row in rows("digests", "tag")) == sorted({*calls("digest"), *calls("tag_prefix")})


def test_the_table_of_purposes_is_the_codes() -> None:
    from consensus.messages import NewView, PrePrepare, ViewChange
    from contracts.deciding.subjects import POSSESSION_PURPOSE
    from contracts.people.invitations import INVITATION_PURPOSE
    from node.peers.transport import HELLO_PURPOSE

    consensus = (PrePrepare.kind, ViewChange.kind, NewView.kind)
    of_people = (POSSESSION_PURPOSE, INVITATION_PURPOSE)
    expected = {"transaction", "batch", *PHASES, attestation.PURPOSE, *of_people, HELLO_PURPOSE, *consensus}
    documented = [row[0] for row in rows("signatures", "purpose")]
    assert sorted(documented) == sorted(expected)
    assert set(calls("sign")) <= expected


def test_the_fields_of_fixed_structures_are_the_codes_in_their_order() -> None:
    header = [row[1] for row in rows("batches-blocks", "position in the header")]
    assert header == [field.name for field in fields(Header)]
    body = [row[1] for row in rows("transactions", "position in the body")]
    of_class = list(Transaction.__struct_fields__)
    assert body == ["version", *of_class[of_class.index("chain_id") :]]
    assert [row[1] for row in rows("receipts", "position")] == list(Receipt.__struct_fields__)


def test_quorums_checks_and_codes_are_the_codes() -> None:
    for n, f, q in rows("certificates", "n"):
        assert (int(f), int(q)) == (faults_tolerated(int(n)), quorum_of(int(n)))
    assert tuple(row[0] for row in rows("export", "check")) == findings.CHECKS
    assert all(row[0] in CATALOGUE for row in rows("receipts", "code"))


@pytest.mark.parametrize(("paper", "heading"), [("transactions", "## Once"), ("snapshot", "**S7")])
def test_what_is_not_executed_is_named_in_full(paper: str, heading: str) -> None:
    said = re.split(r"\n## |\n- \*\*", TEXTS[paper].partition(heading)[2])[0]
    assert set(re.findall(r"`(transaction\.[a-z_]+)`", said)) == UNEXECUTED


def test_the_table_of_genesis_fields_is_what_a_genesis_must_have() -> None:
    from chain.genesis import _FIELDS

    assert {row[0] for row in rows("genesis", "field")} == {"version", "protocol", *_FIELDS}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_example_is_found_in_the_golden_vectors(paper: str) -> None:
    vectors = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / "vectors").glob("*.json")))
    constants = {"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                 "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}  # fmt: skip
    for example in re.findall(r"(?<![0-9a-zA-Z])[0-9a-f]{24,}(?![0-9a-zA-Z])", TEXTS[paper]):
        if example.isdecimal() or bytes.fromhex(example).startswith(b"kehu/block"):
            continue  # a number; the input of a hash written out
        if example not in constants:
            assert example in vectors, example


def test_examples_of_the_encoding_are_in_the_vectors() -> None:
    vectors = (ROOT / "tests" / "vectors" / "encoding.json").read_text(encoding="utf-8")
    quoted = re.findall(r"`([0-9a-f]{4,})`", TEXTS["encoding"].split("## Examples")[1])
    assert len(quoted) > 10
    for example in quoted:
        assert f'"bytes": "{example}"' in vectors, example


def test_the_index_names_every_paper() -> None:
    index = (SPEC / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", index))
    assert {f"{name}.md" for name in PAPERS} <= linked
    assert {path.name for path in SPEC.glob("*.md")} <= linked | {"README.md"}
