"""Genesis: what everybody starts from. The chain id is its digest, so two networks never share one.

A genesis is a map of JSON values (keys as hex), so that people can read and compare the file:

  version 1, network (name), time_ms, departments [{id, name, key, address}], people, gateways, policy, limits,
  protocol (may be left out)

The chain itself needs the departments and the limits; people, gateways and policy are the contracts' to read
and to check. docs/spec/genesis.md has every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from chain import codec
from chain.crypto import digest
from chain.errors import KehuError, define
from chain.protocol import FIRST
from chain.validators import Validator, ValidatorSet

VERSION: Final = 1
GENESIS_BYTES_MAX: Final = 1 << 20
EXPIRY_HEIGHTS_DEFAULT: Final = 10_000
CLOCK_SKEW_MS_DEFAULT: Final = 10_000
DEPARTMENT_ID_LENGTH_MAX: Final = 32
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

GENESIS_INVALID = define(
    "genesis.invalid",
    "the genesis file lacks a field or has one of the wrong kind",
    "make it with `kehu network init`, or compare it with docs/spec/genesis.md",
)


@dataclass(frozen=True)
class Genesis:
    """`protocol`: the version of the rules from genesis on (chain.protocol), 1 where the file names none.
    `expiry_heights_max`: how far ahead a transaction may expire, and for how long ids are remembered.
    `clock_skew_ms_max`: how far a block's time may be ahead of a replica's own clock when it votes."""

    raw: bytes
    value: dict[str, Any]
    chain_id: bytes
    network: str
    time_ms: int
    validators: ValidatorSet
    addresses: dict[str, str]
    expiry_heights_max: int
    clock_skew_ms_max: int
    protocol: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Genesis:
        return cls.from_value(codec.decode(raw, GENESIS_BYTES_MAX))

    @classmethod
    def from_value(cls, value: codec.Value) -> Genesis:
        if not codec.is_map(value) or type(value.get("version")) is not int or value["version"] != VERSION:
            raise KehuError(GENESIS_INVALID, field="version", expected=VERSION)
        for field, check in _FIELDS.items():
            if field not in value or not check(value[field]):
                raise KehuError(GENESIS_INVALID, field=field)
        departments = sorted((_department(item) for item in value["departments"]), key=lambda item: item["id"])
        limits = value["limits"]
        raw = codec.encode(value)
        return cls(
            raw=raw,
            value=value,
            chain_id=digest("genesis", raw),
            network=value["network"],
            time_ms=value["time_ms"],
            validators=ValidatorSet(
                0, tuple(Validator(item["id"], bytes.fromhex(item["key"])) for item in departments)
            ),
            addresses={item["id"]: item["address"] for item in departments},
            expiry_heights_max=_limit(limits, "expiry_heights_max", EXPIRY_HEIGHTS_DEFAULT),
            clock_skew_ms_max=_limit(limits, "clock_skew_ms_max", CLOCK_SKEW_MS_DEFAULT),
            protocol=_positive("protocol", value.get("protocol", FIRST)),
        )


_FIELDS: Final = {
    "network": codec.is_text,
    "time_ms": codec.is_uint,
    "departments": codec.list_of(codec.is_map),
    "people": codec.list_of(codec.is_map),
    "gateways": codec.list_of(codec.is_map),
    "policy": codec.is_map,
    "limits": codec.is_map,
}


def _department(item: dict[str, Any]) -> dict[str, Any]:
    if not all(codec.is_text(item.get(field)) for field in ("id", "name", "key", "address")):
        raise KehuError(GENESIS_INVALID, field="departments", department=str(item.get("id")))
    if not is_department_id(item["id"]):
        raise KehuError(GENESIS_INVALID, field="departments.id", department=item["id"])
    if not is_hex_key(item["key"]):
        raise KehuError(GENESIS_INVALID, field="departments.key", department=item["id"])
    return item


def is_department_id(text: codec.Value) -> bool:
    """Whether `text` is 1 to 32 of a-z, 0-9 and _, beginning with a letter."""
    if type(text) is not str or not 1 <= len(text) <= DEPARTMENT_ID_LENGTH_MAX:
        return False
    return text[0] in _LETTERS and all(letter in _LETTERS + "0123456789_" for letter in text)


def is_hex_key(text: codec.Value) -> bool:
    """Whether `text` is 32 bytes as lower-case hex: the form keys have in genesis and in calls' arguments."""
    return type(text) is str and len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)


def _limit(limits: dict[str, Any], name: str, default: int) -> int:
    return _positive(f"limits.{name}", limits.get(name, default))


def _positive(field: str, value: codec.Value) -> int:
    if type(value) is not int or value < 1 or not codec.is_uint(value):
        raise KehuError(GENESIS_INVALID, field=field)
    return value
