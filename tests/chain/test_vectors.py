"""The golden vectors are what the code makes; a difference is a change of the format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain import codec, merkle
from chain.crypto import SigningKey, digest, verify, verify_raw
from chain.errors import KehuError
from tools.make_vectors import VECTORS, build_vectors, written

MADE = build_vectors()


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_file_of_vectors_is_what_the_code_makes(name: str) -> None:
    stored = (VECTORS / name).read_text(encoding="utf-8")
    assert stored == written(MADE[name]), "the format changed; if that is meant: python tools/make_vectors.py"


def test_the_readme_names_every_file_and_no_other() -> None:
    readme = (VECTORS / "README.md").read_text(encoding="utf-8")
    named = {line.split("|")[1].strip() for line in readme.splitlines() if ".json |" in line}
    assert named >= {path.name for path in VECTORS.glob("*.json")}
    assert named >= set(MADE)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["$bytes"]) if "$bytes" in value else {k: plain(item) for k, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_the_decoder_accepts_and_refuses_as_the_vectors_say() -> None:
    cases = vectors("encoding")
    for case in cases["accepted"]:
        raw = bytes.fromhex(case["bytes"])
        assert codec.decode(raw, 1000) == plain(case["value"])
        assert codec.encode(plain(case["value"])) == raw
    for case in cases["refused"]:
        with pytest.raises(KehuError):
            codec.decode(bytes.fromhex(case["bytes"]), 1000)


def test_digests_signatures_and_trees_are_judged_as_the_vectors_say() -> None:
    for case in vectors("digests"):
        assert digest(case["tag"], bytes.fromhex(case["payload"])).hex() == case["digest"]
    for case in vectors("signatures")["good"]:
        read = {name: bytes.fromhex(value) for name, value in case.items() if name != "purpose"}
        assert SigningKey(read["seed"]).public == read["key"]
        assert verify(read["key"], case["purpose"], read["chain_id"], read["payload"], read["signature"])
        assert verify_raw(read["key"], read["message"], read["signature"])
    for case in vectors("signatures")["refused"]:
        key, message, signature = (bytes.fromhex(case[name]) for name in ("key", "message", "signature"))
        assert not verify_raw(key, message, signature), case["because"]
    for tree in vectors("merkle"):
        items, root = [bytes.fromhex(item) for item in tree["items"]], bytes.fromhex(tree["root"])
        for index, path in enumerate(tree["paths"]):
            assert merkle.verify(root, items[index], index, len(items), [bytes.fromhex(step) for step in path])
