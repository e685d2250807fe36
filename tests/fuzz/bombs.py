"""Inputs of a mebibyte that cost most where nobody looked: depth, counts, colliding keys, long numbers."""

from __future__ import annotations

import json
from random import Random
from typing import Final

MIB: Final = 1 << 20
MERSENNE_61: Final = 2**61 - 1
"""Python hashes an int by this prime: its multiples all fall into one place of a dictionary."""


def _listed(element: bytes) -> bytes:
    count = MIB // len(element)
    return b"\xdd" + count.to_bytes(4, "big") + element * count


def _mapped(pairs: list[bytes]) -> bytes:
    return b"\xdf" + len(pairs).to_bytes(4, "big") + b"".join(pairs)


def bombs() -> dict[str, bytes]:
    """Kind -> about a mebibyte."""
    ascending = [b"\xa6%06d\xc0" % number for number in range(MIB // 8)]
    colliding = [b"\xcf" + (MERSENNE_61 * number % 2**64).to_bytes(8, "big") + b"\xc0" for number in range(50_000)]
    return {
        "empty maps": _listed(b"\x80"),
        "empty lists": _listed(b"\x90"),
        "nils": _listed(b"\xc0"),
        "long small integers": _listed(b"\xd3" + bytes(8)),
        "lists of one": b"\x91" * MIB,
        "maps of one": b"\x81\xa1a" * (MIB // 3),
        "pairs of lists": _listed(b"\x92\x90\x90"),
        "ascending keys": _mapped(ascending),
        "the same key": _mapped([b"\xa1a\xc0"] * (MIB // 3)),
        "colliding keys": _mapped(colliding),
        "extensions": _listed(b"\xd4\x00\x00"),
        "floats": _listed(b"\xca\x7f\xc0\x00\x00"),
        "one text": b"\xdb" + MIB.to_bytes(4, "big") + b"x" * MIB,
        "one byte string": b"\xc6" + MIB.to_bytes(4, "big") + bytes(MIB),
        "counts beyond the end": b"\xdd\xff\xff\xff\xff" * (MIB // 5),
        "zeros": bytes(MIB),
        "random bytes": Random(1).randbytes(MIB),
        "JSON depth": b'{"transactions":' + b"[" * MIB,
        "JSON objects": b"[" + b"{}," * (MIB // 3) + b"{}]",
        "JSON names": json.dumps({f"n{number}": 0 for number in range(MIB // 13)}).encode(),
        "JSON same name": b"{" + b'"a":0,' * (MIB // 6) + b'"a":0}',
        "JSON number": b"9" * MIB,
        "JSON exponent": b"1" + b"e9" * (MIB // 2),
        "JSON escapes": b'"' + b"\\ud800" * (MIB // 6) + b'"',
        "JSON texts": json.dumps({"transactions": ["AA=="] * (MIB // 9)}).encode(),
        "TOML tables": b"[a]\n" * (MIB // 4),
        "TOML dotted": b"a" + b".a" * (MIB // 2) + b"=1",
        "commas": b"," * MIB,
        "quotes": b'"' * MIB,
        "lines": b"\n" * MIB,
        "header lines": b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * (MIB // 5) + b"\r\n",
    }
