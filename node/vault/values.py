"""A personal value with its salt, as clients send it and vaults keep it.

The chain holds only `digest`; whoever has value and salt can show that they are what the chain committed to.
Neither ever stands in a log, an error or a repr: this class shows names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Final, NamedTuple

from chain import codec
from chain.errors import CODEC_SHAPE, KehuError, define
from chain.records import SALT_BYTES, field_digest

VALUE_BYTES_MAX: Final = 16 << 10
"""UTF-8 bytes of one value; a record's fields are committed and kept one by one."""
VALUES_MAX: Final = 2_000
"""Values in one list, as it travels between nodes."""
VALUES_BYTES_MAX: Final = 4 << 20
ENCODED_BYTES_MAX: Final = 5 << 20
"""The same with names and salts."""

_NAME: Final = r"[a-z][a-z0-9_]{0,31}"
_RECORD: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
_NAMES: Final = re.compile(f"{_NAME}/{_RECORD}/{_NAME}", re.ASCII)
"""Table, record and field at once: no name has a slash."""

VAULT_VALUE_INVALID = define(
    "vault.value_invalid",
    "a personal value needs a table, a record and a field with well-formed names, a salt of 32 bytes, "
    "and text of at most 16 KiB",
    "correct the named part; names are lower-case ASCII (docs/spec/digests.md)",
)


class _FieldParts(NamedTuple):
    table: str
    record: str
    field: str


class FieldId(_FieldParts):
    """Which field of which record. All three are on the chain in the clear. Errors: vault.value_invalid. `_make` is for
    names that are known to be good."""

    __slots__ = ()

    def __new__(cls, table: str, record: str, field: str) -> FieldId:
        require_names(table, record, field)
        return tuple.__new__(cls, (table, record, field))


def require_names(table: str, record: str, field: str) -> None:
    """Errors: vault.value_invalid."""
    are_texts = type(table) is type(record) is type(field) is str
    if not are_texts or _NAMES.fullmatch(f"{table}/{record}/{field}") is None:
        raise KehuError(VAULT_VALUE_INVALID, part=_malformed(table, record, field))


def _malformed(*names: str) -> str:
    """Which part: a malformed name may be anything, so it isn't shown."""
    for part, name, pattern in zip(("table", "record"), names, (_NAME, _RECORD), strict=False):
        if type(name) is not str or re.fullmatch(pattern, name, re.ASCII) is None:
            return part
    return "field"


@dataclass(init=False, slots=True, repr=False, unsafe_hash=True)
class VaultValue:
    """`value` is text, `salt` 32 secret random bytes, new for every version of a field. Errors: vault.value_invalid.

    Nobody changes one; it is not frozen because two are made per transaction at every node that holds them.
    """

    table: str
    record: str
    field: str
    salt: bytes
    value: str
    size: int = attribute(init=False, compare=False)
    """UTF-8 bytes of `value`."""
    _digest: tuple[bytes, bytes] | None = attribute(init=False, compare=False)
    """The last chain id asked for and the digest: worked out once, asked for at every step on the way."""

    def __init__(self, table: str, record: str, field: str, salt: bytes, value: str) -> None:
        require_names(table, record, field)
        self.table, self.record, self.field, self.salt, self.value = table, record, field, salt, value
        if type(salt) is not bytes or len(salt) != SALT_BYTES:
            raise KehuError(VAULT_VALUE_INVALID, part="salt", **self.id._asdict())
        self.size = _storable_bytes(value)
        if self.size > VALUE_BYTES_MAX:
            raise KehuError(VAULT_VALUE_INVALID, part="value", limit_bytes=VALUE_BYTES_MAX, **self.id._asdict())
        self._digest = None

    @property
    def id(self) -> FieldId:
        return FieldId._make((self.table, self.record, self.field))

    def digest(self, chain_id: bytes) -> bytes:
        """What the chain holds of it."""
        known = self._digest
        if known is None or known[0] != chain_id:
            made = field_digest(chain_id, self.table, self.record, self.field, self.salt, self.value)
            self._digest = known = (chain_id, made)
        return known[1]

    def to_value(self) -> codec.Value:
        """[table, record, field, salt, value]"""
        return [self.table, self.record, self.field, self.salt, self.value]

    @classmethod
    def from_value(cls, value: codec.Value) -> VaultValue:
        checks = (codec.is_text, codec.is_text, codec.is_text, codec.is_digest, codec.is_text)
        return cls(*codec.fields(value, "vault value", *checks))

    def __repr__(self) -> str:
        return f"VaultValue({self.table}/{self.record}/{self.field})"


def _storable_bytes(text: str) -> int:
    """More than is allowed, where it can't be stored at all."""
    try:
        return len(text.encode()) if type(text) is str else VALUE_BYTES_MAX + 1
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return VALUE_BYTES_MAX + 1


def encode_values(values: Iterable[VaultValue]) -> bytes:
    """[[table, record, field, salt, value, field, salt, value, ...], ...], as the values of one transaction travel."""
    records: dict[tuple[str, str], list[codec.Value]] = {}
    for value in values:
        place = (value.table, value.record)
        parts = records.get(place)
        if parts is None:
            parts = records[place] = [*place]
        parts += (value.field, value.salt, value.value)
    return codec.encode_flat(list(records.values()))


def decode_values(raw: bytes) -> list[VaultValue]:
    """A received list of values, at most `VALUES_MAX`. Errors: codec.*, vault.value_invalid."""
    records = codec.decode(raw, ENCODED_BYTES_MAX)
    if type(records) is not list or not all([_is_record(parts) for parts in records]):  # noqa: C419 (faster so)
        raise KehuError(CODEC_SHAPE, what="vault values", problem="not table, record, and three parts for each value")
    if sum([len(parts) - 2 for parts in records]) > 3 * VALUES_MAX:
        raise KehuError(CODEC_SHAPE, what="vault values", limit=VALUES_MAX)
    return [
        VaultValue(parts[0], parts[1], parts[at], parts[at + 1], parts[at + 2])
        for parts in records
        for at in range(2, len(parts), 3)
    ]


def _is_record(parts: codec.Value) -> bool:
    return type(parts) is list and len(parts) > 2 and len(parts) % 3 == 2
