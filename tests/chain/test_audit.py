"""The audit finds whatever is wrong, names the first place, and believes nothing an export says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from chain import codec, merkle
from chain.audit import Auditor, check_signatures
from chain.block import Block
from chain.certificate import Certificate, sign_vote
from chain.errors import KehuError
from chain.export import ExportBlock, stored_frames
from chain.findings import AuditFinding, first
from chain.receipt import Receipt
from tools.sample_chain import Notes, SampleChain, key_of, make_genesis, make_story

STORY = make_story()
GENESIS = STORY.genesis
FRAMES = tuple(stored_frames(STORY.blocks, 1, 4))


def audit(frames: Iterable[ExportBlock], genesis: bytes = GENESIS.raw) -> AuditFinding | None:
    auditor = Auditor.at_genesis(genesis, Notes())
    for frame in frames:
        step = auditor.step(frame)
        finding = first(check_signatures(step.signatures), step.finding)
        if finding is not None:
            return finding
    return None


def found(height: int, frame: ExportBlock) -> AuditFinding:
    finding = audit([*FRAMES[: height - 1], frame, *FRAMES[height:]])
    assert finding is not None
    return finding


def recertified(block: Block, chain: SampleChain = STORY) -> ExportBlock:
    """A frame in which a quorum has signed a block that it should not have signed."""
    height, epoch = block.header.height, 1 if block.header.height >= 4 else 0
    validators = chain.genesis.validators
    names = validators.departments[: validators.quorum] if epoch == 0 else (*validators.departments, "technical")
    votes = [sign_vote(key_of(n), chain.genesis.chain_id, "commit", epoch, height, 0, block.id, n) for n in names]
    return replace(FRAMES[height - 1], block=block.raw, certificate=Certificate.of(votes).to_bytes())


def reheaded(height: int, **changes: Any) -> ExportBlock:
    block = STORY.blocks.block(height)
    return recertified(Block.of(replace(block.header, **changes), block.parent_certificate, block.batches))


def test_a_good_chain_is_found_good_across_a_change_of_departments() -> None:
    assert audit(FRAMES) is None
    auditor = Auditor.at_genesis(GENESIS.raw, Notes())
    for frame in FRAMES:
        auditor.step(frame)
    assert auditor.ledger.head == STORY.ledger.head
    assert auditor.ledger.validators(5).n == 5
    counts = auditor.counts.to_value()
    assert (counts["blocks"], counts["batches"], counts["transactions"], counts["failed"]) == (4, 5, 28, 3)
    assert counts["by_department"]["sales"] == {"batches": 2, "transactions": 5, "failed": 3}
    assert counts["failed_by_code"] == {"contract.fault": 1, "sample.refused": 1, "transaction.duplicate": 1}


@pytest.mark.parametrize("height", [1, 2, 3, 4])
@pytest.mark.parametrize("part", ["block", "certificate", "receipts"])
def test_a_flipped_byte_in_any_part_of_any_frame_is_found_at_its_height(height: int, part: str) -> None:
    frame = FRAMES[height - 1]
    raw: bytes = getattr(frame, part)
    for position in range(0, len(raw), max(1, len(raw) // 60)):
        changed = bytearray(raw)
        changed[position] ^= 0x04
        finding = found(height, replace(frame, **{part: bytes(changed)}))
        assert finding.height == height
        if part == "receipts":
            assert finding.check == "receipts"


@pytest.mark.parametrize(
    ("field", "check"),
    [
        ("chain_id", "block"),
        ("parent_id", "block"),
        ("validators_digest", "block"),
        ("parent_certificate_digest", "block"),
        ("batches_root", "block"),
        ("receipts_root", "execution"),
        ("state_root", "execution"),
    ],
)
def test_a_header_that_a_quorum_signed_though_it_is_wrong_is_found_with_both_values(field: str, check: str) -> None:
    finding = found(2, reheaded(2, **{field: bytes(31) + b"\x01"}))
    assert (finding.height, finding.check, finding.code, finding.field) == (2, check, "block.mismatch", field)
    assert finding.actual == "00" * 31 + "01"
    assert finding.expected == getattr(STORY.blocks.block(2).header, field).hex()


def test_a_block_before_its_parents_time_or_by_a_stranger_is_found() -> None:
    assert found(2, reheaded(2, time_ms=1)).code == "block.time"
    assert found(2, reheaded(2, primary="zoo")).field == "primary"


def test_swapped_removed_and_repeated_blocks_are_found() -> None:
    one, two, three, four = FRAMES
    for frames, height in (([one, three, two, four], 2), ([one, two, four], 3), ([one, one], 2), ([two], 1)):
        finding = audit(frames)
        assert finding is not None
        assert (finding.height, finding.check, finding.field) == (height, "export", "height")
    swapped = audit([one, replace(three, height=2), replace(two, height=3), four])
    assert swapped is not None
    assert (swapped.height, swapped.code, swapped.field, swapped.actual) == (2, "block.mismatch", "height", "3")


def altered(height: int, index: int, change: Callable[[Receipt], Receipt]) -> list[bytes]:
    receipts = STORY.blocks.receipt_bytes(height)
    receipts[index] = change(Receipt.from_bytes(receipts[index])).to_bytes()
    return receipts


def as_ok(receipt: Receipt) -> Receipt:
    return msgspec.structs.replace(receipt, code="ok", failed_call=None, details={})


def test_altered_receipts_name_the_transaction_and_both_receipts() -> None:
    receipts = altered(2, 1, as_ok)
    finding = found(2, replace(FRAMES[1], receipts=codec.encode(receipts)))
    right = STORY.blocks.receipt_bytes(2)[1]
    assert (finding.height, finding.check, finding.code) == (2, "receipts", "audit.receipts")
    assert (finding.transaction_index, finding.expected, finding.actual) == (1, right.hex(), receipts[1].hex())
    assert finding.transaction_id == Receipt.from_bytes(right).transaction_id.hex()


def test_receipts_that_a_quorum_signed_though_the_contracts_give_others_name_the_transaction() -> None:
    receipts = altered(2, 1, as_ok)
    forged = reheaded(2, receipts_root=merkle.root(receipts))
    finding = found(2, replace(forged, receipts=codec.encode(receipts)))
    assert (finding.check, finding.field, finding.transaction_index) == ("execution", "receipts_root", 1)
    assert finding.transaction_id == STORY.blocks.block(2).batches[0].transactions[1].id.hex()


@pytest.mark.parametrize("receipts", [b"", b"\x90", b"\xc0", codec.encode(STORY.blocks.receipt_bytes(2)[:-1]),
                                      codec.encode([*STORY.blocks.receipt_bytes(2), b"more"])])  # fmt: skip
def test_missing_unreadable_or_additional_receipts_are_found(receipts: bytes) -> None:
    finding = found(2, replace(FRAMES[1], receipts=receipts))
    assert (finding.height, finding.check) == (2, "receipts")


def with_signatures(change: Callable[[list[Any]], list[Any]]) -> ExportBlock:
    value = codec.decode(FRAMES[1].certificate, 100_000)
    return replace(FRAMES[1], certificate=codec.encode([*value[:5], change(value[5])]))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda signatures: [signatures[0], signatures[0], signatures[1]], "certificate.duplicate_signer"),
        (lambda signatures: signatures[:2], "certificate.no_quorum"),
        (lambda signatures: [*signatures, ["zoo", bytes(64)]], "certificate.unknown_signer"),
        (lambda signatures: [*signatures, ["sales", bytes(64)]], "signature.invalid"),
        (lambda signatures: [], "certificate.no_quorum"),
    ],
)
def test_a_certificate_that_is_no_quorum_is_found(change: Callable[[list[Any]], list[Any]], code: str) -> None:
    finding = found(2, with_signatures(change))
    assert (finding.height, finding.check, finding.code) == (2, "certificate", code)


def test_a_certificate_of_another_block_is_found() -> None:
    finding = found(2, replace(FRAMES[1], certificate=FRAMES[0].certificate))
    assert (finding.check, finding.code, finding.field) == ("certificate", "certificate.mismatch", "height")


def test_a_certificate_by_the_departments_of_another_epoch_is_found() -> None:
    block = STORY.blocks.block(4)
    old = [
        sign_vote(key_of(n), GENESIS.chain_id, "commit", 0, 4, 0, block.id, n) for n in GENESIS.validators.departments
    ]
    finding = found(4, replace(FRAMES[3], certificate=Certificate.of(old).to_bytes()))
    assert (finding.code, finding.field, finding.expected, finding.actual) == (
        "certificate.mismatch",
        "epoch",
        "1",
        "0",
    )


def chain_with_forged(kind: str) -> tuple[SampleChain, int]:
    """A chain on which a quorum agreed to a batch with a signature that is not its key's."""
    chain = SampleChain()
    chain.append(chain.batch(chain.put("a")))
    good = chain.batch(chain.put("b"), chain.put("c"), chain.put("d"))
    if kind == "batch":
        raw = codec.encode(["sales", bytes(64), [t.raw for t in good.transactions]])
        chain.append(type(good).from_bytes(raw))
        return chain, -1
    victim = good.transactions[2]
    forged = type(victim).from_bytes(codec.encode([victim.body, good.transactions[0].signature]))
    chain.append(chain.batch(*good.transactions[:2], forged))
    return chain, 2


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_forged_signature_that_a_quorum_let_pass_is_found_and_named(kind: str) -> None:
    chain, index = chain_with_forged(kind)
    finding = audit(stored_frames(chain.blocks, 1, 2))
    assert finding is not None
    assert (finding.height, finding.check, finding.code) == (2, "signatures", "signature.invalid")
    assert finding.transaction_index == (None if index < 0 else index)
    if index >= 0:
        assert finding.transaction_id == chain.blocks.block(2).batches[0].transactions[index].id.hex()


