"""The one way to move the chain's tip: build, check, append; with a contract made for these tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chain import codec
from chain.batch import Batch, sign_batch
from chain.block import Block
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.execution import BlockFacts, CallContext
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.light import ReceiptProof, StateProof, prove_receipt, prove_state
from chain.recent import RecentTransactions
from chain.state import View, state_key
from chain.store import MemoryStore
from chain.transaction import Call, Transaction, sign_transaction
from chain.validators import ValidatorSet

DEPARTMENTS = ("administration", "after_sales", "finance", "sales")
REFUSED = define("test.refused", "the test contract refuses this", "don't")


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


class Notes:
    """A contract with one table: put writes, fail writes and then refuses, fault divides by zero."""

    def write_genesis(self, view: View, genesis: Genesis) -> None:
        view.put("notes", "first", {"text": genesis.network})

    def home_of(self, view: View, transaction: Transaction) -> str | None:
        return None

    def begin_block(self, facts: BlockFacts, view: View) -> None:
        """Nothing falls due here."""

    def end_block(self, view: View) -> None:
        """Nothing is written down at the end."""

    def call(self, context: CallContext, view: View, call: Call) -> codec.Value:
        view.put("notes", call.args["id"], {"text": call.args.get("text"), "by": context.key})
        if call.name == "notes.fail":
            raise KehuError(REFUSED, id=call.args["id"])
        if call.name == "notes.fault":
            return 1 // 0
        return context.height


def make_genesis() -> Genesis:
    departments = [
        {"id": name, "name": name, "key": key_of(name).public.hex(), "address": f"{name}:1"} for name in DEPARTMENTS
    ]
    return Genesis.from_value(
        {
            "version": 1,
            "network": "试验",
            "time_ms": 1_000,
            "departments": departments,
            "people": [],
            "gateways": [],
            "policy": {},
            "limits": {"expiry_heights_max": 50},
        }
    )


GENESIS = make_genesis()


def transact(*calls: Call, nonce: int = 0, expires: int = 20, sender: str = "li") -> Transaction:
    return sign_transaction(key_of(sender), GENESIS.chain_id, nonce.to_bytes(16, "big"), expires, list(calls))


def put(id_: str, nonce: int = 0, expires: int = 20, name: str = "notes.put") -> Transaction:
    return transact(Call(name, {"id": id_, "text": "客户"}), nonce=nonce, expires=expires)


def batch(*transactions: Transaction, department: str = "sales") -> Batch:
    return sign_batch(key_of(department), GENESIS.chain_id, department, transactions)


def certify(block: Block, view: int = 0, signers: Sequence[str] = DEPARTMENTS[:3]) -> Certificate:
    header = block.header
    return Certificate.of(
        sign_vote(key_of(name), header.chain_id, "commit", 0, header.height, view, block.id, name) for name in signers
    )


def verify_batch(candidate: Batch, validators: ValidatorSet) -> None:
    candidate.verify(validators, GENESIS.chain_id)


class Chain:
    """A ledger with its store, appending as a node does."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ledger, self.blocks = Ledger.open(GENESIS, Notes(), self.store)

    def append(self, *batches: Batch) -> ExecutedBlock:
        executed = self.ledger.build("finance", 2_000 + self.ledger.height, batches)
        self.take(executed)
        return executed

    def take(self, executed: ExecutedBlock, signers: Sequence[str] = DEPARTMENTS[:3]) -> None:
        certificate = certify(executed.block, signers=signers)
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)


def test_a_built_block_checks_and_gives_every_ledger_the_same_root() -> None:
    one, other = Chain(), Chain()
    for round_ in range(3):
        executed = one.append(batch(put(f"n{round_}", nonce=round_)))
        received = Block.from_bytes(executed.block.raw)
        checked = other.ledger.check(received, verify_batch, now_ms=2_000)
        assert checked.receipt_bytes == executed.receipt_bytes
        other.take(checked)
    assert one.ledger.state.root == other.ledger.state.root
    assert one.ledger.head.block_id == other.ledger.head.block_id


def test_whichever_quorum_certified_a_block_every_ledger_has_the_same_state_b38() -> None:
    """Each appends with the votes that reached it. Those of the next primary go along with its block, for all."""
    chains = {missing: Chain() for missing in DEPARTMENTS}
    for round_, primary in enumerate(DEPARTMENTS):
        batches = [batch(put(f"n{round_}", nonce=round_))]
        block = chains[primary].ledger.build("finance", 2_000 + round_, batches).block
        for missing, chain in chains.items():
            checked = chain.ledger.check(Block.from_bytes(block.raw), verify_batch)
            chain.take(checked, [name for name in DEPARTMENTS if name != missing])
        heads = [chain.ledger.head for chain in chains.values()]
        assert len({head.certificate for head in heads}) == len(chains)
        assert {(head.block_id, head.header.state_root) for head in heads} == {(block.id, block.header.state_root)}
        assert {chain.ledger.state.root for chain in chains.values()} == {block.header.state_root}


