"""What a contract returns can neither stop a block nor make receipts that nobody can store."""

from __future__ import annotations

from chain import execution
from chain.batch import Batch
from chain.block import Block
from chain.receipt import RECEIPT_BYTES_MAX, RECEIPTS_BYTES_MAX, decode_receipts, encode_receipts
from chain.state import state_key
from chain.transaction import Call, Transaction
from chain.validators import ValidatorSet
from tools.sample_chain import SampleChain


def big(chain: SampleChain, size: int) -> Transaction:
    return chain.transact(Call("notes.put", {"id": "kept"}), Call("notes.big", {"bytes": size}))


def test_a_result_that_has_no_encoding_is_the_contracts_fault_and_changes_nothing() -> None:
    chain = SampleChain()
    odd = chain.transact(Call("notes.put", {"id": "kept"}), Call("notes.odd", {}))
    executed = chain.append(chain.batch(odd, chain.put("b")))
    assert [receipt.code for receipt in executed.receipts] == ["contract.fault", "ok"]
    assert chain.ledger.state.get(state_key("notes", "kept")) is None


def test_a_receipt_longer_than_its_limit_fails_and_changes_nothing() -> None:
    chain = SampleChain()
    executed = chain.append(chain.batch(big(chain, RECEIPT_BYTES_MAX), big(chain, RECEIPT_BYTES_MAX - 200)))
    assert [receipt.code for receipt in executed.receipts] == ["receipt.too_large", "ok"]
    assert max(map(len, executed.receipt_bytes)) <= RECEIPT_BYTES_MAX


def test_the_receipts_of_a_block_fit_what_a_node_stores_however_much_is_asked() -> None:
    chain = SampleChain()
    greedy = [big(chain, RECEIPT_BYTES_MAX - 300) for _ in range(24)]
    executed = chain.append(chain.batch(*greedy), chain.batch(chain.put("small"), department="finance"))
    codes = [receipt.code for receipt in executed.receipts]
    fitting = execution.RESULTS_BYTES_MAX // RECEIPT_BYTES_MAX
    assert codes[:fitting] == ["ok"] * fitting
    assert codes[fitting + 1 : 24] == ["receipt.too_large"] * (23 - fitting)
    stored = encode_receipts(executed.receipt_bytes)
    assert len(stored) < RECEIPTS_BYTES_MAX
    assert decode_receipts(stored) == executed.receipt_bytes


def test_everybody_computes_the_same_receipts_of_such_a_block() -> None:
    chain, other = SampleChain(), SampleChain()
    executed = chain.append(chain.batch(*(big(chain, RECEIPT_BYTES_MAX - 300) for _ in range(18))))

    def verify(batch: Batch, validators: ValidatorSet) -> None:
        batch.verify(validators, chain.genesis.chain_id)

    checked = other.ledger.check(Block.from_bytes(executed.block.raw), verify)
    assert checked.receipt_bytes == executed.receipt_bytes
