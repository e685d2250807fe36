"""Everything of package chain that comes from somebody else: encoded values, and what is verified in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from chain import codec
from chain.attestation import FOUND, NO_ANSWER, SAME, Attestation, sign_attestation
from chain.audit import Auditor
from chain.batch import Batch
from chain.block import Block, Header
from chain.certificate import Certificate, Vote
from chain.checkpoint import MAGIC as CHECKPOINT_MAGIC
from chain.checkpoint import checkpoint_chunks, read_checkpoint
from chain.errors import KehuError
from chain.evidence import MAGIC as EVIDENCE_MAGIC
from chain.evidence import Evidence
from chain.export import MAGIC as EXPORT_MAGIC
from chain.export import ExportEnd, read_export
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof, prove_receipt, prove_state
from chain.receipt import Receipt, decode_receipts, encode_receipts
from chain.snapshot import Offer, give_piece, take_piece
from chain.transaction import Transaction
from chain.validators import ValidatorSet
from tests.fuzz.mutation import Mutator, bytes_of, change_bytes, nested
from tests.fuzz.target import Draw, Finding, Target, reader
from tools.sample_chain import Notes, SampleChain, key_of, make_story
from tools.verifier.primitives import VerificationError
from tools.verifier.primitives import decode as decode_independently

VECTORS = Path(__file__).parents[1] / "vectors"
LIMIT = 8 << 20
COMPARED_BYTES_MAX = 1 << 16


@cache
def story() -> SampleChain:
    return make_story()


def drawing(*seeds: bytes) -> Draw:
    return Mutator(seeds).draw


def _values() -> list[bytes]:
    cases = json.loads((VECTORS / "encoding.json").read_text(encoding="utf-8"))
    found = sorted({text for text in _texts(cases) if _is_hex(text)})
    return [bytes.fromhex(text) for text in found] + [story().blocks.block(1).raw, story().genesis.raw]


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _is_hex(text: str) -> bool:
    return 0 < len(text) < 20_000 and not len(text) % 2 and not text.strip("0123456789abcdef")


def read_value(data: bytes) -> bytes:
    """Kehu's decoder and the independent one must agree; what is accepted is encoded as the same bytes. The independent
    one takes its time over large inputs, which are here to measure Kehu's."""
    if len(data) > COMPARED_BYTES_MAX:
        codec.decode(data, LIMIT)
        return data
    try:
        decode_independently(data, LIMIT)
        is_good = True
    except (VerificationError, RecursionError):
        is_good = False
    try:
        value = codec.decode(data, LIMIT)
    except KehuError:
        if is_good:
            raise Finding("the independent decoder accepts what Kehu refuses") from None
        raise
    if not is_good:
        raise Finding("the independent decoder refuses what Kehu accepts")
    if codec.encode(value) != data:
        raise Finding("what was accepted is encoded as other bytes")
    return data


# Transactions as an enrolled client could make them: the body is changed, the signature is right.


def signed_bodies() -> Draw:
    bodies = [transaction.body for batch in story().blocks.block(2).batches for transaction in batch.transactions]
    mutator, key = Mutator(bodies), key_of("li")

    def draw(rng: Random) -> bytes:
        body = mutator.draw(rng)
        signature = key.sign("transaction", story().genesis.chain_id, body) if rng.random() < 0.3 else bytes(64)
        return codec.encode_flat([body, signature])

    return draw


def take_transaction(data: bytes) -> Transaction:
    transaction = Transaction.from_bytes(data)
    transaction.verify(story().genesis.chain_id)
    return transaction


def take_block(data: bytes) -> Block:
    """Read, and executed over the state it claims to follow, with every signature."""
    block = Block.from_bytes(data)
    if block.raw != data:
        raise Finding("a block was read as other bytes")
    _ledger().check(block, lambda batch, validators: batch.verify(validators, story().genesis.chain_id), None)
    return block


@cache
def _ledger() -> Any:
    chain = SampleChain()
    chain.append(*story().blocks.block(1).batches)
    return chain.ledger


def take_certificate(data: bytes) -> Certificate:
    certificate = Certificate.from_bytes(data)
    certificate.verify(story().genesis.validators, story().genesis.chain_id)
    return certificate


