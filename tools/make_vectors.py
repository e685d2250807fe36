"""Writes the golden vectors of every wire and storage type of the chain: `python tools/make_vectors.py`.

The same on every machine and every day: keys, nonces and times are fixed in `tools.sample_chain`. A change in
tests/vectors is a change of the format. tests/vectors/README.md says how to read the files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chain import codec, merkle, trie  # noqa: E402
from chain.audit import Auditor  # noqa: E402
from chain.block import Block  # noqa: E402
from chain.certificate import Certificate, sign_vote  # noqa: E402
from chain.checkpoint import checkpoint_chunks  # noqa: E402
from chain.crypto import digest, signed_message, verify_raw  # noqa: E402
from chain.evidence import KINDS, Evidence, Statement  # noqa: E402
from chain.export import stored_frames  # noqa: E402
from chain.ledger import Ledger  # noqa: E402
from chain.light import prove_receipt, prove_state  # noqa: E402
from chain.receipt import Receipt, encode_receipts  # noqa: E402
from chain.state import key_digest, state_key, value_digest  # noqa: E402
from chain.validators import faults_tolerated, quorum_of  # noqa: E402
from tools.membership_vectors import membership  # noqa: E402
from tools.sample_chain import SampleChain, key_of, make_story, make_upgrade  # noqa: E402

VECTORS = ROOT / "tests" / "vectors"
DIGEST_TAGS = ("genesis", "transaction", "batch-transactions", "batch", "certificate", "block", "validators", "field",
               "merkle-leaf", "merkle-node", "merkle-root", "state-key", "state-value", "state-leaf",
               "state-branch")  # fmt: skip
SIGNATURE_PURPOSES = ("transaction", "batch", "prepare", "commit", "attestation")


def shown(value: Any) -> Any:
    """A value of the encoding as JSON: bytes as {"$bytes": hex}, everything else as it is."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def encoding() -> Any:
    numbers = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
    negatives = [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
    texts = ["", "客户", "a" * 31, "a" * 32, "a" * 255, "a" * 256]
    blobs = [b"", b"\x00", bytes(255), bytes(256)]
    others = [
        [],
        [1, [2]],
        list(range(15)),
        list(range(16)),
        {},
        {"b": 1, "a": [None]},
        {"z": 0, "é": 1, "客": 2, "": 3},
    ]
    values = [None, False, True, *numbers, *negatives, *texts, *blobs, *others]
    refused = [("81a16101a16102", "bytes follow a map of one"), ("82a16101a16102", "a key twice"),
               ("82a16201a16101", "keys not ascending"), ("810102", "a key that is not a string"),
               ("cc01", "not the shortest form"), ("cd00ff", "not the shortest form"),
               ("d001", "not the shortest form"),
               ("d90161", "not the shortest form"), ("c4", "cut"), ("0101", "bytes follow the value"),
               ("dc000101", "not the shortest form"), ("de0001a16101", "not the shortest form"),
               ("ca3f800000", "a float"), ("cb7ff8000000000000", "a float: NaN"), ("d40161", "an extension"),
               ("d6ff00000000", "an extension: a timestamp"), ("c1", "never used"), ("a1ff", "not UTF-8"),
               ("a3eda080", "not UTF-8: a surrogate"), ("", "nothing"),
               ("91" * 16 + "90", "17 levels of lists: too deep")]  # fmt: skip
    return {
        "accepted": [{"value": shown(value), "bytes": codec.encode(value).hex()} for value in values],
        "refused": [{"bytes": data, "because": why} for data, why in refused],
    }


def digests() -> Any:
    return [{"tag": tag, "payload": b"abc".hex(), "digest": digest(tag, b"abc").hex()} for tag in DIGEST_TAGS]


def signatures() -> Any:
    chain_id, key = digest("genesis", b"vectors"), key_of("signer")
    good = [
        {"purpose": purpose, "seed": key.seed.hex(), "key": key.public.hex(), "chain_id": chain_id.hex(),
         "payload": b"abc".hex(), "message": signed_message(purpose, chain_id, b"abc").hex(),
         "signature": key.sign(purpose, chain_id, b"abc").hex()}
        for purpose in SIGNATURE_PURPOSES
    ]  # fmt: skip
    return {"good": good, "refused": [dict(case, verifies=False) for case in _refused_signatures()]}


def _refused_signatures() -> list[dict[str, str]]:
    p, order = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    key, message = key_of("signer"), b"abc"
    signature = key.sign_raw(message)
    s = int.from_bytes(signature[32:], "little")
    small = [0, 1, p - 1, p, p + 1, *(int.from_bytes(bytes.fromhex(y), "little") for y in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ))]  # fmt: skip
    points = [(y | sign << 255).to_bytes(32, "little") for y in small for sign in (0, 1)]
    cases = [("S + L", key.public, signature[:32] + (s + order).to_bytes(32, "little"))]
    cases += [("small-order key", point, (1).to_bytes(32, "little") + bytes(32)) for point in points]
    cases += [("small-order R", key.public, point + signature[32:]) for point in points]
    cases += [("y of R not below p", key.public, (p + 3).to_bytes(32, "little") + signature[32:])]
    cases += [("y of the key not below p", (p + 3).to_bytes(32, "little"), signature)]
    cases += [("63 bytes", key.public, signature[:63]), ("65 bytes", key.public, signature + b"\x00")]
    if any(verify_raw(key_, message, signed) for _, key_, signed in cases):
        raise SystemExit("a signature that must be refused verifies")
    return [
        {"because": why, "key": key_.hex(), "message": message.hex(), "signature": signed.hex()}
        for why, key_, signed in cases
    ]


