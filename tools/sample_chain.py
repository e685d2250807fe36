"""A small deterministic chain with real keys and signatures, for golden vectors, tests and measurements.

Its one contract keeps notes: enough to show success, refusal, a fault, removal and a change of departments.
Every key is the SHA-256 of a name, so nothing here is secret and everything is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from chain import codec
from chain.batch import Batch, sign_batch
from chain.block import Block
from chain.blocks import ExecutedBlock
from chain.certificate import Certificate, sign_vote
from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.execution import BlockFacts, CallContext
from chain.export import export_chunks, stored_frames
from chain.genesis import Genesis
from chain.ledger import Ledger
from chain.protocol import FIRST, SCHEDULE, TABLE, schedule_of
from chain.state import View
from chain.store import MemoryStore
from chain.transaction import Call, Transaction, sign_transaction
from chain.validators import Validator, ValidatorSet

DEPARTMENTS: Final = ("administration", "after_sales", "finance", "sales")
SAMPLE_REFUSED = define("sample.refused", "the sample contract refuses this", "nothing: it is made to refuse")


def key_of(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(f"kehu sample key {name}".encode()).digest())


class Notes:
    """One table: `put` and `delete` write, `fail` writes and refuses, `fault` divides by zero, `big` returns
    `bytes` zeros, `odd` returns what has no encoding, `admit` lets the department `technical` in from a height on;
    `accept` does it as governance does: its result is what a light client follows;
    `upgrade` has another version of the protocol count from a height on, `move` makes the sender a department's."""

    def write_genesis(self, view: View, genesis: Genesis) -> None:
        view.put("notes", "first", {"text": genesis.network})

    def home_of(self, view: View, transaction: Transaction) -> str | None:
        """Who is named in `homes` belongs there, all others anywhere."""
        homes = view.get("notes", "homes")
        return None if homes is None else homes.get(transaction.key.hex())

    def begin_block(self, facts: BlockFacts, view: View) -> None:
        """Nothing falls due here."""

    def end_block(self, view: View) -> None:
        """Nothing is written down at the end."""

    def call(self, context: CallContext, view: View, call: Call) -> codec.Value:
        args = call.args
        if call.name == "notes.admit":
            self._admit(view, args["height"], "technical")
            return None
        if call.name == "notes.accept":
            accepted = self._admit(view, args["height"], args["department"])
            return {"accepted_set": accepted.to_value(), "activation_height": args["height"]}
        if call.name == "notes.upgrade":
            schedule = view.get(TABLE, SCHEDULE) or schedule_of(FIRST)
            schedule["versions"].append([args["height"], args["version"]])
            view.put(TABLE, SCHEDULE, schedule)
            return context.protocol
        if call.name == "notes.move":
            view.put("notes", "homes", {context.key.hex(): args["department"]})
            return None
        if call.name == "notes.big":
            return bytes(args["bytes"])
        if call.name == "notes.odd":
            return 1 << 64
        if call.name == "notes.delete":
            view.delete("notes", args["id"])
            return None
        view.put("notes", args["id"], {"text": args.get("text"), "by": context.key, "height": context.height})
        if call.name == "notes.fail":
            raise KehuError(SAMPLE_REFUSED, id=args["id"])
        if call.name == "notes.fault":
            return 1 // 0
        return context.height

    def _admit(self, view: View, height: int, department: str) -> ValidatorSet:
        schedule = view.get("validators", "schedule")
        if schedule is None:
            raise LookupError
        sets = schedule["sets"]
        last = ValidatorSet.from_value(sets[-1][1])
        new = Validator(department, key_of(department).public)
        members = tuple(sorted((*last.members, new), key=lambda member: member.department))
        after = ValidatorSet(last.epoch + 1, members)
        sets.append([height, after.to_value()])
        view.put("validators", "schedule", schedule)
        return after


def make_genesis(departments: Sequence[str] = DEPARTMENTS, network: str = "试验 sample") -> Genesis:
    return Genesis.from_value(
        {
            "version": 1,
            "network": network,
            "time_ms": 1_700_000_000_000,
            "departments": [
                {"id": name, "name": name.title(), "key": key_of(name).public.hex(), "address": f"{name}.example:7000"}
                for name in departments
            ],
            "people": [],
            "gateways": [],
            "policy": {},
            "limits": {"expiry_heights_max": 50, "clock_skew_ms_max": 10_000},
        }
    )


