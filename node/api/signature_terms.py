"""What both ends of a signed request agree on: RFC 9421 as Kehu uses it (docs/spec/http-signatures.md).

One signature, label and tag "kehu", Ed25519, over exactly these components: the method, the path, the query, the
headers Kehu-Chain (chain id, hex) and Kehu-Department (whose node it is for), and Content-Digest when there is a
body. So a request can't be replayed to another node or chain. `keyid` is the public key in hex, `nonce` 16 random
bytes in hex, `created` and `expires` Unix seconds at most `LIFETIME_S` apart.

The library (http-message-signatures) parses and builds the signature base; the Ed25519 behind it is
`chain.crypto`, so that there is one strict verify in Kehu and not a second, laxer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from http_message_signatures import HTTPSignatureAlgorithm, HTTPSignatureKeyResolver, InvalidSignature

from chain.crypto import SigningKey, verify_raw

LABEL: Final = "kehu"
TAG: Final = "kehu"
CHAIN_HEADER: Final = "Kehu-Chain"
DEPARTMENT_HEADER: Final = "Kehu-Department"
DIGEST_HEADER: Final = "Content-Digest"
NONCE_BYTES: Final = 16
LIFETIME_S: Final = 60
COMPONENTS: Final = ("@method", "@path", "@query", CHAIN_HEADER.lower(), DEPARTMENT_HEADER.lower())
BODY_COMPONENT: Final = DIGEST_HEADER.lower()


def covered_components(has_body: bool) -> tuple[str, ...]:
    return (*COMPONENTS, BODY_COMPONENT) if has_body else COMPONENTS


@dataclass(frozen=True, slots=True)
class Message:
    """A request as the library wants to see it; `url` is absolute, its authority is not covered."""

    method: str
    url: str
    headers: Mapping[str, str]


class RefusedSignature(InvalidSignature):
    """The signature is well-formed and not that of its key over this message."""


class StrictEd25519(HTTPSignatureAlgorithm):
    """The library's interface over `chain.crypto`: keys are 32 public bytes, or a `SigningKey`."""

    algorithm_id = "ed25519"

    def __init__(self, public_key: bytes | None = None, private_key: SigningKey | None = None) -> None:
        self._public = public_key
        self._private = private_key

    def sign(self, message: bytes) -> bytes:
        if self._private is None:
            raise TypeError("signing needs a SigningKey")
        return self._private.sign_raw(message)

    def verify(self, signature: bytes, message: bytes) -> None:
        if self._public is None or not verify_raw(self._public, message, signature):
            raise RefusedSignature("not this key's signature")


class OneKey(HTTPSignatureKeyResolver):
    """A key resolver that knows the key it was given."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Any:
        if key_id != self._key.public.hex():
            raise KeyError(key_id)
        return self._key


class KeyInKeyId(HTTPSignatureKeyResolver):
    """A key resolver for which the key id *is* the public key, in hex: nothing is looked up before it has signed."""

    def resolve_public_key(self, key_id: str) -> Any:
        if len(key_id) != 64 or key_id != key_id.lower():
            raise InvalidSignature("keyid is not 32 bytes in lower-case hex")
        return bytes.fromhex(key_id)
