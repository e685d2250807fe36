"""Golden vectors of changes of membership: followed by receipts, and brought along by proof and evidence files."""

from __future__ import annotations

from typing import Any

from chain import codec
from chain.certificate import Certificate
from chain.evidence import Evidence, Statement
from chain.following import KnownSets
from chain.light import prove_receipt, prove_state
from chain.state import state_key
from cli.proof_file import Entry, ProofFile, pack, verify_proof_file
from tools.sample_chain import SampleChain, key_of, make_changes

ACCEPTED_AT = (1, 3)
ACTIVE_FROM = (0, 3, 5)


def membership() -> Any:
    """Two changes of departments, their receipt proofs, the sets that follow from them; files that need them."""
    chain, _ = make_changes()
    genesis = chain.genesis
    changes = [receipt_proof(chain, height) for height in ACCEPTED_AT]
    known = KnownSets(genesis, changes)
    file, piece = proof_file(chain, known), equivocation(chain)
    verify_proof_file(genesis, file.to_bytes())
    piece.verify(known.at(6), genesis.chain_id)
    return {
        "genesis": genesis.raw.hex(),
        "chain_id": genesis.chain_id.hex(),
        "changes": [raw.hex() for raw in changes],
        "sets": [
            {"from_height": height, "bytes": codec.encode(known.at(height).to_value()).hex()} for height in ACTIVE_FROM
        ],
        "proof_file": file.to_bytes().hex(),
        "evidence": {"name": piece.name, "file": piece.to_file(known.changes_to(6)).hex()},
    }


def receipt_proof(chain: SampleChain, height: int) -> bytes:
    """Of the first transaction of that height."""
    header, receipts = chain.blocks.block(height).header, chain.blocks.receipt_bytes(height)
    return prove_receipt(header, _certificate(chain, height), receipts, 0).to_bytes()


def proof_file(chain: SampleChain, known: KnownSets) -> ProofFile:
    """One entry at the last height."""
    header, value = chain.ledger.head.header, chain.ledger.state.get(state_key("notes", "n6"))
    proof = prove_state(chain.ledger.state, header, _certificate(chain, header.height), "notes", "n6")
    return pack(known, chain.genesis.chain_id, (), (Entry("notes", "n6", value, proof.to_bytes()),))


def equivocation(chain: SampleChain) -> Evidence:
    """Two COMMITs of the department that came last, at height 6."""
    key, chain_id = key_of("process"), chain.genesis.chain_id
    statements = [
        Statement(content, key.sign("commit", chain_id, codec.encode_flat([2, 6, 0, content])))
        for content in (bytes(32), chain.blocks.block(6).id)
    ]
    return Evidence.of(chain_id, "commit", 2, 6, 0, "process", *statements)


def _certificate(chain: SampleChain, height: int) -> Certificate:
    found = chain.blocks.certificate(height)
    if found is None:
        raise SystemExit(f"the chain has no certificate at height {height}")
    return found
