"""What a command believes about a transaction: the receipt of where it ran, and no other that a node may show."""

from __future__ import annotations

import pytest

from chain import light
from chain.blocks import ExecutedBlock
from chain.errors import KehuError
from chain.execution import HOME_ONLY
from chain.genesis import Genesis
from chain.transaction import Call
from cli.verify import check_receipt
from tools.sample_chain import SampleChain, make_genesis


def proof(chain: SampleChain, executed: ExecutedBlock, index: int = 0) -> bytes:
    header = executed.block.header
    certificate = chain.blocks.certificate(header.height)
    assert certificate is not None
    receipts = chain.blocks.receipt_bytes(header.height)
    return light.prove_receipt(header, certificate, receipts, index).to_bytes()


def test_a_node_cannot_pass_off_a_place_where_the_transaction_was_not_run_as_its_outcome() -> None:
    """Whoever believed that it failed would do the work again, and it would be done twice."""
    chain = SampleChain(Genesis.from_value({**make_genesis().value, "protocol": HOME_ONLY}))
    chain.append(chain.batch(chain.transact(Call("notes.move", {"department": "sales"}))))
    wanted = chain.put("a")
    elsewhere = chain.append(chain.batch(wanted, department="finance"))
    ran = chain.append(chain.batch(wanted))
    again = chain.append(chain.batch(wanted, chain.put("b")))
    assert check_receipt(chain.genesis, wanted.id, proof(chain, ran)).receipt.is_ok
    for executed in (elsewhere, again):
        assert not executed.receipts[0].is_ok
        with pytest.raises(KehuError, match=r"proof\.not_run_there"):
            check_receipt(chain.genesis, wanted.id, proof(chain, executed))
