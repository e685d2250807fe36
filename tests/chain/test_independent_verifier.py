"""docs/spec is sufficient: a verifier made from it alone agrees with Kehu about the golden vectors."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain import codec, protocol
from chain.export import ExportBlock, export_chunks
from chain.transaction import Call
from tests.chain.test_audit import FRAMES, GENESIS, reheaded, with_signatures
from tools.sample_chain import SampleChain, make_changes
from tools.verifier import chain_verifier as verifier
from tools.verifier import primitives
from tools.verifier.__main__ import main
from tools.verifier.evidence import verify_evidence, verify_evidence_file
from tools.verifier.export import ScheduleProof, Verified, verify_export
from tools.verifier.following import Sets, accepted_in, follow, verify_proof_file

ROOT = Path(__file__).resolve().parents[2]


def vectors(name: str) -> Any:
    return json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text(encoding="utf-8"))


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


EXPORT = hexed(vectors("export")["bytes"])
CHAIN_ID = hexed(vectors("genesis")["chain_id"])
SCHEDULES = [
    ScheduleProof(hexed(case["value"]), hexed(case["proof"]))
    for case in vectors("proofs")["state"]
    if case["key"] == "validators/schedule"
]


def validators_of(case: Any) -> verifier.Validators:
    return verifier.Validators.of(primitives.decode(hexed(case["validators"]), 10_000))


def test_the_verifier_knows_every_version_that_kehu_speaks() -> None:
    assert tuple(range(protocol.OLDEST, protocol.NEWEST + 1)) == verifier.VERSIONS


def test_the_verifier_uses_nothing_of_kehu() -> None:
    for path in (ROOT / "tools" / "verifier").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] not in ("chain", "consensus", "contracts", "node", "cli"), name
                assert not name.startswith("tools") or name.startswith("tools.verifier"), name


def verified(export: bytes, schedules: list[ScheduleProof] | None = None) -> Verified:
    return verify_export(io.BytesIO(export), schedules or [])


def test_it_verifies_the_export_and_finds_what_the_vectors_say() -> None:
    found = verified(EXPORT, SCHEDULES)
    blocks = vectors("blocks")
    assert (found.chain_id, found.height, found.block_id) == (CHAIN_ID, 4, hexed(blocks[4]["id"]))
    assert found.state_roots[4].hex() == vectors("export")["state_root"]
    assert (found.transactions, found.failed) == (28, 3)


def test_it_follows_a_change_of_departments_only_by_a_proof() -> None:
    with pytest.raises(primitives.VerificationError, match="height 4 is decided by a set that nothing before it"):
        verified(EXPORT)


def test_it_follows_changes_of_departments_by_the_receipts_of_the_export() -> None:
    chain, _ = make_changes()
    found = verified(chain.export())
    assert (found.height, found.block_id) == (6, chain.ledger.head.block_id)


def test_a_set_that_no_receipt_accepted_decides_nothing_though_its_departments_sign() -> None:
    """Of another epoch than the next, without a set, or without a word."""
    for result in ({"activation_height": 3}, {"accepted_set": [7, []], "activation_height": 3}, None):
        chain = SampleChain()
        admit = chain.ledger.contracts.call
        chain.ledger.contracts.call = lambda *given, admit=admit, result=result: (admit(*given), result)[1]  # type: ignore[method-assign]
        chain.append(chain.batch(chain.transact(Call("notes.admit", {"height": 3}))))
        chain.append(chain.batch(chain.put("a")))
        chain.append(chain.batch(chain.put("b")))
        with pytest.raises(primitives.VerificationError):
            verified(chain.export())


FORGED: dict[str, ExportBlock] = {
    "no quorum": with_signatures(lambda signatures: signatures[:2]),
    "not ascending": with_signatures(lambda signatures: [signatures[0], *signatures]),
    "unknown signer": with_signatures(lambda signatures: [*signatures, ["zoo", bytes(64)]]),
    "signature of sales": with_signatures(lambda signatures: [*signatures, ["sales", bytes(64)]]),
    "of another block": replace(FRAMES[1], certificate=FRAMES[0].certificate),
    "of another chain": reheaded(2, chain_id=bytes(32)),
    "heights have a gap": replace(FRAMES[2], height=2),
    "parent or time": reheaded(2, parent_id=bytes(32)),
    "parent or time ": reheaded(2, time_ms=1),
    "primary": reheaded(2, primary="zoo"),
    "batches root": reheaded(2, batches_root=bytes(32)),
    "receipts root": reheaded(2, receipts_root=bytes(32)),
    "nothing before it": reheaded(2, validators_digest=bytes(32)),
    "parent certificate": reheaded(2, parent_certificate_digest=bytes(32)),
    "receipts root ": replace(FRAMES[1], receipts=FRAMES[0].receipts),
}


@pytest.mark.parametrize("problem", FORGED)
def test_what_a_quorum_signed_or_did_not_is_told_apart(problem: str) -> None:
    """As in tests/chain/test_audit.py, but for what only the contracts can tell."""
    frames = [FRAMES[0], FORGED[problem]]
    with pytest.raises(primitives.VerificationError, match=problem.strip()):
        verified(b"".join(export_chunks(GENESIS.raw, frames)))


def test_a_set_is_taken_in_its_turn_and_from_the_receipt_of_a_success_only() -> None:
    chain, _ = make_changes()
    first, later = (verifier.Validators.of(chain.ledger.validators(height).to_value()) for height in (0, 5))
    following = verifier.Validators.of(chain.ledger.validators(3).to_value())
    for accepted, activation in ((later, 9), (first, 9), (following, 4), (following, None), (following, True)):
        with pytest.raises(primitives.VerificationError, match="change: "):
            Sets(CHAIN_ID, [(0, first)]).take(accepted, activation, 4)
    result = {"accepted_set": [], "activation_height": 9}
    assert accepted_in([bytes(32), "ok", None, [7, result], {}]) == result
    assert accepted_in([bytes(32), "governance.effect", 0, [result], {}]) is None
    assert accepted_in([bytes(32), "ok", None, [result, result], {}]) is None


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (b"PK" + EXPORT[2:], "not an export"),
        (EXPORT[:-60], "truncated"),
        (EXPORT[:-1] + bytes([EXPORT[-1] ^ 1]), "end: digest"),
        (EXPORT + b"\x00", "bytes follow the end"),
        (EXPORT + EXPORT, "bytes follow the end"),
        (EXPORT[:14] + b"\xff" * 4 + EXPORT[18:], "a frame is too long"),
    ],
    ids=["another file", "cut", "digest", "a byte more", "twice", "length"],
)
def test_an_export_that_is_cut_damaged_or_run_together_is_refused(damaged: bytes, problem: str) -> None:
    with pytest.raises(primitives.VerificationError, match=problem):
        verified(damaged, SCHEDULES)


def test_an_end_that_claims_heights_which_are_not_there_is_refused() -> None:
    assert verified(SampleChain().export()).height == 0
    later = make_changes()[0].export(from_height=7)
    with pytest.raises(primitives.VerificationError, match="end: height"):
        verified(later)


def test_it_holds_one_height_in_memory_and_not_the_export(tmp_path: Path) -> None:
    chain, path = SampleChain(), tmp_path / "long.kehu"
    for number in range(60):
        chain.append(chain.batch(chain.put(f"n{number}", "x" * 50_000)))
    path.write_bytes(chain.export())
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert verify_export(file).height == 60
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "genesis", [b"\xc0", b"\x80", codec.encode({"departments": [None]}), codec.encode({"departments": 7})]
)
def test_the_command_calls_what_is_no_chain_not_verified(
    genesis: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b"KEHU-EXPORT-1\n" + len(genesis).to_bytes(4, "big") + genesis
    end = codec.encode(["end", 0, hashlib.sha256(body).digest()])
    (tmp_path / "forged").write_bytes(body + len(end).to_bytes(4, "big") + end)
    assert main([str(tmp_path / "forged")]) == 1
    assert capsys.readouterr().out.startswith("not verified: ")
    assert main([str(tmp_path / "missing")]) == 2


def test_it_refuses_the_export_with_any_byte_changed() -> None:
    for position in range(0, len(EXPORT), 97):
        changed = bytearray(EXPORT)
        changed[position] ^= 0x20
        with pytest.raises((primitives.VerificationError, KeyError, ValueError)):
            verified(bytes(changed), SCHEDULES)


def test_state_proofs_prove_what_the_vectors_say_and_nothing_else() -> None:
    for case in vectors("proofs")["state"]:
        validators, proof = validators_of(case), hexed(case["proof"])
        value = None if case["value"] is None else hexed(case["value"])
        header = verifier.verify_state_proof(proof, CHAIN_ID, validators, case["key"], value)
        assert header.height == case["height"]
        for wrong in (b"\x80", None if value is not None else b"\x80"):
            with pytest.raises(primitives.VerificationError):
                verifier.verify_state_proof(proof, CHAIN_ID, validators, case["key"], wrong)
        with pytest.raises(primitives.VerificationError):
            verifier.verify_state_proof(proof, bytes(32), validators, case["key"], value)


def test_receipt_proofs_prove_the_receipts_of_the_vectors() -> None:
    validators = verifier.first_validators(hexed(vectors("genesis")["bytes"]))
    for case in vectors("proofs")["receipt"]:
        header, receipt = verifier.verify_receipt_proof(hexed(case["proof"]), CHAIN_ID, validators)
        assert header.height == case["height"]
        assert primitives.encode(receipt) == hexed(case["receipt"])


def test_encoding_digests_signatures_trees_and_sets_agree() -> None:
    for case in vectors("encoding")["accepted"]:
        assert primitives.encode(primitives.decode(hexed(case["bytes"]), 1_000)) == hexed(case["bytes"])
    for case in vectors("encoding")["refused"]:
        with pytest.raises(primitives.VerificationError):
            primitives.decode(hexed(case["bytes"]), 1_000)
    for case in vectors("digests"):
        assert primitives.digest(case["tag"], hexed(case["payload"])).hex() == case["digest"]
    for case in vectors("signatures")["good"]:
        key, chain_id, payload, signature = (hexed(case[n]) for n in ("key", "chain_id", "payload", "signature"))
        assert primitives.is_signed(key, case["purpose"], chain_id, payload, signature)
    for case in vectors("signatures")["refused"]:
        assert not primitives.is_signed_raw(hexed(case["key"]), hexed(case["message"]), hexed(case["signature"]))
    for case in vectors("merkle"):
        assert primitives.merkle_root([hexed(item) for item in case["items"]]).hex() == case["root"]
    for case in vectors("validators")["sets"]:
        assert verifier.Validators.of(primitives.decode(hexed(case["bytes"]), 10_000)).digest.hex() == case["digest"]


def test_state_roots_and_their_proofs_agree() -> None:
    for case in vectors("trie"):
        entries = {
            primitives.digest("state-key", key.encode()): primitives.digest("state-value", hexed(value))
            for key, value in case["state"].items()
        }
        assert primitives.state_root(entries).hex() == case["root"]
        for proof in case["proofs"]:
            wanted = primitives.digest("state-key", proof["key"].encode())
            branches = [[hexed(child) for child in row] for row in proof["branches"]]
            leaf = [[hexed(part) for part in entry] for entry in proof["leaf"]]
            assert primitives.root_of_state_proof(wanted, branches, leaf).hex() == case["root"]
            assert dict(leaf).get(wanted) == entries.get(wanted)


def test_evidence_names_the_equivocator_and_no_other_byte_will_do() -> None:
    case = vectors("evidence")
    validators, chain_id = validators_of(case), hexed(case["chain_id"])
    for piece in case["evidence"]:
        file = hexed(piece["file"])
        assert verify_evidence(file, chain_id, validators) == "sales"
        with pytest.raises(primitives.VerificationError):
            verify_evidence(file, bytes(32), validators)
        for position in range(16, len(file) - 32, 11):
            changed = bytearray(file[:-32])
            changed[position] ^= 1
            with pytest.raises((primitives.VerificationError, TypeError, ValueError)):
                verify_evidence(bytes(changed) + hashlib.sha256(changed).digest(), chain_id, validators)


def test_sets_proofs_and_evidence_after_changes_follow_from_the_genesis_and_the_changes_brought_along() -> None:
    case = vectors("membership")
    genesis, changes = hexed(case["genesis"]), [hexed(change) for change in case["changes"]]
    sets = follow(genesis, changes)
    for expected in case["sets"]:
        assert sets.at(expected["from_height"]).digest == primitives.digest("validators", hexed(expected["bytes"]))
    for wrong in ([changes[1]], changes[::-1], [*changes, changes[1]], [changes[0][:-1]]):
        with pytest.raises(primitives.VerificationError):
            follow(genesis, wrong)
    _, entries = verify_proof_file(hexed(case["proof_file"]), genesis)
    assert [entry[:2] for entry in entries] == [["notes", "n6"]]
    assert verify_evidence_file(hexed(case["evidence"]["file"]), genesis) == "process"


def test_files_after_changes_have_no_byte_that_may_differ() -> None:
    case = vectors("membership")
    genesis = hexed(case["genesis"])
    for name, check in (("proof_file", verify_proof_file), ("evidence", verify_evidence_file)):
        file = hexed(case[name] if name == "proof_file" else case[name]["file"])
        for position in range(0, len(file) - 32, 61):
            changed = bytearray(file[:-32])
            changed[position] ^= 1
            with pytest.raises((primitives.VerificationError, TypeError, ValueError, LookupError)):
                check(bytes(changed) + hashlib.sha256(changed).digest(), genesis)


def test_the_command_takes_a_genesis_as_people_have_it_and_refuses_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, _ = make_changes()
    case = vectors("membership")
    for name, content in (
        ("export", chain.export()),
        ("genesis.json", json.dumps(chain.genesis.value, ensure_ascii=False).encode()),
        ("other.json", json.dumps({**chain.genesis.value, "network": "other"}).encode()),
        ("genesis", chain.genesis.raw),
        ("proof", hexed(case["proof_file"])),
        ("evidence", hexed(case["evidence"]["file"])),
    ):
        (tmp_path / name).write_bytes(content)
    words: list[list[str]] = [["export"], ["proof", "proof"], ["evidence", "evidence"]]
    for command in words:
        given = [*command[:-1], str(tmp_path / command[-1])]
        for genesis, code in (("genesis.json", 0), ("genesis", 0), ("other.json", 1)):
            assert main([*given, str(tmp_path / genesis)]) == code, (command, genesis)
            assert capsys.readouterr().out.startswith("not verified: ") == bool(code)
    assert main([str(tmp_path / "export")]) == 0