def merkle_trees() -> Any:
    trees = []
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 11):
        items = [f"item {number}".encode() for number in range(count)]
        paths = [[sibling.hex() for sibling in merkle.prove(items, index)] for index in range(count)]
        trees.append({"items": [item.hex() for item in items], "root": merkle.root(items).hex(), "paths": paths})
    return trees


def tries() -> Any:
    cases = []
    for count in (0, 1, 16, 17, 300):
        keys = [state_key("notes", f"n{number}") for number in range(count)]
        values = [codec.encode({"n": number}) for number in range(count)]
        entries = {key_digest(key): value_digest(value) for key, value in zip(keys, values, strict=True)}
        node = trie.build(entries)
        proofs = []
        for name in ("n0", "absent"):
            branches, leaf = trie.prove(node, key_digest(state_key("notes", name)))
            proofs.append({"key": f"notes/{name}", "branches": _hex_rows(branches), "leaf": _hex_rows(leaf)})
        state = {f"notes/n{number}": values[number].hex() for number in range(count)}
        cases.append({"state": state, "root": trie.digest_of(node).hex(), "proofs": proofs})
    return cases


def _hex_rows(rows: Any) -> list[list[str]]:
    return [[item.hex() for item in row] for row in rows]


def validators(story: SampleChain) -> Any:
    sets = [story.ledger.validators(height) for height in (1, 4)]
    return {
        "quorums": [{"n": n, "f": faults_tolerated(n), "q": quorum_of(n)} for n in range(4, 32)],
        "sets": [
            {
                "value": shown(found.to_value()),
                "bytes": codec.encode(found.to_value()).hex(),
                "digest": found.digest.hex(),
            }
            for found in sets
        ],
    }


def _valued(value: Any) -> dict[str, Any]:
    return {"value": shown(value), "bytes": codec.encode(value).hex()}


def genesis(story: SampleChain) -> Any:
    block = story.blocks.block(0)
    return {
        "value": story.genesis.value,
        "bytes": story.genesis.raw.hex(),
        "chain_id": story.genesis.chain_id.hex(),
        "validators_digest": story.genesis.validators.digest.hex(),
        "block": block.raw.hex(),
        "block_id": block.id.hex(),
    }


def transactions(story: SampleChain) -> Any:
    return [
        {
            "height": height,
            "index": index,
            "envelope": transaction.raw.hex(),
            "body": transaction.body.hex(),
            "body_value": shown(codec.decode(transaction.body, 1 << 16)),
            "id": transaction.id.hex(),
            "message": signed_message("transaction", story.genesis.chain_id, transaction.body).hex(),
            "signature": transaction.signature.hex(),
        }
        for height in (1, 2, 3)
        for index, (_, transaction) in enumerate(story.blocks.block(height).transactions())
    ]


