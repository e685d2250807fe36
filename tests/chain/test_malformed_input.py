"""Bytes that are not what they say: every wire type refuses them with a code, and never with anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import codec
from chain.batch import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, Batch
from chain.block import BLOCK_BYTES_MAX, Block, Header
from chain.certificate import Certificate
from chain.errors import KehuError
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof, prove_receipt, prove_state
from chain.protocol import NEWEST
from chain.receipt import Receipt, decode_receipts
from chain.transaction import CALLS_MAX, TRANSACTION_BYTES_MAX, Call, Transaction, sign_transaction
from tools.sample_chain import key_of, make_genesis, make_story

STORY = make_story()
BLOCK = STORY.blocks.block(2)
LEDGER = STORY.ledger
CERTIFICATE = LEDGER.head.certificate or pytest.fail("the story has a certified head")
RECEIPTS = STORY.blocks.receipt_bytes(2)
WHOLE: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "transaction": (BLOCK.batches[0].transactions[0].raw, Transaction.from_bytes),
    "batch": (BLOCK.batches[0].raw, Batch.from_bytes),
    "header": (BLOCK.header.to_bytes(), Header.from_bytes),
    "block": (BLOCK.raw, Block.from_bytes),
    "certificate": (CERTIFICATE.to_bytes(), Certificate.from_bytes),
    "receipt": (RECEIPTS[0], Receipt.from_bytes),
    "receipts": (codec.encode(RECEIPTS), decode_receipts),
    "genesis": (STORY.genesis.raw, Genesis.from_bytes),
    "state proof": (
        prove_state(LEDGER.state, LEDGER.head.header, CERTIFICATE, "notes", "a").to_bytes(),
        StateProof.from_bytes,
    ),
    "receipt proof": (
        prove_receipt(BLOCK.header, CERTIFICATE, RECEIPTS, 1).to_bytes(),
        ReceiptProof.from_bytes,
    ),
}
KINDS = sorted(WHOLE)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_bytes_are_read_and_cut_or_lengthened_ones_are_not(kind: str) -> None:
    raw, read = WHOLE[kind]
    read(raw)
    for wrong in (b"", raw[:-1], raw[: len(raw) // 2], raw + b"\x00"):
        with pytest.raises(KehuError) as caught:
            read(wrong)
        assert caught.value.code.startswith("codec.")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_another_value_or_a_refusal_with_a_code(kind: str, data: st.DataObject) -> None:
    raw, read = WHOLE[kind]
    changed = bytearray(raw)
    changed[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = read(bytes(changed))
    except KehuError:
        return
    assert found != read(raw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, True, 7, "text", b"bytes", [], [[]], {}, [None] * 6, [b""] * 3])
def test_another_kind_of_value_is_a_refusal_with_a_code(kind: str, value: Any) -> None:
    if kind == "receipts" and value in ([], [b""] * 3):
        return  # a list of byte strings is what receipts are
    with pytest.raises(KehuError):
        WHOLE[kind][1](codec.encode(value))


BODY = codec.decode(BLOCK.batches[0].transactions[0].body, 10_000)


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        (0, 2, "transaction.version"),
        (0, True, "codec.shape"),
        (1, bytes(31), "codec.shape"),
        (2, bytes(33), "codec.shape"),
        (3, bytes(15), "codec.shape"),
        (4, -1, "codec.shape"),
        (5, [], "codec.shape"),
        (5, [["a"]], "codec.shape"),
        (5, [["a", []]], "codec.shape"),
        (5, [[b"a", {}]], "codec.shape"),
        (5, [["a", {}]] * (CALLS_MAX + 1), "codec.shape"),
    ],
)
def test_a_transaction_with_one_wrong_field_is_refused(position: int, value: Any, code: str) -> None:
    body = codec.encode([*BODY[:position], value, *BODY[position + 1 :]])
    with pytest.raises(KehuError) as caught:
        Transaction.from_bytes(codec.encode([body, bytes(64)]))
    assert caught.value.code == code


def test_limits_hold_before_anything_is_decoded() -> None:
    for raw, read in (
        (bytes(TRANSACTION_BYTES_MAX + 1), Transaction.from_bytes),
        (bytes(BATCH_BYTES_MAX + 1), Batch.from_bytes),
        (bytes(BLOCK_BYTES_MAX + 1), Block.from_bytes),
    ):
        with pytest.raises(KehuError) as caught:
            read(raw)
        assert caught.value.code == "codec.too_large"


@pytest.mark.parametrize("count", [0, BATCH_TRANSACTIONS_MAX + 1])
def test_a_batch_of_none_or_too_many_is_refused(count: int) -> None:
    with pytest.raises(KehuError) as caught:
        Batch.from_bytes(codec.encode(["sales", bytes(64), [b""] * count]))
    assert caught.value.code == "codec.shape"


def test_a_second_signature_over_the_same_body_is_the_same_transaction() -> None:
    transaction = BLOCK.batches[0].transactions[0]
    again = Transaction.from_bytes(codec.encode([transaction.body, bytes(64)]))
    assert again.id == transaction.id
    with pytest.raises(KehuError) as caught:
        again.verify(STORY.genesis.chain_id)
    assert caught.value.code == "signature.invalid"


def test_a_transaction_for_another_chain_is_refused_with_both_ids() -> None:
    other = make_genesis(network="other")
    foreign = sign_transaction(key_of("li"), other.chain_id, bytes(16), 9, [Call("notes.put", {"id": "a"})])
    with pytest.raises(KehuError) as caught:
        foreign.verify(STORY.genesis.chain_id)
    assert caught.value.code == "transaction.wrong_chain"
    assert caught.value.details == {"expected": STORY.genesis.chain_id, "actual": other.chain_id}


def test_a_batch_in_the_name_of_a_stranger_or_with_anothers_signature_is_refused() -> None:
    envelopes = [BLOCK.batches[0].transactions[0].raw]
    signature = BLOCK.batches[0].signature
    for department, code in (("zoo", "batch.unknown_department"), ("finance", "signature.invalid")):
        forged = Batch.from_bytes(codec.encode([department, signature, envelopes]))
        with pytest.raises(KehuError) as caught:
            forged.verify(STORY.genesis.validators, STORY.genesis.chain_id)
        assert caught.value.code == code


def test_an_unknown_header_version_is_refused() -> None:
    value = codec.decode(BLOCK.header.to_bytes(), 10_000)
    for version, rest, code in ((NEWEST + 1, value[1:], "protocol.too_new"), (99, ["another form"], "protocol.too_new"),
                                (0, value[1:], "protocol.too_old")):  # fmt: skip
        with pytest.raises(KehuError) as caught:
            Header.from_bytes(codec.encode([version, *rest]))
        assert caught.value.code == code
    for version in (None, "1", -1):
        with pytest.raises(KehuError) as caught:
            Header.from_bytes(codec.encode([version, *value[1:]]))
        assert caught.value.code == "codec.shape"


GENESIS_VALUE = make_genesis().value


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 2}, "genesis.invalid"),
        ({"version": True}, "genesis.invalid"),
        ({"network": 1}, "genesis.invalid"),
        ({"time_ms": -1}, "genesis.invalid"),
        ({"time_ms": 1.5}, "genesis.invalid"),
        ({"departments": {}}, "genesis.invalid"),
        ({"departments": GENESIS_VALUE["departments"][:3]}, "validators.invalid"),
        ({"departments": [*GENESIS_VALUE["departments"], GENESIS_VALUE["departments"][0]]}, "validators.invalid"),
        ({"departments": [{**GENESIS_VALUE["departments"][0], "key": "AB" * 32}]}, "genesis.invalid"),
        ({"departments": [{**GENESIS_VALUE["departments"][0], "key": "ab"}]}, "genesis.invalid"),
        ({"departments": [{"id": "sales"}]}, "genesis.invalid"),
        ({"departments": [{**GENESIS_VALUE["departments"][0], "id": ""}]}, "genesis.invalid"),
        ({"departments": [{**GENESIS_VALUE["departments"][0], "id": "Sales"}]}, "genesis.invalid"),
        ({"departments": [{**GENESIS_VALUE["departments"][0], "id": "s" * 33}]}, "genesis.invalid"),
        ({"people": [1]}, "genesis.invalid"),
        ({"gateways": None}, "genesis.invalid"),
        ({"policy": []}, "genesis.invalid"),
        ({"limits": {"expiry_heights_max": 0}}, "genesis.invalid"),
        ({"limits": {"clock_skew_ms_max": "1"}}, "genesis.invalid"),
        ({"policy": {"ratio": 0.5}}, "codec.shape"),
    ],
)
def test_a_genesis_with_one_wrong_field_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(KehuError) as caught:
        Genesis.from_value({**GENESIS_VALUE, **change})
    assert caught.value.code == code


def test_a_genesis_with_anything_changed_is_another_chain() -> None:
    assert make_genesis().chain_id == STORY.genesis.chain_id
    assert Genesis.from_value({**GENESIS_VALUE, "note": "x"}).chain_id != STORY.genesis.chain_id
    for field in ("version", "network", "time_ms", "departments", "people", "gateways", "policy", "limits"):
        with pytest.raises(KehuError) as caught:
            Genesis.from_value({name: value for name, value in GENESIS_VALUE.items() if name != field})
        assert caught.value.code == "genesis.invalid"
