"""The one encoding: canonical msgpack.

A value is None, bool, int (-2^63 .. 2^64-1), str, bytes, a list, or a map with string keys. Canonical means:
map keys strictly ascending, shortest forms, no floats, no extension types, nesting of at most `DEPTH_MAX`.
`decode` accepts exactly the bytes that `encode` makes: what is received is hashed as received, so a second
spelling of the same value would be a second identity. Limits are checked before memory is spent.

Fixed structures (a block header, a vote) are lists by position; open ones (a call's arguments) are maps.
The format is docs/spec/encoding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgpack
import msgspec

from chain.errors import CODEC_MALFORMED, CODEC_SHAPE, CODEC_TOO_LARGE, KehuError

Value: TypeAlias = Any
"""None | bool | int | str | bytes | list[Value] | dict[str, Value] (mypy can't say it recursively and stay usable)."""

DEPTH_MAX: Final = 16
ELEMENTS_MAX: Final = 1 << 16
"""Elements of all lists and maps together; 64 Ki small elements decode in a few milliseconds."""


_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
"""Writes maps in the order of their keys' UTF-8 bytes, which is that of their code points."""
_DECODER: Final = msgspec.msgpack.Decoder()


def encode(value: Value) -> bytes:
    """The canonical bytes of `value`; `InvariantError`-free: a value outside the format is a `KehuError`."""
    return _pack(value if is_plain(value) else _canonical(value, 0))


def encode_flat(values: list[Value] | dict[str, Value]) -> bytes:
    """As `encode`, for what is known to be in the format: the hot path's short cut."""
    return _pack(values)


def _pack(value: Value) -> bytes:
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise KehuError(CODEC_SHAPE, problem=type(error).__name__) from None


def is_plain(value: Value, depth: int = 0) -> bool:
    """Whether what lies so deep is of the format's kinds, with text for keys, and not too deep. How it is spelled is
    not asked."""
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return False
        items: Iterable[Value] = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _SCALARS
    if depth >= DEPTH_MAX:
        return False
    for item in items:  # noqa: SIM110 - on rows of a few small lists faster than what is done in C for each of these
        if type(item) not in _SCALARS and not is_plain(item, depth + 1):
            return False
    return True


def _canonical(value: Value, depth: int) -> Value:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth >= DEPTH_MAX:
        raise KehuError(CODEC_TOO_LARGE, depth=depth, limit=DEPTH_MAX)
    if kind is dict:
        return _canonical_map(value, depth)
    if kind in (list, tuple):
        return [item if type(item) in _SCALARS else _canonical(item, depth + 1) for item in value]
    raise KehuError(CODEC_SHAPE, problem=f"{kind.__name__} has no encoding")


def _canonical_map(value: dict[Any, Value], depth: int) -> dict[str, Value]:
    if set(map(type, value)) - {str}:
        raise KehuError(CODEC_SHAPE, problem="a map key is not a string")
    ordered: dict[str, Value] = {}
    for key in sorted(value):
        item = value[key]
        ordered[key] = item if type(item) in _SCALARS else _canonical(item, depth + 1)
    return ordered


_SCALARS: Final = frozenset({type(None), bool, int, str, bytes})


def decode(data: bytes, bytes_max: int, elements_max: int = ELEMENTS_MAX) -> Value:
    """The value whose canonical encoding is exactly `data`; everything else is refused."""
    if len(data) > bytes_max:
        raise KehuError(CODEC_TOO_LARGE, bytes=len(data), limit=bytes_max)
    if 2 * len(data) <= elements_max:  # each byte is at most an element and a container: there can't be too many
        try:
            value = _DECODER.decode(data)
            # Order of keys, keys that came twice and long forms show when the value is packed again.
            if is_plain(value) and _pack(value) == data:
                return value
        except (KehuError, ValueError, TypeError, RecursionError):
            pass  # below it is said what is wrong
    return _decode_slowly(data, elements_max)


Shaped = TypeVar("Shaped")
UInt: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Shape(Generic[Shaped]):
    """A fixed structure that is read again and again: kinds and lengths are looked at while it is decoded."""

    def __init__(self, shape: Any) -> None:
        """`shape`, which is `Shaped`: a tuple of the kinds above, or of structs that are lists by position. What it
        leaves open (`Any`) is the caller's to look at, by `is_plain`."""
        self._decoder: msgspec.msgpack.Decoder[Shaped] = msgspec.msgpack.Decoder(shape)

    def read(self, data: bytes, bytes_max: int) -> Shaped | None:
        """The value if `data` is its canonical encoding. None says little: what is wrong, or whether it is only large,
        is for `decode` and `fields` to find out."""
        if len(data) > bytes_max or 2 * len(data) > ELEMENTS_MAX:
            return None
        try:
            value = self._decoder.decode(data)
            return value if _ENCODER.encode(value) == data else None
        except (ValueError, TypeError, RecursionError):
            return None


def _decode_slowly(data: bytes, elements_max: int) -> Value:
    """As `decode`, counting elements as they come, and with an error that says what is wrong."""
    left = elements_max

    def mapping(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        nonlocal left
        left -= len(pairs) + 1
        if left < 0:
            raise KehuError(CODEC_TOO_LARGE, elements=f">{elements_max}", limit=elements_max)
        previous = None
        for key, _ in pairs:
            if type(key) is not str or (previous is not None and key <= previous):
                raise KehuError(CODEC_MALFORMED, problem="map keys are not strictly ascending strings")
            previous = key
        return dict(pairs)

    def listing(items: list[Any]) -> list[Any]:
        nonlocal left
        left -= len(items) + 1
        if left < 0:
            raise KehuError(CODEC_TOO_LARGE, elements=f">{elements_max}", limit=elements_max)
        return items

    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,  # `mapping` is stricter
            object_pairs_hook=mapping,
            list_hook=listing,
            ext_hook=_no_extension,
            max_array_len=min(elements_max, len(data)),
            max_map_len=min(elements_max, len(data)),
            max_ext_len=0,
        )
    except KehuError:
        raise
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise KehuError(CODEC_MALFORMED, problem=type(error).__name__) from None
    if type(value) not in _SCALARS:
        _check_kinds(value, 0)
    if _pack(value) != data:
        raise KehuError(CODEC_MALFORMED, problem="not the shortest form")
    return value


def _no_extension(_code: int, _data: bytes) -> Any:
    raise KehuError(CODEC_MALFORMED, problem="extension type")


def _check_kinds(value: Value, depth: int) -> None:
    kind = type(value)
    if kind is list or kind is dict:
        if depth >= DEPTH_MAX:
            raise KehuError(CODEC_TOO_LARGE, depth=depth + 1, limit=DEPTH_MAX)
        for item in value if kind is list else value.values():
            if type(item) not in _SCALARS:
                _check_kinds(item, depth + 1)
    elif kind not in _SCALARS:
        raise KehuError(CODEC_MALFORMED, problem=f"{kind.__name__} is not in the format")


Check: TypeAlias = Callable[[Value], bool]


def is_uint(value: Value) -> bool:
    return type(value) is int and value >= 0


def is_text(value: Value) -> bool:
    return type(value) is str


def is_bytes(value: Value) -> bool:
    return type(value) is bytes


def is_digest(value: Value) -> bool:
    return type(value) is bytes and len(value) == 32


def is_signature(value: Value) -> bool:
    return type(value) is bytes and len(value) == 64


def is_list(value: Value) -> bool:
    return type(value) is list


def is_map(value: Value) -> bool:
    return type(value) is dict


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def list_of(check: Check, length_max: int = ELEMENTS_MAX) -> Check:
    return lambda value: type(value) is list and len(value) <= length_max and all(map(check, value))


def fields(value: Value, what: str, *checks: Check) -> list[Value]:
    """`value` as the list it must be: one element per check, each passing its own."""
    if type(value) is not list or len(value) != len(checks):
        raise KehuError(CODEC_SHAPE, what=what, problem=f"not a list of {len(checks)}")
    for item, check in zip(value, checks, strict=True):
        if not check(item):
            position = next(i for i, check in enumerate(checks) if not check(value[i]))
            raise KehuError(CODEC_SHAPE, what=what, position=position)
    return value
