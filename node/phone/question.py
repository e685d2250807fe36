"""Questions about numbers: where a node finds what its gateway must know, and who may be asked it.

The number and the salts come from this department's own vault, the rest from the committed state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from chain.state import View
from contracts.deciding.holders import holders
from contracts.errors import FIELD_ABSENT, PHONE_UNCHANGED
from contracts.people.phone_status import REASSIGNED
from contracts.records import Record
from node.carrier.attest import Question
from node.vault.store import Vault

TABLE: Final = "customers"

PHONE_NOT_HELD = define(
    "phone.not_held",
    "this department's vault does not hold the customer's number",
    "have the department entitled (`kehu assign` or `kehu grant`), or go through one that holds it",
)


def phone_digest_in(customer: str, record: Record) -> bytes:
    """Errors: record.field_absent, of a customer whose number has been removed."""
    entry = record["fields"].get("phone")
    if entry is None:
        raise KehuError(FIELD_ABSENT, customer=customer, field="phone")
    return bytes(entry[0])


def may_hold(view: View, department: str, customer: str, field: str, now_ms: int) -> bool:
    """Whether the department is entitled to the field; of a customer who is not recorded, as soon as they are."""
    return department in holders(view, TABLE, customer, field, now_ms)


class Questions:
    """`draw(n)` gives n random bytes."""

    def __init__(self, vault: Vault, draw: Callable[[int], bytes]) -> None:
        self._vault, self._draw = vault, draw

    def of_record(self, customer: str, record: Record, first_salt: bytes | None = None) -> Question:
        """The question about a recorded number, by the vault. `first_salt`: for an identifier that is not known yet.

        Errors: phone.not_held, record.field_absent.
        """
        phone_digest = phone_digest_in(customer, record)
        phone = self._vault.get(TABLE, customer, "phone", phone_digest)
        if phone is None:
            raise KehuError(PHONE_NOT_HELD, customer=customer)
        salt = self._identifier_salt(customer, record, first_salt)
        return Question(customer, phone_digest, phone.value, phone.salt, salt, record["trusted_ms"])

    def new_salt(self) -> bytes:
        return self._draw(SALT_BYTES)

    def require_new_number(self, view: View, customer: str, phone_digest: bytes, number: str) -> None:
        """For questions under a salt of their own: under another salt, the recorded number's subscriber would look
        like somebody else, and somebody else who has it now like the customer. Contracts see digests and can't tell.

        A customer of whom there is nothing to compare with may have the same number recorded anew, but for a number
        that was reassigned. A vault that lacks the present number, of a department that was assigned the customer just
        now for one, can't tell either. Errors: phone.unchanged, phone.not_held, vault.damaged.
        """
        record = view.get(TABLE, customer)
        if record is None or "phone" not in record["fields"]:
            return
        current = phone_digest_in(customer, record)
        is_settled = record["reason"] == REASSIGNED or "identifier" in record["fields"]
        if current == phone_digest:
            raise KehuError(PHONE_UNCHANGED, customer=customer)
        if not is_settled:
            return
        held = self._vault.get(TABLE, customer, "phone", current)
        if held is None:
            raise KehuError(PHONE_NOT_HELD, customer=customer)
        if held.value == number:
            raise KehuError(PHONE_UNCHANGED, customer=customer)

    def _identifier_salt(self, customer: str, record: Record, first_salt: bytes | None) -> bytes:
        known = record["fields"].get("identifier")
        if known is None:
            return first_salt or self.new_salt()
        held = self._vault.get(TABLE, customer, "identifier", known[0])
        if held is None:
            raise KehuError(PHONE_NOT_HELD, customer=customer)
        return held.salt
