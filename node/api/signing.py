"""The client's half of signed requests: adds the headers that `node.api.authentication` checks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from http_message_signatures import HTTPMessageSigner
from yarl import URL

from chain.crypto import SigningKey
from node.api.signature_terms import (
    CHAIN_HEADER,
    DEPARTMENT_HEADER,
    LABEL,
    LIFETIME_S,
    TAG,
    Message,
    OneKey,
    StrictEd25519,
    covered_components,
)


def content_digest(body: bytes) -> str:
    """The Content-Digest header's value (RFC 9530) in the one form Kehu uses: SHA-256 alone."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(
    key: SigningKey,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    chain_id: bytes,
    department: str,
    created: int,
    nonce: bytes,
) -> dict[str, str]:
    """`headers` with the signature's own added: send them with exactly this method, URL and body.

    `url` is absolute, as aiohttp's client normalises it (`str(yarl.URL(url))`). `created` is Unix seconds, `nonce`
    16 random bytes, new for every request. The signature is good for `LIFETIME_S` seconds.
    """
    signed = dict(headers)
    signed[CHAIN_HEADER] = chain_id.hex()
    signed[DEPARTMENT_HEADER] = department
    at = datetime.fromtimestamp(created, UTC)
    signer = HTTPMessageSigner(signature_algorithm=StrictEd25519, key_resolver=OneKey(key))
    signer.sign(
        Message(method.upper(), str(URL(url)), signed),
        key_id=key.public.hex(),
        created=at,
        expires=at + timedelta(seconds=LIFETIME_S),
        nonce=nonce.hex(),
        label=LABEL,
        tag=TAG,
        covered_component_ids=covered_components(bool(body)),
        body=body or None,  # adds Content-Digest
    )
    return signed