def test_a_ledger_opened_again_has_the_same_head_state_and_memory_of_ids() -> None:
    chain = Chain()
    executed = chain.append(batch(put("a")))
    again, blocks = Ledger.open(GENESIS, Notes(), chain.store)
    assert again.head == chain.ledger.head
    assert again.state.root == chain.ledger.state.root
    assert executed.receipts[0].transaction_id in again.recent
    assert blocks.find(executed.receipts[0].transaction_id) is not None


def test_a_damaged_state_value_is_found_when_the_ledger_opens() -> None:
    chain = Chain()
    chain.append(batch(put("a")))
    chain.store.write({b"s/" + state_key("notes", "a"): codec.encode({"text": "other"})})
    with pytest.raises(KehuError) as caught:
        Ledger.open(GENESIS, Notes(), chain.store)
    assert caught.value.code == "storage.state_mismatch"


def test_a_failed_call_undoes_the_calls_before_it_and_leaves_a_receipt() -> None:
    chain = Chain()
    calls = (Call("notes.put", {"id": "a"}), Call("notes.fail", {"id": "b"}))
    executed = chain.append(batch(transact(*calls), put("c", nonce=1)))
    assert [receipt.code for receipt in executed.receipts] == ["test.refused", "ok"]
    assert executed.receipts[0].failed_call == 1
    assert chain.ledger.state.get(state_key("notes", "a")) is None
    assert chain.ledger.state.get(state_key("notes", "c")) is not None


def test_a_fault_of_a_contract_is_an_outcome_and_not_the_end_of_the_node() -> None:
    executed = Chain().append(batch(put("a", name="notes.fault")))
    assert executed.receipts[0].code == "contract.fault"
    assert executed.receipts[0].details == {"fault": "ZeroDivisionError"}


def test_a_transaction_is_executed_once_however_often_it_comes() -> None:
    chain = Chain()
    twice = put("a")
    executed = chain.append(batch(twice), batch(twice, put("b", nonce=1), department="finance"))
    assert [receipt.code for receipt in executed.receipts] == ["ok", "transaction.duplicate", "ok"]
    later = chain.append(batch(twice, put("c", nonce=2)))
    assert [receipt.code for receipt in later.receipts] == ["transaction.duplicate", "ok"]
    location = chain.blocks.find(twice.id)
    assert location is not None
    assert (location.height, location.index) == (1, 0)


def test_an_expired_or_too_distant_transaction_changes_nothing() -> None:
    chain = Chain()
    executed = chain.append(batch(put("a", expires=0), put("b", nonce=1, expires=99), put("c", nonce=2, expires=1)))
    assert [receipt.code for receipt in executed.receipts] == [
        "transaction.expired",
        "transaction.expiry_too_far",
        "ok",
    ]


def test_ids_are_remembered_as_long_as_they_could_be_valid_and_no_longer() -> None:
    chain = Chain()
    short = put("short", expires=3)
    chain.append(batch(short))
    assert short.id in chain.ledger.recent
    chain.append(batch(put("x", nonce=1)))
    assert short.id in chain.ledger.recent
    chain.append(batch(put("y", nonce=2)))
    assert short.id not in chain.ledger.recent
    receipts = chain.append(batch(short, put("z", nonce=3))).receipts
    assert receipts[0].code == "transaction.expired"


def test_a_batch_in_which_nothing_is_new_may_not_stand_in_a_block() -> None:
    chain = Chain()
    chain.append(batch(put("a")))
    with pytest.raises(KehuError) as caught:
        chain.ledger.build("finance", 3_000, [batch(put("a"))])
    assert caught.value.code == "block.idle_batch"


