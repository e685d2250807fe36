"""A transaction: calls that a key signs, applied all or nothing, at most once, before a stated height.

body      [1, chain_id, key, nonce, expires_height, [[name, args], ...]]
envelope  [body bytes, signature]
id        digest("transaction", body bytes): the signature is not part of the identity, so a second
          signature over the same body is the same transaction.

The sender is a public key. Whose key it is (a person's, a node's, a gateway's) the contracts know.
docs/spec/transactions.md has the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from chain import codec
from chain.crypto import KEY_BYTES, Signer, Verifier, digest, verify
from chain.errors import SIGNATURE_INVALID, KehuError, define

VERSION: Final = 1
NONCE_BYTES: Final = 16
TRANSACTION_BYTES_MAX: Final = 1 << 16
CALLS_MAX: Final = 100

TRANSACTION_WRONG_CHAIN = define(
    "transaction.wrong_chain",
    "the transaction was signed for another chain",
    "sign it again with the chain id that this network's genesis gives",
)
TRANSACTION_VERSION = define(
    "transaction.version",
    "the transaction's format version is not one this chain executes",
    "use a client of this network's release",
)


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One contract call: `name` is contract.method, `args` its named arguments."""

    name: str
    args: dict[str, Any]


class Transaction(msgspec.Struct, frozen=True, gc=False):
    raw: bytes
    id: bytes
    body: bytes
    signature: bytes
    chain_id: bytes
    key: bytes
    nonce: bytes
    expires_height: int
    calls: tuple[Call, ...]

    @classmethod
    def from_bytes(cls, raw: bytes) -> Transaction:
        """Decodes and checks the form; the signature is `verify`'s."""
        body, signature = _ENVELOPE.read(raw, TRANSACTION_BYTES_MAX) or _envelope_of(raw)
        parts = _BODY.read(body, TRANSACTION_BYTES_MAX)
        if parts is None or not all(codec.is_plain(call.args, _ARGS_DEPTH) for call in parts[-1]):
            parts = _body_of(body)
        version, chain_id, key, nonce, expires_height, calls = parts
        if version != VERSION:
            raise KehuError(TRANSACTION_VERSION, expected=VERSION, actual=version)
        return cls(
            raw=raw,
            id=transaction_id(body),
            body=body,
            signature=signature,
            chain_id=chain_id,
            key=key,
            nonce=nonce,
            expires_height=expires_height,
            calls=calls,
        )

    def verify(self, chain_id: bytes, check: Verifier = verify) -> None:
        """Raises unless it is for this chain and its key signed it."""
        if self.chain_id != chain_id:
            raise KehuError(TRANSACTION_WRONG_CHAIN, expected=chain_id, actual=self.chain_id)
        if not check(self.key, "transaction", chain_id, self.body, self.signature):
            raise KehuError(SIGNATURE_INVALID, purpose="transaction", key=self.key)


_Body: TypeAlias = tuple[
    codec.UInt,
    codec.Digest,
    Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)],
    Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)],
    codec.UInt,
    Annotated[tuple[Call, ...], msgspec.Meta(min_length=1, max_length=CALLS_MAX)],
]
_BODY: Final[codec.Shape[_Body]] = codec.Shape(_Body)
_ENVELOPE: Final[codec.Shape[tuple[bytes, bytes]]] = codec.Shape(tuple[bytes, codec.Signature])
_ARGS_DEPTH: Final = 3
"""The body is a list, in which is the list of calls, each of which is one."""


def _envelope_of(raw: bytes) -> Sequence[bytes]:
    """As `_ENVELOPE`, with an error that says what is wrong."""
    value = codec.decode(raw, TRANSACTION_BYTES_MAX)
    return codec.fields(value, "transaction", codec.is_bytes, codec.is_signature)


def _body_of(body: bytes) -> _Body:
    """As `_BODY`, with an error that says what is wrong."""
    value = codec.decode(body, TRANSACTION_BYTES_MAX)
    *parts, calls = codec.fields(value, "transaction body", *_BODY_CHECKS)
    pairs = [codec.fields(item, "call", codec.is_text, codec.is_map) for item in calls]
    version, chain_id, key, nonce, expires_height = parts
    return version, chain_id, key, nonce, expires_height, tuple(Call(name, args) for name, args in pairs)


def _is_nonce(value: codec.Value) -> bool:
    return type(value) is bytes and len(value) == NONCE_BYTES


def _is_key(value: codec.Value) -> bool:
    return type(value) is bytes and len(value) == KEY_BYTES


def _are_calls(value: codec.Value) -> bool:
    return type(value) is list and 1 <= len(value) <= CALLS_MAX


_BODY_CHECKS: Final = (codec.is_uint, codec.is_digest, _is_key, _is_nonce, codec.is_uint, _are_calls)


def transaction_id(body: bytes) -> bytes:
    return digest("transaction", body)


def sign_transaction(
    signer: Signer, chain_id: bytes, nonce: bytes, expires_height: int, calls: list[Call]
) -> Transaction:
    """A signed transaction; `nonce` is 16 random bytes that the caller drew."""
    body = codec.encode(
        [VERSION, chain_id, signer.public, nonce, expires_height, [[call.name, call.args] for call in calls]]
    )
    signature = signer.sign("transaction", chain_id, body)
    return Transaction.from_bytes(codec.encode_flat([body, signature]))