def batches(story: SampleChain) -> Any:
    return [
        {
            "height": height,
            "department": batch.department,
            "transactions": [transaction.id.hex() for transaction in batch.transactions],
            "payload": batch.payload().hex(),
            "message": signed_message("batch", story.genesis.chain_id, batch.payload()).hex(),
            "signature": batch.signature.hex(),
            "bytes": batch.raw.hex(),
            "id": batch.id.hex(),
        }
        for height in (1, 2, 3)
        for batch in story.blocks.block(height).batches
    ]


def certificates(story: SampleChain) -> Any:
    block = story.blocks.block(1)
    votes = []
    for phase in ("prepare", "commit"):
        vote = sign_vote(key_of("sales"), story.genesis.chain_id, phase, 0, 1, 2, block.id, "sales")
        votes.append(
            {"value": shown(vote.to_value()), "bytes": codec.encode(vote.to_value()).hex(),
             "payload": vote.payload().hex(), "signature": vote.signature.hex(),
             "message": signed_message(phase, story.genesis.chain_id, vote.payload()).hex()}
        )  # fmt: skip
    found = []
    for height in (1, 4):
        certificate = story.blocks.certificate(height)
        if certificate is not None:
            raw = certificate.to_bytes()
            found.append(
                {"value": shown(certificate.to_value()), "bytes": raw.hex(), "digest": digest("certificate", raw).hex()}
            )
    return {"votes": votes, "certificates": found}


def blocks(story: SampleChain) -> Any:
    return [_block(story.blocks.block(height), story.blocks.receipt_bytes(height)) for height in range(5)]


def _block(block: Block, receipts: list[bytes]) -> Any:
    header = block.header.to_bytes()
    return {
        "height": block.header.height,
        "header": header.hex(),
        "header_value": shown(codec.decode(header, 1024)),
        "id": block.id.hex(),
        "bytes": block.raw.hex(),
        "batches": [batch.raw.hex() for batch in block.batches],
        "receipts": [receipt.hex() for receipt in receipts],
    }


def receipts(story: SampleChain) -> Any:
    found = [raw for height in (1, 2, 3) for raw in story.blocks.receipt_bytes(height)]
    return {
        "receipts": [{"value": shown(Receipt.from_bytes(raw).to_value()), "bytes": raw.hex()} for raw in found],
        "list": {"of": [raw.hex() for raw in found[:2]], "bytes": encode_receipts(found[:2]).hex()},
    }


def proofs(story: SampleChain) -> Any:
    """Two keys at the last height, one there and one not; the schedule at height 3, which names the departments of
    height 4; a receipt of height 2."""
    before, raw = _replayed(story, 3), story.blocks.receipt_bytes(2)
    certificate = _certificate(story, 2)
    return {
        "state": [
            *(_state_proof(story.ledger, key, _certificate(story, 4)) for key in ("notes/a", "notes/b")),
            _state_proof(before.ledger, "validators/schedule", _certificate(story, 3)),
        ],
        "receipt": [
            {"height": 2, "index": index, "receipt": receipt.hex(),
             "proof": prove_receipt(story.blocks.block(2).header, certificate, raw, index).to_bytes().hex()}
            for index, receipt in enumerate(raw)
        ],
    }  # fmt: skip


def _state_proof(ledger: Ledger, path: str, certificate: Certificate) -> Any:
    table, key = path.split("/")
    value = ledger.state.get(state_key(table, key))
    proof = prove_state(ledger.state, ledger.head.header, certificate, table, key).to_bytes()
    decided_by = codec.encode(ledger.validators(ledger.height).to_value())
    return {"height": ledger.height, "validators": decided_by.hex(), "key": path,
            "value": value.hex() if value else None, "proof": proof.hex()}  # fmt: skip


def _certificate(story: SampleChain, height: int) -> Certificate:
    found = story.blocks.certificate(height)
    if found is None:
        raise SystemExit(f"the story has no certificate at height {height}")
    return found


