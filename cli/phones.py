"""A customer's number on its way to the chain: the carrier is asked first, by the node's gateway."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain import codec
from chain.attestation import NO_ANSWER, Attestation, leading_answer
from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from chain.transaction import Call
from cli.client import NodeClient
from cli.records import seal_fields
from cli.transport import NODE_ANSWER_MALFORMED
from contracts.deciding.policy import require_fields
from contracts.errors import PHONE_UNCHANGED, RECORD_EXISTS
from contracts.people.attestations import attestations_of
from node.vault.values import VaultValue

TABLE = "customers"
ANSWER_BYTES_MAX = 16 << 10
"""16 attestations and some."""
DUPLICATES_PURPOSE = "registration"
NOTHING_COMMITTED = "state.not_certified"
"""A node's error, while its chain has no block."""

CARRIER_NO_ANSWER = define(
    "carrier.no_answer",
    "the carrier gave no clear answer about the number; nothing was recorded",
    "try again later, or record the customer as temporary (--temporary)",
)
RECORD_DUPLICATE = define(
    "record.duplicate",
    "a customer with this number is recorded already",
    "look at the customers named, and update one; --allow-duplicate records another all the same",
)
CARRIER_STALE = define(
    "carrier.still_unchecked",
    "the number was to be checked again, and the carrier gave no clear answer; the number was not released",
    "try again later; no answer is never taken for a yes or a no",
)


@dataclass(frozen=True, slots=True, repr=False)
class NewNumber:
    """A number with the carrier's answer: what goes into the call, and what into the vault."""

    digests: dict[str, bytes]
    values: list[VaultValue]
    attestation: codec.Value
    outcome: str


async def ask_carrier(client: NodeClient, customer: str, phone: str, *, is_temporary: bool) -> NewNumber:
    """Has the node's gateway ask about `phone` (E.164). Errors: carrier.*, node.answer_malformed."""
    salts = {"phone": secrets.token_bytes(SALT_BYTES)}
    body = {"customer": customer, "phone": phone, "phone_salt": salts["phone"].hex()}
    said = await client.post("/v1/phone/attest", body)
    answers = _read_answer(client, said)
    attestation = leading_answer(answers)
    if attestation.outcome == NO_ANSWER and not is_temporary:
        raise KehuError(CARRIER_NO_ANSWER, customer=customer, reason=said.get("reason"))
    # The identifier's digest is the attestation's, and its value the node's to bring.
    digests, values = seal_fields(client.genesis.chain_id, TABLE, customer, {"phone": phone}, salts)
    value = [one.to_value() for one in answers]
    return NewNumber(digests, values, value if len(value) > 1 else value[0], attestation.outcome)


def _read_answer(client: NodeClient, said: Any) -> list[Attestation]:
    try:
        return attestations_of(codec.decode(bytes.fromhex(said["attestation"]), ANSWER_BYTES_MAX))
    except (KeyError, TypeError, ValueError):
        raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path="/v1/phone/attest") from None


async def find_duplicates(client: NodeClient, phones: list[str]) -> list[list[str]]:
    """For each number in E.164 the customers that have it already, of those that the signer may see.

    Errors: the node's own, node.answer_malformed.
    """
    said = await client.post("/v1/customers/duplicates", {"phones": phones, "purpose": DUPLICATES_PURPOSE})
    found = said.get("customers") if isinstance(said, dict) else None
    if not isinstance(found, list) or len(found) != len(phones) or not all(isinstance(ids, list) for ids in found):
        raise KehuError(NODE_ANSWER_MALFORMED, url=client.url, path="/v1/customers/duplicates")
    return [[str(id_) for id_ in ids] for ids in found]


async def require_new_number(client: NodeClient, customer: str, phone: str) -> None:
    """No other customer that the signer may see has the number (E.164). Errors: record.duplicate, the node's own."""
    (found,) = await find_duplicates(client, [phone])
    others = [one for one in found if one != customer]
    if others:
        raise KehuError(RECORD_DUPLICATE, customers=",".join(others))


async def require_known_fields(client: NodeClient, fields: Mapping[str, str]) -> None:
    """The policy knows these fields of a customer: said before a carrier is asked, who wants to be paid for an answer.

    Errors: record.field_unknown.
    """
    try:
        row, _ = await client.state("policy", "current")
    except KehuError as error:
        if error.code != NOTHING_COMMITTED:
            raise
        return  # nothing can be proven before the first block: the contract says it
    if row is not None:
        require_fields(row["policy"], TABLE, list(fields))


async def recorded_at(client: NodeClient, customer: str) -> int | None:
    """A height at which the customer is proven to be recorded; None if they are not."""
    try:
        row, height = await client.state(TABLE, customer)
    except KehuError as error:
        if error.code != NOTHING_COMMITTED:
            raise
        return None
    return None if row is None else height


async def register_call(
    client: NodeClient, customer: str, fields: dict[str, str], *, is_temporary: bool
) -> tuple[Call, list[VaultValue], str]:
    """The call that registers a customer, its values, and what the carrier said. `fields` has the phone in E.164.

    Errors: those of `ask_carrier`, record.exists (proven, with the height).
    """
    try:
        number = await ask_carrier(client, customer, fields["phone"], is_temporary=is_temporary)
    except KehuError as error:
        if error.code == PHONE_UNCHANGED.code:  # what a node says of whoever is recorded
            height = await recorded_at(client, customer)
            if height is not None:
                raise KehuError(RECORD_EXISTS, table=TABLE, record=customer, height=height) from None
        raise
    others = {field: text for field, text in fields.items() if field != "phone"}
    digests, values = seal_fields(client.genesis.chain_id, TABLE, customer, others)
    args = {
        "customer": customer,
        "fields": {**digests, **number.digests},
        "attestation": number.attestation,
        "temporary": is_temporary,
    }
    return Call("customers.register", args), [*values, *number.values], number.outcome


async def update_calls(
    client: NodeClient, customer: str, version: int, fields: dict[str, str], *, is_temporary: bool
) -> tuple[list[Call], list[VaultValue]]:
    """The calls that change fields from `version`; a new number goes first, with the carrier's answer to it."""
    calls: list[Call] = []
    kept: list[VaultValue] = []
    others = {field: text for field, text in fields.items() if field != "phone"}
    if "phone" in fields:
        number = await ask_carrier(client, customer, fields["phone"], is_temporary=is_temporary)
        args = {"customer": customer, "version": version, "fields": number.digests}
        calls.append(
            Call("customers.change_phone", {**args, "attestation": number.attestation, "temporary": is_temporary})
        )
        kept += number.values
    if others:
        digests, values = seal_fields(client.genesis.chain_id, TABLE, customer, others)
        args = {"customer": customer, "version": version + len(calls), "fields": digests}
        calls.append(Call("customers.update", args))
        kept += values
    return calls, kept