def take_state_proof(data: bytes) -> StateProof:
    proof = StateProof.from_bytes(data)
    value = story().ledger.state.get(b"notes/a")
    proof.verify(story().ledger.validators(story().ledger.height), story().genesis.chain_id, "notes", "a", value)
    return proof


def take_receipt_proof(data: bytes) -> ReceiptProof:
    proof = ReceiptProof.from_bytes(data)
    proof.verify(story().genesis.validators, story().genesis.chain_id)
    return proof


def take_attestation(data: bytes) -> bytes:
    attestation = Attestation.from_value(codec.decode(data, 4_096))
    attestation.is_valid(key_of("gateway").public, story().genesis.chain_id)
    return codec.encode(attestation.to_value())


def _attestations() -> list[bytes]:
    key, chain_id = key_of("gateway"), story().genesis.chain_id
    made = []
    for outcome, digest, day in ((FOUND, bytes(32), None), (NO_ANSWER, None, None), (SAME, None, 19_000)):
        attestation = sign_attestation(
            key, chain_id, customer="c1", phone_digest=bytes(32), outcome=outcome, identifier_digest=digest,
            carrier="simulator", time_ms=1_700_000_000_000, gateway="g1", nonce=bytes(16), since_day=day,
        )  # fmt: skip
        made.append(codec.encode(attestation.to_value()))
    return made


def _piece() -> tuple[tuple[bytes, bytes], bytes]:
    state = story().ledger.state
    return (b"", state.root), give_piece(state.trie, b"", lambda _: list(state.items()))


def _offer() -> bytes:
    head = story().ledger.head
    if head.certificate is None:
        raise Finding("the story has no certificate")
    return Offer(head.header.to_bytes(), head.certificate, story().blocks.links()).to_bytes()


def take_offer(data: bytes) -> Offer:
    offer = Offer.from_bytes(data)
    schedule = SampleChain().ledger.state.get(b"validators/schedule") or b""
    offer.verify(schedule, 0, story().genesis.chain_id)
    for is_short in (True, False):  # it is no bytes that anybody signs: a link may have either form
        if Offer.from_bytes(offer.to_bytes(is_short=is_short)) != offer:
            raise Finding("an offer is written as another one than was accepted")
    return offer


# Files that end with a digest over what is before it: the digest is made right again, or nothing would get past it.


def files(magic: bytes, pieces: list[bytes], finish: Callable[[bytes], bytes], *, is_framed: bool) -> Draw:
    """Inputs of `pieces` (framed by lengths if so), each changed inside, some left out, some twice."""
    mutator = Mutator(pieces)
    tree = Mutator([codec.encode(pieces)], [[nested(piece) for piece in pieces]])

    def draw(rng: Random) -> bytes:
        if len(pieces) > 1:
            changed = tree.change(rng, tree.trees[0])
            items = changed if isinstance(changed, list) else [changed]
            parts = [bytes_of(item) for item in items]
        else:
            parts = [mutator.draw(rng)]
        body = magic + b"".join(len(part).to_bytes(4, "big") + part if is_framed else part for part in parts)
        data = finish(body)
        return change_bytes(rng, data) if rng.random() < 0.1 else data

    return draw


def unframed(data: bytes, begin: int, end: int) -> list[bytes]:
    pieces = []
    while begin < end:
        length = int.from_bytes(data[begin : begin + 4], "big")
        pieces.append(data[begin + 4 : begin + 4 + length])
        begin += 4 + length
    return pieces