def _replayed(story: SampleChain, height: int) -> Auditor:
    auditor = Auditor.at_genesis(story.genesis.raw, story.ledger.contracts)
    for frame in stored_frames(story.blocks, 1, height):
        auditor.step(frame)
    return auditor


def storage(story: SampleChain) -> Any:
    """Every pair of the story's store, by what it is."""
    names = {b"b": "block", b"c": "certificate", b"r": "receipts", b"i": "executed ids", b"t": "location",
             b"s": "state value", b"v": "schedule link", b"m": "meta"}  # fmt: skip
    found: dict[str, list[Any]] = {}
    for key, value in story.store.scan(b""):
        kind = found.setdefault(names[key[:1]], [])
        if len(kind) < 4:
            kind.append({"key": key.hex(), "value": value.hex()})
    return found


def export(story: SampleChain) -> Any:
    whole = story.export()
    return {
        "bytes": whole.hex(),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "height": story.ledger.height,
        "state_root": story.ledger.state.root.hex(),
        "from_height_4": story.export(4).hex(),
    }


def evidence(story: SampleChain) -> Any:
    """One piece of each kind against sales, at height 1 in view 2."""
    chain_id, key, block = story.genesis.chain_id, key_of("sales"), story.blocks.block(1)
    prepared = Certificate.of(
        sign_vote(key_of(name), chain_id, "prepare", 0, 1, 1, block.id, name)
        for name in story.genesis.validators.departments
    )
    found = []
    for kind in KINDS:
        contents = (None, prepared.to_value()) if kind == "view-change" else (block.id, bytes(32))
        statements = [
            Statement(content, key.sign(kind, chain_id, codec.encode_flat([0, 1, 2, content]))) for content in contents
        ]
        piece = Evidence.of(chain_id, kind, 0, 1, 2, "sales", *statements)
        piece.verify(story.genesis.validators, chain_id)
        found.append({"name": piece.name, "value": shown(piece.to_value()), "bytes": piece.to_bytes().hex(),
                      "file": piece.to_file().hex()})  # fmt: skip
    validators = codec.encode(story.genesis.validators.to_value()).hex()
    return {"chain_id": chain_id.hex(), "validators": validators, "evidence": found}


def checkpoint(story: SampleChain) -> Any:
    return {"height": 2, "bytes": b"".join(checkpoint_chunks(_replayed(story, 2))).hex()}


def build_vectors() -> dict[str, Any]:
    """File name -> content, for every golden vector file that this tool makes."""
    story = make_story()
    plain: dict[str, Callable[[], Any]] = {
        "encoding": encoding, "digests": digests, "signatures": signatures, "merkle": merkle_trees, "trie": tries,
        "membership": membership,
        "protocol": protocol,
    }  # fmt: skip
    chained: dict[str, Callable[[SampleChain], Any]] = {
        "validators": validators, "genesis": genesis, "transactions": transactions, "batches": batches,
        "certificates": certificates, "blocks": blocks, "receipts": receipts, "proofs": proofs, "storage": storage,
        "export": export, "checkpoint": checkpoint, "evidence": evidence,
    }  # fmt: skip
    made = {name: make() for name, make in plain.items()} | {name: make(story) for name, make in chained.items()}
    return {f"{name}.json": content for name, content in made.items()}


def protocol() -> Any:
    """A chain of six blocks by versions 1 and 2: version 2 counts from height 5 on."""
    chain = make_upgrade()
    schedule = chain.ledger.protocol_schedule()
    heights = [{"height": height, "version": block.header.version, "header": block.header.to_bytes().hex(),
                "id": block.id.hex()}
               for height, block in ((height, chain.blocks.block(height)) for height in range(7))]  # fmt: skip
    return {"schedule": _valued(schedule), "heights": heights, "export": chain.export().hex()}


def written(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    for name, content in build_vectors().items():
        (VECTORS / name).write_text(written(content), encoding="utf-8")
        print(f"wrote tests/vectors/{name}")


if __name__ == "__main__":
    main()
