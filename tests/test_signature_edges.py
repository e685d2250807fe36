"""S09, scenario 30: every way on which Kehu verifies a signature draws the same line at the edges of Ed25519."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, cast

import pytest

from chain import codec
from chain.attestation import FOUND, PURPOSE, Attestation
from chain.batch import Batch
from chain.certificate import Certificate
from chain.crypto import digest, signed_message, verify, verify_raw
from chain.errors import KehuError
from chain.evidence import Evidence, Statement
from chain.transaction import Transaction
from chain.validators import Validator, ValidatorSet
from node.api.signature_terms import RefusedSignature, StrictEd25519
from node.intake.verification import RememberedSignatures
from node.peers.transport import Peer, _check_hello, hello_payload
from tests.signature_edges import KEY, TORSION, WYCHEPROOF, edges, wycheproof
from tools.verifier.chain_verifier import Validators, verify_batch, verify_transaction
from tools.verifier.evidence import verify_evidence
from tools.verifier.primitives import VerificationError, is_signed_raw

CHAIN: Final = digest("genesis", b"signature edges")
NAMES: Final = ("administration", "finance", "sales")
Sign = Callable[[bytes], bytes]
Path = Callable[[bytes, Sign], bool]


class Members:
    """Validators that all have the key in question; a real set refuses bad keys before any signature is looked at."""

    epoch, quorum, digest = 0, 3, bytes(32)

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.keys = dict.fromkeys(NAMES, key)

    def key_of(self, department: str) -> bytes | None:
        return self.keys.get(department)


def members(key: bytes) -> Any:
    return Members(key)


def is_taken(act: Callable[[], object]) -> bool:
    try:
        act()
    except (KehuError, VerificationError, RefusedSignature):
        return False
    return True


def _envelope(key: bytes, sign: Sign) -> bytes:
    body = codec.encode([1, CHAIN, key, bytes(16), 9, [["access.login", {}]]])
    return codec.encode_flat([body, sign(signed_message("transaction", CHAIN, body))])


def _batch(key: bytes, sign: Sign) -> bytes:
    envelopes = [_envelope(KEY.public, KEY.sign_raw)]
    payload = codec.encode(["sales", digest("batch-transactions", codec.encode(envelopes))])
    return codec.encode(["sales", sign(signed_message("batch", CHAIN, payload)), envelopes])


def _certificate(key: bytes, sign: Sign) -> Certificate:
    payload = codec.encode([0, 1, 0, bytes(32)])
    signature = sign(signed_message("commit", CHAIN, payload))
    return Certificate.from_value(["commit", 0, 1, 0, bytes(32), [[name, signature] for name in NAMES]])


def _evidence(key: bytes, sign: Sign) -> Evidence:
    said = []
    for content in (bytes(32), b"\x01" * 32):
        payload = codec.encode([0, 1, 0, content])
        said.append(Statement(content, sign(signed_message("commit", CHAIN, payload))))
    return Evidence.of(CHAIN, "commit", 0, 1, 0, "sales", *said)


def by_attestation(key: bytes, sign: Sign) -> bool:
    fields = ("c1", bytes(32), FOUND, bytes(32), None, "simulator", 1, "g1", bytes(16))
    payload = Attestation(*fields, signature=bytes(64)).payload()
    signature = sign(signed_message(PURPOSE, CHAIN, payload))
    return Attestation(*fields, signature=signature).is_valid(key, CHAIN)


def by_hello(key: bytes, sign: Sign) -> bool:
    identity: Any = type("Identity", (), {"department": "sales", "key": KEY_OF_SALES, "chain_id": CHAIN})()
    covered = hello_payload(bytes(32), "sales", KEY_OF_SALES.public, "finance", key, 1)
    hello = [1, CHAIN, "finance", key, sign(signed_message("peer-hello", CHAIN, covered))]
    return is_taken(lambda: _check_hello(identity, {"finance": Peer(key, "127.0.0.1", 1)}, bytes(32), hello))


class KEY_OF_SALES:  # noqa: N801 (stands for a key)
    public = hashlib.sha256(b"the other side").digest()


PATHS: Final[dict[str, Path]] = {
    "verify_raw": lambda key, sign: verify_raw(key, b"message", sign(b"message")),
    "verify": lambda key, sign: verify(key, "batch", CHAIN, b"x", sign(signed_message("batch", CHAIN, b"x"))),
    "remembered": lambda key, sign: RememberedSignatures()(
        key, "batch", CHAIN, b"x", sign(signed_message("batch", CHAIN, b"x"))
    ),
    "transaction": lambda key, sign: is_taken(lambda: Transaction.from_bytes(_envelope(key, sign)).verify(CHAIN)),
    "batch": lambda key, sign: is_taken(lambda: Batch.from_bytes(_batch(key, sign)).verify(members(key), CHAIN)),
    "transaction in a batch": lambda key, sign: is_taken(
        lambda: Batch.from_bytes(codec.encode(["sales", bytes(64), [_envelope(key, sign)]])).verify(
            members(KEY.public), CHAIN, lambda k, purpose, *rest: purpose == "batch" or verify(k, purpose, *rest)
        )
    ),
    "certificate": lambda key, sign: is_taken(lambda: _certificate(key, sign).verify(members(key), CHAIN)),
    "evidence": lambda key, sign: is_taken(lambda: _evidence(key, sign).verify(members(key), CHAIN)),
    "attestation": by_attestation,
    "HTTP signature": lambda key, sign: is_taken(lambda: StrictEd25519(key).verify(sign(b"message"), b"message")),
    "peer hello": by_hello,
    "independent: raw": lambda key, sign: is_signed_raw(key, b"message", sign(b"message")),
    "independent: transaction": lambda key, sign: is_taken(lambda: verify_transaction(_envelope(key, sign), CHAIN)),
    "independent: batch": lambda key, sign: is_taken(lambda: verify_batch(_batch(key, sign), CHAIN, members(key))),
    "independent: evidence": lambda key, sign: is_taken(
        lambda: verify_evidence(_evidence(key, sign).to_file(), CHAIN, members(key))
    ),
}
EDGES: Final = list(edges())


def test_there_are_at_least_as_many_edges_as_were_measured() -> None:
    assert len(set(TORSION)) == 14
    assert len(EDGES) >= 359 - 151


@pytest.mark.parametrize("name", PATHS)
def test_a_good_signature_is_taken_and_every_edge_is_refused(name: str) -> None:
    path = PATHS[name]
    assert path(KEY.public, KEY.sign_raw)
    assert [edge.name for edge in EDGES if path(edge.key, edge.sign)] == []


@pytest.mark.parametrize("key", sorted({edge.key for edge in EDGES} - {KEY.public}))
def test_an_edge_key_is_no_member_of_a_validator_set(key: bytes) -> None:
    names = ("a", "b", "c", "d")
    others = [Validator(name, hashlib.sha256(name.encode()).digest()) for name in names]
    with pytest.raises(KehuError):
        ValidatorSet(0, (Validator("a", key), *others[1:]))
    with pytest.raises(VerificationError):
        Validators.of([0, [["a", key], *([name, KEY.public] for name in names[1:])]])


@pytest.mark.parametrize("name", PATHS)
def test_the_wycheproof_vectors_are_judged_as_they_say_on_every_path(name: str) -> None:
    """On paths that frame the message themselves, a vector's signature is over another message, hence refused."""
    if not WYCHEPROOF.exists():
        pytest.skip("THE 151 WYCHEPROOF VECTORS ARE NOT BESIDE THIS CHECKOUT: only the generated edges were judged")
    judged = 0
    for key, case in wycheproof():
        signature = bytes.fromhex(case["sig"])
        if len(signature) == 64:
            assert not PATHS[name](key, lambda _message, found=signature: cast(bytes, found)), case
        judged += 1
    assert judged >= 151


@pytest.mark.parametrize("name", ["chain", "HTTP", "independent"])
def test_the_wycheproof_vectors_over_their_own_messages(name: str) -> None:
    if not WYCHEPROOF.exists():
        pytest.skip("THE 151 WYCHEPROOF VECTORS ARE NOT BESIDE THIS CHECKOUT")
    judges: dict[str, Callable[[bytes, bytes, bytes], bool]] = {
        "chain": verify_raw,
        "HTTP": lambda key, message, sig: is_taken(lambda: StrictEd25519(key).verify(sig, message)),
        "independent": is_signed_raw,
    }
    for key, case in wycheproof():
        is_good = judges[name](key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
        assert is_good == (case["result"] == "valid"), case
