"""A personal value with its salt, as clients send it and vaults keep it.

The chain holds only `digest`; whoever has value and salt can show that they are what the chain committed to.
Neither ever stands in a log, an error or a repr: this class shows names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Final

from chain import codec
from chain.errors import KehuError, define
from chain.records import SALT_BYTES, field_digest

VALUE_BYTES_MAX: Final = 16 << 10
"""UTF-8 bytes of one value; a record's fields are committed and kept one by one."""
VALUES_MAX: Final = 2_000
"""Values in one list, as it travels between nodes."""
VALUES_BYTES_MAX: Final = 4 << 20
ENCODED_BYTES_MAX: Final = 5 << 20
"""The same with names and salts."""

_TABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_RECORD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)

VAULT_VALUE_INVALID = define(
    "vault.value_invalid",
    "a personal value needs a table, a record and a field with well-formed names, a salt of 32 bytes, "
    "and text of at most 16 KiB",
    "correct the named part; names are lower-case ASCII (docs/spec/digests.md)",
)


@dataclass(frozen=True, slots=True, order=True)
class FieldId:
    """Which field of which record. All three are on the chain in the clear."""

    table: str
    record: str
    field: str

    def __post_init__(self) -> None:
        for part, pattern in (("table", _TABLE), ("record", _RECORD), ("field", _TABLE)):
            name = getattr(self, part)
            if type(name) is not str or pattern.fullmatch(name) is None:
                raise KehuError(VAULT_VALUE_INVALID, part=part)  # a malformed name may be anything, so it isn't shown


@dataclass(frozen=True, slots=True, repr=False)
class VaultValue:
    """`value` is text, `salt` 32 secret random bytes, new for every version of a field. Errors: vault.value_invalid."""

    table: str
    record: str
    field: str
    salt: bytes
    value: str
    id: FieldId = attribute(init=False, compare=False)
    _digests: dict[bytes, bytes] = attribute(default_factory=dict, init=False, compare=False)
    """By chain id: worked out once, asked for at every step on the way."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", FieldId(self.table, self.record, self.field))
        if type(self.salt) is not bytes or len(self.salt) != SALT_BYTES:
            raise KehuError(VAULT_VALUE_INVALID, part="salt", **self._place())
        if type(self.value) is not str or not _is_storable(self.value):
            raise KehuError(VAULT_VALUE_INVALID, part="value", limit_bytes=VALUE_BYTES_MAX, **self._place())

    def _place(self) -> dict[str, str]:
        return {"table": self.table, "record": self.record, "field": self.field}

    def digest(self, chain_id: bytes) -> bytes:
        """What the chain holds of it."""
        known = self._digests.get(chain_id)
        if known is None:
            known = field_digest(chain_id, self.table, self.record, self.field, self.salt, self.value)
            self._digests[chain_id] = known
        return known

    def to_value(self) -> codec.Value:
        """[table, record, field, salt, value]"""
        return [self.table, self.record, self.field, self.salt, self.value]

    @classmethod
    def from_value(cls, value: codec.Value) -> VaultValue:
        checks = (codec.is_text, codec.is_text, codec.is_text, codec.is_digest, codec.is_text)
        return cls(*codec.fields(value, "vault value", *checks))

    def __repr__(self) -> str:
        return f"VaultValue({self.table}/{self.record}/{self.field})"


def _is_storable(text: str) -> bool:
    try:
        return len(text.encode()) <= VALUE_BYTES_MAX
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return False


def encode_values(values: Iterable[VaultValue]) -> bytes:
    """[[table, record, field, salt, value], ...], as the values of one transaction travel."""
    return codec.encode_flat([value.to_value() for value in values])


def decode_values(raw: bytes) -> list[VaultValue]:
    """A received list of values, at most `VALUES_MAX`. Errors: codec.*, vault.value_invalid."""
    value = codec.decode(raw, ENCODED_BYTES_MAX)
    (items,) = codec.fields([value], "vault values", codec.list_of(codec.is_list, VALUES_MAX))
    return [VaultValue.from_value(item) for item in items]
