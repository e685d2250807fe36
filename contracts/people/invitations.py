"""Customers come in: the administration invites, and the customer redeems with a key made on their own machine.

An invitation is a one-time code that the administration hands over outside the chain. Code and customer give a
signing key; the chain has a digest of its public half, so nobody can guess a code from what stands there. Redeeming
shows the public half and a signature by it over customer and new key: the code itself is never shown, and who sees
the transaction on its way can't redeem for another key. The transaction is signed by the new key, which shows that
somebody holds it.

  invitations/<customer>  {digest, expires_ms, status: open | redeemed | withdrawn, invited {by, stamp},
                           ended nil | {key or by, stamp}}
"""

from __future__ import annotations

from typing import Any, Final

from chain import codec
from chain.crypto import SigningKey, digest, require_key, verify
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import ADMINISTRATION, KEY, POSSESSION, RECORD, Args, Argument, is_within, methods, stamp
from contracts.deciding.subjects import ACTIVE, CUSTOMER, Subject, enrol_key, require_administrator, retire_key
from contracts.errors import (
    INVITATION_EXPIRED,
    INVITATION_OVER,
    INVITATION_PERIOD,
    INVITATION_UNKNOWN,
    INVITATION_WRONG,
    PEOPLE_EXISTS,
    PEOPLE_WRONG_NODE,
)
from contracts.people.invited import INVITATIONS, OPEN, REDEEMED, WITHDRAWN
from contracts.people.people import add_person
from contracts.records import load_record, write_fields

REDEEM: Final = "customers.redeem_invitation"
INVITATION_PURPOSE: Final = "invitation"
PERIOD_MS_MAX: Final = 90 * 86_400_000
"""How far ahead an invitation may expire."""
CODE_BYTES: Final = 20


def invitation_key(customer: str, code: bytes) -> SigningKey:
    """The key that follows from a one-time code of `CODE_BYTES` secret random bytes."""
    return SigningKey(digest("invitation-code", codec.encode_flat([customer, code])))


def invitation_digest(customer: str, public: bytes) -> bytes:
    """What the chain has of an invitation."""
    return digest("invitation", codec.encode_flat([customer, public]))


def invitation_payload(customer: str, new_key: bytes) -> bytes:
    """What the invitation's key signs (purpose "invitation") for the key that is to be the customer's."""
    return codec.encode_flat([customer, new_key])


def invite(context: CallContext, view: View, args: Args) -> codec.Value:
    """Opens an invitation; one that was open for this customer is void with it."""
    sender, customer = require_administrator(context, view), args["customer"]
    load_record(view, "customers", customer)
    _require_no_colleague(view, customer)
    latest_ms = context.time_ms + PERIOD_MS_MAX
    if not context.time_ms < args["expires_ms"] <= latest_ms:
        raise KehuError(INVITATION_PERIOD, time_ms=context.time_ms, expires_ms=args["expires_ms"], limit=latest_ms)
    invited = {"by": sender.text, **stamp(context)}
    row = {"digest": args["digest"], "expires_ms": args["expires_ms"], "status": OPEN, "invited": invited}
    view.put(INVITATIONS, customer, {**row, "ended": None})
    return {"customer": customer, "expires_ms": args["expires_ms"]}


def withdraw(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ends an open invitation. A customer who has redeemed it keeps the key: that is `people.revoke`."""
    sender, customer = require_administrator(context, view), args["customer"]
    row = _open_row(view, customer)
    view.put(INVITATIONS, customer, {**row, "status": WITHDRAWN, "ended": {"by": sender.text, **stamp(context)}})
    return {"customer": customer}


def redeem(context: CallContext, view: View, args: Args) -> codec.Value:
    """Makes the key that signed the transaction the customer's; keys that they had before are revoked."""
    customer = args["customer"]
    if context.admitted_by != ADMINISTRATION:
        raise KehuError(PEOPLE_WRONG_NODE, expected=ADMINISTRATION, actual=context.admitted_by)
    row = _open_row(view, customer)
    if row["expires_ms"] <= context.time_ms:
        raise KehuError(INVITATION_EXPIRED, customer=customer, time_ms=context.time_ms, expires_ms=row["expires_ms"])
    _require_code(context, row, args)
    _require_no_colleague(view, customer)
    revoked = _take_key(context, view, customer)
    ended = {"key": context.key.hex(), **stamp(context)}
    view.put(INVITATIONS, customer, {**row, "status": REDEEMED, "ended": ended})
    return {"person": customer, "customer": customer, "key": context.key.hex(), "revoked": revoked}


def _open_row(view: View, customer: str) -> dict[str, Any]:
    row = view.get(INVITATIONS, customer)
    if row is None:
        raise KehuError(INVITATION_UNKNOWN, customer=customer)
    if row["status"] != OPEN:
        raise KehuError(INVITATION_OVER, customer=customer, status=row["status"])
    return row


def _require_code(context: CallContext, row: dict[str, Any], args: Args) -> None:
    customer, public = args["customer"], require_key(bytes.fromhex(args["invitation"]))
    payload = invitation_payload(customer, context.key)
    is_meant = invitation_digest(customer, bytes.fromhex(args["invitation"])) == row["digest"]
    if not is_meant or not verify(public, INVITATION_PURPOSE, context.chain_id, payload, args["proof"]):
        raise KehuError(INVITATION_WRONG, customer=customer)


def _require_no_colleague(view: View, customer: str) -> None:
    """A customer's id as a person is that of the record; somebody who works here may have it already."""
    record = view.get("people", customer)
    if record is not None and record["role"] != CUSTOMER:
        raise KehuError(PEOPLE_EXISTS, person=customer)


def _take_key(context: CallContext, view: View, customer: str) -> list[str]:
    """Enters the new key; the keys that it takes the place of."""
    record, key_hex = view.get("people", customer), context.key.hex()
    if record is None:
        record = add_person(view, customer, ADMINISTRATION, CUSTOMER, key_hex) | {"customer": customer}
        person = Subject("person", customer, ADMINISTRATION, CUSTOMER)
        write_fields(context, view, person, "people", customer, record, {})
        return []
    enrol_key(view, key_hex, "person", customer, ADMINISTRATION)
    for old in record["keys"]:
        retire_key(view, old)
    view.put("people", customer, {**record, "status": ACTIVE, "keys": [key_hex]})
    return list(record["keys"])


METHODS: Final = methods(
    (
        "customers.invite",
        invite,
        {
            "customer": RECORD,
            "digest": Argument("a digest of 32 bytes", codec.is_digest),
            "expires_ms": Argument("a time in Unix ms", is_within(1, 1 << 62)),
        },
    ),
    ("customers.withdraw_invitation", withdraw, {"customer": RECORD}),
    (REDEEM, redeem, {"customer": RECORD, "invitation": KEY, "proof": POSSESSION}),
)