@pytest.mark.parametrize(
    "field", ["chain_id", "parent_id", "batches_root", "receipts_root", "state_root", "validators_digest",
              "parent_certificate_digest"],
)  # fmt: skip
def test_a_header_with_one_wrong_digest_is_refused_with_both_values(field: str) -> None:
    chain = Chain()
    chain.append(batch(put("a")))
    executed = chain.ledger.build("finance", 3_000, [batch(put("b", nonce=1))])
    wrong = replace(executed.block.header, **{field: bytes(31) + b"\x01"})
    block = Block.of(wrong, executed.block.parent_certificate, executed.block.batches)
    with pytest.raises(KehuError) as caught:
        chain.ledger.check(block, verify_batch)
    assert caught.value.code == "block.mismatch"
    assert caught.value.details["field"] == field
    assert caught.value.details["actual"] == bytes(31) + b"\x01"


@pytest.mark.parametrize("time_ms", [1_999, 15_000])
def test_a_block_time_before_the_parent_or_far_ahead_of_the_clock_is_refused(time_ms: int) -> None:
    chain = Chain()
    chain.append(batch(put("a")))
    executed = chain.ledger.build("finance", 3_000, [batch(put("b", nonce=1))])
    block = Block.of(replace(executed.block.header, time_ms=time_ms), executed.block.parent_certificate,
                     executed.block.batches)  # fmt: skip
    with pytest.raises(KehuError) as caught:
        chain.ledger.check(block, verify_batch, now_ms=3_000)
    assert caught.value.code == "block.time"


def test_with_clocks_set_back_a_block_may_have_its_parents_time_and_no_later_one() -> None:
    chain = Chain()
    chain.append(batch(put("a")))
    parent_ms = chain.ledger.head.header.time_ms
    an_hour_ago = parent_ms - 3_600_000
    executed = chain.ledger.build("finance", an_hour_ago, [batch(put("b", nonce=1))])
    assert executed.block.header.time_ms == parent_ms
    chain.ledger.check(executed.block, verify_batch, now_ms=an_hour_ago)
    later = Block.of(replace(executed.block.header, time_ms=parent_ms + 1), executed.block.parent_certificate,
                     executed.block.batches)  # fmt: skip
    with pytest.raises(KehuError) as caught:
        chain.ledger.check(later, verify_batch, now_ms=an_hour_ago)
    assert caught.value.code == "block.time"
    assert caught.value.details["latest"] == parent_ms


def test_a_forged_signature_inside_a_batch_is_refused() -> None:
    chain = Chain()
    good = put("a")
    forged = Transaction.from_bytes(codec.encode([good.body, bytes(64)]))
    executed = chain.ledger.build("finance", 3_000, [batch(forged)])
    with pytest.raises(KehuError) as caught:
        chain.ledger.check(executed.block, verify_batch)
    assert caught.value.code == "signature.invalid"


def test_present_and_absent_state_are_proven_by_one_answer() -> None:
    chain = Chain()
    chain.append(batch(*(put(f"n{number}", nonce=number) for number in range(200))))
    ledger = chain.ledger
    certificate = ledger.head.certificate
    assert certificate is not None
    for id_ in ("n7", "nobody"):
        value = ledger.state.get(state_key("notes", id_))
        proof = StateProof.from_bytes(
            prove_state(ledger.state, ledger.head.header, certificate, "notes", id_).to_bytes()
        )
        header = proof.verify(GENESIS.validators, GENESIS.chain_id, "notes", id_, value)
        assert header.height == 1
        with pytest.raises(KehuError):
            proof.verify(GENESIS.validators, GENESIS.chain_id, "notes", id_, b"\x80" if value is None else None)


def test_a_receipt_is_proven_by_one_answer() -> None:
    chain = Chain()
    executed = chain.append(batch(put("a"), put("b", nonce=1), put("c", nonce=2)))
    certificate = chain.ledger.head.certificate
    assert certificate is not None
    proof = prove_receipt(executed.block.header, certificate, executed.receipt_bytes, 1)
    _, receipt = ReceiptProof.from_bytes(proof.to_bytes()).verify(GENESIS.validators, GENESIS.chain_id)
    assert receipt == executed.receipts[1]
    with pytest.raises(KehuError):
        replace(proof, index=2).verify(GENESIS.validators, GENESIS.chain_id)


def test_forgetting_costs_what_there_is_to_forget_and_not_how_far_the_height_jumps() -> None:
    """A checkpoint whose header said 2^63 kept `kehu audit` counting up to it; found by fuzzing, execution 97,031."""
    recent = RecentTransactions()
    recent.add(1, [(b"a", 3), (b"b", 5), (b"c", 3)])
    recent.add(4, [(b"d", 1 << 61)])
    assert recent.pairs() == [(b"b", 5), (b"d", 1 << 61)]
    recent.add(1 << 60, [(b"e", 7)])
    assert recent.pairs() == [(b"d", 1 << 61)]