class SampleChain:
    """A ledger with its store, appending as a node does, with every signature real."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.store = MemoryStore()
        self.ledger, self.blocks = Ledger.open(self.genesis, Notes(), self.store)
        self.nonce = 0

    def transact(self, *calls: Call, sender: str = "li", expires_in: int = 20) -> Transaction:
        self.nonce += 1
        expires = self.ledger.height + expires_in
        nonce = self.nonce.to_bytes(16, "big")
        return sign_transaction(key_of(sender), self.genesis.chain_id, nonce, expires, list(calls))

    def put(self, id_: str, text: str = "客户", name: str = "notes.put") -> Transaction:
        return self.transact(Call(name, {"id": id_, "text": text}))

    def batch(self, *transactions: Transaction, department: str = "sales") -> Batch:
        return sign_batch(key_of(department), self.genesis.chain_id, department, transactions)

    def certify(self, block: Block, view: int = 0, signers: Sequence[str] | None = None) -> Certificate:
        """A commit certificate of the first quorum, or of `signers`."""
        header, validators = block.header, self.ledger.validators(block.header.height)
        names = signers if signers is not None else validators.departments[: validators.quorum]
        return Certificate.of(
            sign_vote(key_of(name), header.chain_id, "commit", validators.epoch, header.height, view, block.id, name)
            for name in names
        )

    def append(self, *batches: Batch) -> ExecutedBlock:
        time_ms = self.genesis.time_ms + 1_000 * (self.ledger.height + 1)
        executed = self.ledger.build("finance", time_ms, batches)
        certificate = self.certify(executed.block)
        self.blocks.append(executed, certificate)
        self.ledger.advance(executed, certificate)
        return executed

    def export(self, from_height: int = 1) -> bytes:
        frames = stored_frames(self.blocks, from_height, self.ledger.height)
        return b"".join(export_chunks(self.genesis.raw, frames, from_height))


def make_upgrade(versions: Sequence[int] = (1, 2)) -> SampleChain:
    """Four blocks by the first version, the others by the next ones, two blocks each; the acceptance is in block 1."""
    chain = SampleChain()
    calls = [Call("notes.upgrade", {"height": 5 + 2 * n, "version": v}) for n, v in enumerate(versions[1:])]
    chain.append(chain.batch(chain.transact(*calls)))
    for number in range(3 + 2 * (len(versions) - 1)):
        chain.append(chain.batch(chain.put(f"n{number}")))
    return chain


def make_story() -> SampleChain:
    """Four blocks: two departments' batches, a refusal, a fault, a removal, a duplicate, a fifth department."""
    chain = SampleChain()
    first = chain.put("a", "张三")
    chain.append(chain.batch(first, chain.put("b")), chain.batch(chain.put("c"), department="finance"))
    failing = chain.transact(Call("notes.put", {"id": "d"}), Call("notes.fail", {"id": "e"}), sender="wang")
    chain.append(chain.batch(failing, chain.put("f", name="notes.fault"), first))
    chain.append(
        chain.batch(
            chain.transact(Call("notes.delete", {"id": "b"})),
            chain.transact(Call("notes.admit", {"height": 4}), sender="chen"),
            department="administration",
        )
    )
    chain.append(chain.batch(*(chain.put(f"n{number}") for number in range(20)), department="technical"))
    return chain


def make_changes() -> tuple[SampleChain, list[Transaction]]:
    """Six blocks: accepted in block 1 and active at height 3, a fifth department; in block 3 and at 5, a sixth. The
    transactions that accepted them."""
    chain, accepted = SampleChain(), []
    for height, department in ((3, "technical"), (5, "process")):
        accepting = chain.transact(Call("notes.accept", {"height": height, "department": department}), sender="chen")
        accepted.append(accepting)
        chain.append(chain.batch(accepting, department="administration"))
        chain.append(chain.batch(chain.put(f"n{height}")))
    chain.append(chain.batch(chain.put("n5"), department="process"))
    chain.append(chain.batch(chain.put("n6"), department="technical"))
    return chain, accepted
