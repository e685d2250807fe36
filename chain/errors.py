"""Every error Kehu reports: a stable code, what was wrong, and what to do about it.

Three kinds of trouble are kept apart. Bad data and refused requests are `KehuError`s, raised with the values
that were compared. A peer's misbehaviour is an `Accuse` effect of the replica, never an exception. A broken
invariant is an `InvariantError`: the process stops, because going on could lose or fork data.

Details carry ids, heights, digests and limits, never a personal value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One entry of the catalogue: `code` is part of the API and never changes its meaning."""

    code: str
    cause: str
    cure: str


CATALOGUE: Final[dict[str, ErrorSpec]] = {}


def define(code: str, cause: str, cure: str) -> ErrorSpec:
    """Adds an error to the catalogue; docs/errors.md is made from it. A code is defined once."""
    if code in CATALOGUE:
        raise InvariantError(f"error code {code!r} is defined twice")
    spec = ErrorSpec(code, cause, cure)
    CATALOGUE[code] = spec
    return spec


class KehuError(Exception):
    """Bad data or a refused request. `details` says which values were compared."""

    def __init__(self, spec: ErrorSpec, **details: object) -> None:
        self.spec = spec
        self.details = details
        super().__init__(spec, details)

    @property
    def code(self) -> str:
        return self.spec.code

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(self.details.items()))
        return f"{self.spec.code}: {self.spec.cause}" + (f" ({shown})" if shown else "")


class InvariantError(Exception):
    """Something that can't be has happened; whoever catches it stops the process and says why."""


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def shown_details(error: KehuError) -> dict[str, object]:
    """The details as JSON-ready values (bytes as hex), in a fixed order."""
    return {
        name: value if isinstance(value, (int, bool, str, type(None))) else _shown(value)
        for name, value in sorted(error.details.items())
    }


# What any bytes can be guilty of.
CODEC_MALFORMED = define(
    "codec.malformed",
    "the bytes are not one complete value in the canonical encoding",
    "encode with sorted unique string keys, shortest forms, no floats, no extension types (docs/spec/encoding.md)",
)
CODEC_TOO_LARGE = define(
    "codec.too_large",
    "the value has more bytes, more elements or deeper nesting than its kind allows",
    "split the request; limits stand in docs/spec/encoding.md",
)
CODEC_SHAPE = define(
    "codec.shape",
    "a field is missing, of another type, or out of its range",
    "compare the value with its definition in docs/spec",
)
SIGNATURE_INVALID = define(
    "signature.invalid",
    "the Ed25519 signature does not verify under the strict rules for this key and message",
    "sign the exact bytes with the domain tag and chain id of docs/spec/signatures.md",
)
KEY_INVALID = define(
    "key.invalid",
    "the bytes are not a usable Ed25519 public key (32 bytes, canonical, not of small order)",
    "send the 32 public bytes of a freshly made key",
)