def with_digest(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def _with_export_end(body: bytes) -> bytes:
    end = ExportEnd(4, hashlib.sha256(body).digest()).to_bytes()
    return body + len(end).to_bytes(4, "big") + end


def _checkpoints() -> Draw:
    data = b"".join(checkpoint_chunks(Auditor(story().ledger)))
    return files(CHECKPOINT_MAGIC, unframed(data, len(CHECKPOINT_MAGIC), len(data) - 32), with_digest, is_framed=True)


def take_checkpoint(data: bytes) -> None:
    read_checkpoint(data).restore(story().genesis, Notes())


def _evidence() -> tuple[list[bytes], bytes, ValidatorSet]:
    case = json.loads((VECTORS / "evidence.json").read_text(encoding="utf-8"))
    validators = ValidatorSet.from_value(codec.decode(bytes.fromhex(case["validators"]), 10_000))
    return [bytes.fromhex(item["bytes"]) for item in case["evidence"]], bytes.fromhex(case["chain_id"]), validators


def take_evidence(data: bytes) -> None:
    _, chain_id, validators = _evidence_once()
    evidence = Evidence.from_file(data)
    if evidence.to_file() != data:
        raise Finding("evidence is written as other bytes")
    evidence.verify(validators, chain_id)


_evidence_once = cache(_evidence)


def _exports() -> Draw:
    data = story().export()
    frames = unframed(data, len(EXPORT_MAGIC), len(data))[:-1]
    return files(EXPORT_MAGIC, frames, _with_export_end, is_framed=True)


def take_export(data: bytes) -> None:
    chunks = [data[at : at + 777] for at in range(0, len(data), 777)]
    for item in read_export(chunks):
        del item


def chain_targets() -> list[Target]:
    chain = story()
    block, head = chain.blocks.block(2), chain.ledger.head
    receipts = chain.blocks.receipt_bytes(2)
    certificate = head.certificate
    parent = chain.blocks.certificate(2)
    if certificate is None or parent is None:
        raise Finding("the story has no certificates")
    votes = [codec.encode(vote) for vote in (["prepare", 0, 1, 0, bytes(32), "sales", bytes(64)],)]
    state_proof = prove_state(chain.ledger.state, head.header, certificate, "notes", "a").to_bytes()
    receipt_proof = prove_receipt(block.header, parent, receipts, 1).to_bytes()
    part, piece = _piece()
    envelopes = [transaction.raw for batch in block.batches for transaction in batch.transactions]
    raw = lambda value: value.raw  # noqa: E731
    return [
        Target("codec", drawing(*_values()), reader(read_value), 150),
        Target("transaction", drawing(*envelopes), reader(take_transaction, raw), 30),
        Target("signed transaction", signed_bodies(), reader(take_transaction, raw), 30),
        Target("batch", drawing(*(batch.raw for batch in block.batches)), reader(Batch.from_bytes, raw), 20),
        Target("header", drawing(block.header.to_bytes()), reader(Header.from_bytes, Header.to_bytes), 20),
        Target("block", drawing(block.raw, chain.blocks.block(3).raw), reader(take_block, raw), 15),
        Target("certificate", drawing(parent.to_bytes()), reader(take_certificate, Certificate.to_bytes), 15),
        Target("vote", drawing(*votes), reader(lambda data: Vote.from_value(codec.decode(data, 1 << 12))), 5),
        Target("receipt", drawing(*receipts), reader(Receipt.from_bytes), 10),
        Target("receipts", drawing(encode_receipts(receipts)), reader(decode_receipts, encode_receipts), 5),
        Target("genesis", drawing(chain.genesis.raw), reader(Genesis.from_bytes, raw), 5),
        Target("state proof", drawing(state_proof), reader(take_state_proof, StateProof.to_bytes), 8),
        Target("receipt proof", drawing(receipt_proof), reader(take_receipt_proof, ReceiptProof.to_bytes), 8),
        Target("attestation", drawing(*_attestations()), reader(take_attestation, lambda made: made), 10),
        Target("snapshot offer", drawing(_offer()), reader(take_offer), 5),
        Target("snapshot piece", drawing(piece), reader(lambda data: take_piece(part, data)), 5),
        Target("checkpoint file", _checkpoints(), reader(take_checkpoint), 5,
               (lambda bomb: with_digest(CHECKPOINT_MAGIC + len(bomb).to_bytes(4, "big") + bomb),)),
        Target("evidence file", files(EVIDENCE_MAGIC, _evidence_once()[0][:1], with_digest, is_framed=False),
               reader(take_evidence), 10, (lambda bomb: with_digest(EVIDENCE_MAGIC + bomb),)),
        Target("export file", _exports(), reader(take_export), 8,
               (lambda bomb: EXPORT_MAGIC + len(bomb).to_bytes(4, "big") + bomb,)),
    ]  # fmt: skip