def test_a_transaction_of_another_chain_that_a_quorum_let_pass_is_found_and_named() -> None:
    chain, other = SampleChain(), SampleChain(make_genesis(network="other"))
    other.nonce = 500
    chain.append(chain.batch(chain.put("a"), other.put("b")))
    finding = audit(stored_frames(chain.blocks, 1, 1))
    assert finding is not None
    assert (finding.code, finding.transaction_index) == ("transaction.wrong_chain", 1)


def test_a_malformed_transaction_is_named() -> None:
    raw = bytearray(FRAMES[0].block)
    second = STORY.blocks.block(1).batches[0].transactions[1].raw
    raw[raw.index(second)] = 0xC1
    finding = found(1, replace(FRAMES[0], block=bytes(raw)))
    assert (finding.height, finding.check, finding.transaction_index) == (1, "block", 1)


def test_another_genesis_is_another_chain_from_the_first_block_on() -> None:
    finding = audit(FRAMES, make_genesis(network="other").raw)
    assert finding is not None
    assert (finding.height, finding.field) == (1, "chain_id")
    with pytest.raises(KehuError) as caught:
        Auditor.at_genesis(b"\x80", Notes())
    assert caught.value.code == "genesis.invalid"


def test_of_two_findings_the_earlier_height_then_check_then_transaction_is_first() -> None:
    def at(height: int, check: str, index: int | None = None) -> AuditFinding:
        return AuditFinding(height, check, "x", "y", transaction_index=index)

    ordered = [at(1, "certificate"), at(2, "signatures"), at(2, "signatures", 0), at(2, "signatures", 3),
               at(2, "execution"), at(3, "export")]  # fmt: skip
    assert first(*reversed(ordered)) == ordered[0]
    assert sorted(ordered, key=lambda finding: finding.rank) == ordered
    assert first(None, None) is None
