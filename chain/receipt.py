"""What became of a transaction: [transaction id, code, failed call or nil, [result, ...], details].

`code` is "ok" or the error code that stopped it; a failed transaction changed nothing. Every department
computes the same receipts, and the block header commits to them, so a refusal can be proven like a success.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from chain import codec

OK: Final = "ok"
RECEIPT_BYTES_MAX: Final = 1 << 20
RECEIPTS_BYTES_MAX: Final = 1 << 26


class Receipt(msgspec.Struct, frozen=True, gc=False):
    transaction_id: bytes
    code: str
    failed_call: int | None = None
    results: list[Any] = []
    details: dict[str, Any] = {}

    @property
    def is_ok(self) -> bool:
        return self.code == OK

    def to_value(self) -> codec.Value:
        return [self.transaction_id, self.code, self.failed_call, self.results, self.details]

    def to_bytes(self) -> bytes:
        return codec.encode(self.to_value())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Receipt:
        return cls.from_value(codec.decode(raw, RECEIPT_BYTES_MAX, elements_max=RECEIPT_BYTES_MAX))

    @classmethod
    def from_value(cls, value: codec.Value) -> Receipt:
        checks = (codec.is_digest, codec.is_text, codec.optional(codec.is_uint), codec.is_list, codec.is_map)
        return cls(*codec.fields(value, "receipt", *checks))


def encode_receipts(receipts: list[bytes]) -> bytes:
    """A block's receipts as stored and exported: a list of the receipts' bytes."""
    return codec.encode_flat(receipts)


def decode_receipts(raw: bytes) -> list[bytes]:
    value = codec.decode(raw, RECEIPTS_BYTES_MAX)
    (receipts,) = codec.fields([value], "receipts", codec.list_of(codec.is_bytes))
    return list(receipts)
