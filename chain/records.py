"""Field digests: how the chain commits to a personal value that it never holds.

Each field of a record is committed on its own, with a salt of its own, as in SD-JWT (RFC 9901, section 4.2.4):
whoever is shown one value can check it and learns nothing about its neighbours. The chain, table, record and
field are part of what is hashed, so a value can't be passed off as another field's or another record's.
"""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.crypto import DIGEST_BYTES, digest
from chain.errors import CODEC_SHAPE, KehuError

SALT_BYTES: Final = 32


def field_digest(chain_id: bytes, table: str, record: str, field: str, salt: bytes, value: codec.Value) -> bytes:
    """digest("field", encode([chain_id, table, record, field, salt, value])), 32 bytes.

    `salt` is exactly 32 secret random bytes, drawn anew for every version of every field; `value` is any value
    of the canonical encoding. Errors: codec.shape, codec.too_large.
    """
    if type(salt) is not bytes or len(salt) != SALT_BYTES:
        raise KehuError(CODEC_SHAPE, what="field digest", problem=f"a salt is {SALT_BYTES} bytes")
    if type(chain_id) is not bytes or len(chain_id) != DIGEST_BYTES:
        raise KehuError(CODEC_SHAPE, what="field digest", problem=f"a chain id is {DIGEST_BYTES} bytes")
    encode = codec.encode_flat if type(table) is type(record) is type(field) is type(value) is str else codec.encode
    return digest("field", encode([chain_id, table, record, field, salt, value]))
