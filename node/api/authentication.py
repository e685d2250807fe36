"""Who is asking: checks a request's signature (RFC 9421) and finds the person behind its key.

The order matters. The signature comes first and is checked with the key it names, so nothing is looked up for
strangers and a wrong signature looks the same whether or not the key is known. Then time, chain and department,
then the key's place in the committed state, and last the nonce, so that only enrolled people fill its cache.

Replays. Within its lifetime a signature counts once; the node remembers nonces in memory. A restart forgets them,
therefore a request created before the process started is refused, and one created in this node's future waits
until its second has come: what an earlier process accepted was created before that process ended, hence before
this one began (as long as the machine's clock is not set back across the restart by more than the pause).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageVerifier

from chain.errors import KehuError, define
from node.api.facade import NodeFacade
from node.api.nonces import NonceCache
from node.api.people import Person, require_active_person
from node.api.signature_terms import (
    CHAIN_HEADER,
    DEPARTMENT_HEADER,
    LABEL,
    LIFETIME_S,
    NONCE_BYTES,
    TAG,
    KeyInKeyId,
    Message,
    RefusedSignature,
    StrictEd25519,
    covered_components,
)

Clock = Callable[[], int]
"""Unix time in ms."""

AHEAD_MS_MAX: Final = 5_000
"""How far a client's clock may run ahead; such a request waits until its time has come."""
_TIMER_MS: Final = 10
"""Event loop timers may come a little early."""

AUTH_REQUIRED = define(
    "auth.required",
    "this request must be signed with a person's key",
    "sign it as docs/spec/http-signatures.md says; the CLI does it with `--as NAME`",
)
AUTH_MALFORMED = define(
    "auth.malformed",
    "the headers Signature and Signature-Input are not those of a signed Kehu request",
    "sign exactly the components in Accept-Signature, with created, expires, nonce, keyid and the tag kehu",
)
AUTH_SIGNATURE_INVALID = define(
    "auth.signature_invalid",
    "the request's signature is not that of the key it names over what arrived",
    "sign the request as it is sent: method, path, query, body and the Kehu headers",
)
AUTH_EXPIRED = define(
    "auth.expired",
    "the request's signature has expired",
    "set the machine's clock and sign the request again",
)
AUTH_CLOCK_AHEAD = define(
    "auth.clock_ahead",
    "the request says it was signed in the future",
    "set the machine's clock; the node's time is in the details",
)
AUTH_BEFORE_START = define(
    "auth.before_start",
    "the request was signed before this node started, and the node can't know whether it was answered then",
    "sign the request again",
)
AUTH_WRONG_CHAIN = define(
    "auth.wrong_chain",
    "the request was signed for another chain",
    "sign it with the chain id that this node's /v1/genesis gives",
)
AUTH_WRONG_DEPARTMENT = define(
    "auth.wrong_department",
    "the request was signed for another department's node",
    "send it to that node, or sign it for this one",
)


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a good signature says of itself; times in Unix ms."""

    key: bytes
    nonce: str
    created_ms: int
    expires_ms: int


class _Verifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Left to `Authenticator`, which has the node's clock; the library would ask the machine's."""


class Authenticator:
    """One per process: it holds the nonces and knows when the process started."""

    def __init__(self, node: NodeFacade, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._nonces = NonceCache()
        self._started_ms = clock()
        self._verifier = _Verifier(signature_algorithm=StrictEd25519, key_resolver=KeyInKeyId())

    @property
    def started_ms(self) -> int:
        return self._started_ms

    async def authenticate(self, message: Message, has_body: bool) -> Person:
        """The person who signed this request. `message` has lower-case header names. Errors: auth.*.

        The body is not looked at: the signature covers its digest, which `bodies.read_body` compares later.
        """
        signed = self._verify(message, has_body)
        self._require_destination(message)
        await self._require_time(signed)
        person = require_active_person(self._node, signed.key)
        self._nonces.use(signed.key, signed.nonce, signed.expires_ms, self._clock())
        return person

    def _verify(self, message: Message, has_body: bool) -> _Signed:
        if "signature" not in message.headers and "signature-input" not in message.headers:
            raise KehuError(AUTH_REQUIRED)
        try:
            results = self._verifier.verify(message, expect_tag=TAG, expect_label=LABEL, max_age=None)
        except RefusedSignature:
            raise KehuError(AUTH_SIGNATURE_INVALID) from None
        except (HTTPMessageSignaturesException, ValueError, TypeError, KeyError, UnicodeError, RecursionError):
            raise KehuError(AUTH_MALFORMED) from None
        (result,) = results
        covered = sorted(component.strip('"') for component in result.covered_components)
        expected = sorted((*covered_components(has_body), "@signature-params"))
        if covered != expected:
            raise KehuError(AUTH_MALFORMED, expected=" ".join(expected), components=len(covered))
        return _signed(result.parameters)

    def _require_destination(self, message: Message) -> None:
        chain_id, department = self._node.genesis.chain_id.hex(), self._node.department
        if message.headers[CHAIN_HEADER.lower()] != chain_id:
            raise KehuError(AUTH_WRONG_CHAIN, expected=chain_id)
        if message.headers[DEPARTMENT_HEADER.lower()] != department:
            raise KehuError(AUTH_WRONG_DEPARTMENT, expected=department)

    async def _require_time(self, signed: _Signed) -> None:
        now_ms = self._clock()
        if signed.created_ms > now_ms + AHEAD_MS_MAX:
            raise KehuError(AUTH_CLOCK_AHEAD, created_ms=signed.created_ms, node_time_ms=now_ms)
        if signed.created_ms < self._started_ms:
            raise KehuError(AUTH_BEFORE_START, created_ms=signed.created_ms, started_ms=self._started_ms)
        ahead_ms = signed.created_ms - now_ms
        if ahead_ms > 0:
            await asyncio.sleep((ahead_ms + _TIMER_MS) / 1000)
        if signed.expires_ms < self._clock():
            raise KehuError(AUTH_EXPIRED, expired_ms=signed.expires_ms, node_time_ms=self._clock())


def _signed(parameters: dict[str, Any]) -> _Signed:
    """The signature's parameters, all of which must be there. Errors: auth.malformed."""
    created, expires, nonce = parameters.get("created"), parameters.get("expires"), parameters.get("nonce")
    if type(created) is not int or type(expires) is not int or not 0 < expires - created <= LIFETIME_S:
        raise KehuError(AUTH_MALFORMED, field="created, expires", lifetime_s_max=LIFETIME_S)
    if type(nonce) is not str or len(nonce) != 2 * NONCE_BYTES:
        raise KehuError(AUTH_MALFORMED, field="nonce", hex_digits=2 * NONCE_BYTES)
    return _Signed(bytes.fromhex(parameters["keyid"]), nonce, created * 1000, expires * 1000)
