"""The text by which a customer comes in: who they are and a one-time code, as people hand it on and type it.

    c-1f….ABCD-EFGH-…   the customer's id, then 20 secret bytes in base32

Small and capital letters are the same, hyphens and spaces count for nothing.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Final, Self

from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.transaction import Call
from cli.profile import require_name
from contracts.people.invitations import (
    CODE_BYTES,
    INVITATION_PURPOSE,
    invitation_digest,
    invitation_key,
    invitation_payload,
)

_GROUP: Final = 4

INVITATION_MALFORMED = define(
    "usage.invitation",
    "an invitation is the customer's id, a full stop, and 32 letters and digits",
    "copy it whole, as the administration gave it",
)


@dataclass(frozen=True, slots=True, repr=False)
class Invitation:
    """Whoever has it can enrol as the customer until it expires or is redeemed."""

    customer: str
    code: bytes

    @classmethod
    def draw(cls, customer: str) -> Self:
        return cls(customer, secrets.token_bytes(CODE_BYTES))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Errors: usage.invitation, usage.name."""
        customer, _, written = text.strip().rpartition(".")
        letters = "".join(written.split()).replace("-", "").upper()
        try:
            code = base64.b32decode(letters)
        except (binascii.Error, ValueError):
            code = b""
        if len(code) != CODE_BYTES:
            raise KehuError(INVITATION_MALFORMED, characters=len(letters))
        return cls(require_name(customer, "customer"), code)

    @property
    def text(self) -> str:
        letters = base64.b32encode(self.code).decode()
        return f"{self.customer}." + "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))

    def invite_call(self, expires_ms: int) -> Call:
        digest = invitation_digest(self.customer, invitation_key(self.customer, self.code).public)
        return Call("customers.invite", {"customer": self.customer, "digest": digest, "expires_ms": expires_ms})

    def redeem_call(self, chain_id: bytes, new_key: SigningKey) -> Call:
        """To be signed by `new_key`."""
        key = invitation_key(self.customer, self.code)
        proof = key.sign(INVITATION_PURPOSE, chain_id, invitation_payload(self.customer, new_key.public))
        args = {"customer": self.customer, "invitation": key.public.hex(), "proof": proof}
        return Call("customers.redeem_invitation", args)

    def __repr__(self) -> str:
        return f"Invitation({self.customer})"
