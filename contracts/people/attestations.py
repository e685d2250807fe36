"""Whether an attestation may be taken: by an enrolled gateway, fresh, once, about this customer and number."""

from __future__ import annotations

from typing import Any

from chain import codec
from chain.attestation import Attestation
from chain.errors import KehuError
from chain.state import View
from contracts.deciding.subjects import ACTIVE, is_department
from contracts.errors import (
    ATTESTATION_FUTURE,
    ATTESTATION_OLD,
    ATTESTATION_OTHER_CUSTOMER,
    ATTESTATION_OTHER_NUMBER,
    ATTESTATION_REUSED,
    ATTESTATION_REVOKED_GATEWAY,
    ATTESTATION_UNKNOWN_GATEWAY,
    ATTESTATION_UNSIGNED,
    CALL_ARGUMENTS,
)

Heard = dict[str, list[Any]]
"""gateway -> [time_ms, outcome, identifier digest | nil] of its last answer about a customer. After a change of
the number outcome is nil: the time still guards against reuse, the answer no longer counts."""


ATTESTATIONS_MAX = 16
"""In one call; a policy can't ask for more gateways."""


def attestations_of(value: codec.Value) -> list[Attestation]:
    """An argument that is one attestation, or a list of several. Errors: codec.shape, call.arguments."""
    if type(value) is not list or not value or type(value[0]) is not list:
        return [Attestation.from_value(value)]
    if len(value) > ATTESTATIONS_MAX:
        raise KehuError(CALL_ARGUMENTS, argument="attestation", limit=ATTESTATIONS_MAX, actual=len(value))
    return [Attestation.from_value(item) for item in value]


def require_about(attestation: Attestation, customer: str) -> None:
    """Errors: attestation.other_customer."""
    if attestation.customer != customer:
        raise KehuError(ATTESTATION_OTHER_CUSTOMER, expected=customer)


def require_attestation(
    chain_id: bytes,
    time_ms: int,
    view: View,
    attestation: Attestation,
    phone_digest: bytes,
    heard: Heard,
    phone_policy: dict[str, int],
) -> None:
    """Raises the one attestation.* error that fits at `time_ms`; cheap checks come before the signature."""
    if attestation.phone_digest != phone_digest:
        raise KehuError(ATTESTATION_OTHER_NUMBER, expected=phone_digest, actual=attestation.phone_digest)
    _require_signed(chain_id, view, attestation)
    _require_fresh(time_ms, attestation.time_ms, phone_policy)
    last = heard.get(attestation.gateway)
    if last is not None and attestation.time_ms <= last[0]:
        raise KehuError(ATTESTATION_REUSED, gateway=attestation.gateway, later_than=last[0], actual=attestation.time_ms)


def _require_signed(chain_id: bytes, view: View, attestation: Attestation) -> None:
    gateway = view.get("gateways", attestation.gateway)
    if gateway is None:
        raise KehuError(ATTESTATION_UNKNOWN_GATEWAY, customer=attestation.customer)
    if gateway["status"] != ACTIVE or not is_department(view, gateway["department"]):
        raise KehuError(ATTESTATION_REVOKED_GATEWAY, gateway=attestation.gateway)
    if not attestation.is_valid(bytes.fromhex(gateway["key"]), chain_id):
        raise KehuError(ATTESTATION_UNSIGNED, gateway=attestation.gateway)


def _require_fresh(block_ms: int, heard_ms: int, phone_policy: dict[str, int]) -> None:
    earliest = block_ms - phone_policy["attestation_age_ms_max"]
    latest = block_ms + phone_policy["attestation_ahead_ms_max"]
    if heard_ms < earliest:
        raise KehuError(ATTESTATION_OLD, earliest=earliest, actual=heard_ms)
    if heard_ms > latest:
        raise KehuError(ATTESTATION_FUTURE, latest=latest, actual=heard_ms)
