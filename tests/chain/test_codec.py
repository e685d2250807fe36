"""The one encoding: what is accepted is exactly what `encode` makes, and refusing is cheap."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import codec
from chain.errors import KehuError

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.text(max_size=40), st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
)


def refused(data: bytes, bytes_max: int = 1 << 22, elements_max: int = codec.ELEMENTS_MAX) -> str:
    with pytest.raises(KehuError) as caught:
        codec.decode(data, bytes_max, elements_max)
    return caught.value.code


@given(VALUES)
def test_every_value_comes_back_from_its_bytes(value: Any) -> None:
    encoded = codec.encode(value)
    assert codec.decode(encoded, len(encoded)) == value


@given(VALUES)
def test_the_same_map_in_another_order_has_the_same_bytes(value: Any) -> None:
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(list(item))}
        return [turned(element) for element in item] if isinstance(item, list) else item

    assert codec.encode(turned(value)) == codec.encode(value)


@given(st.binary(max_size=60))
def test_what_is_accepted_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = codec.decode(data, 100)
    except KehuError:
        return
    assert codec.encode(value) == data


@given(VALUES, st.data())
def test_a_changed_byte_gives_another_value_or_a_refusal(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(codec.encode(value))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        other = codec.decode(bytes(encoded), len(encoded))
    except KehuError:
        return
    assert codec.encode(other) == bytes(encoded) != codec.encode(value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing"),
        (b"\xc1", "the byte msgpack never uses"),
        (b"\x81\xa1a", "a value is missing"),
        (b"\xa5ab", "a string is cut"),
        (b"\x01\x01", "bytes follow"),
        (b"\x82\xa1a\x01\xa1a\x02", "a key twice"),
        (b"\x82\xa1b\x01\xa1a\x02", "keys not in order"),
        (b"\x81\x01\x02", "a key that is a number"),
        (b"\x81\xc4\x01a\x02", "a key that is bytes"),
        (b"\x81\x90\x02", "a key that is a list"),
        (b"\xcc\x01", "1 in two bytes"),
        (b"\xcd\x00\xff", "255 in three bytes"),
        (b"\xd0\x01", "1 as signed byte"),
        (b"\xd3" + bytes(7) + b"\x01", "1 as signed 64 bit"),
        (b"\xd9\x01a", "a short string in long form"),
        (b"\xda\x00\x01a", "a short string in longer form"),
        (b"\xc5\x00\x01a", "short bytes in long form"),
        (b"\xdc\x00\x01\x01", "a short list in long form"),
        (b"\xde\x00\x01\xa1a\x01", "a short map in long form"),
        (b"\xa1\xff", "a string that is not UTF-8"),
        (b"\xa3\xed\xa0\x80", "a surrogate"),
        (b"\xa2\xc0\x80", "an overlong NUL"),
        (b"\xca" + struct.pack(">f", 1.0), "a float"),
        (b"\xcb" + struct.pack(">d", float("nan")), "NaN"),
        (b"\x91\xcb" + struct.pack(">d", 0.0), "a float inside"),
        (b"\x81\xa1a\xcb" + struct.pack(">d", float("inf")), "infinity inside"),
        (b"\xd4\x01a", "an extension"),
        (b"\xd6\xff" + bytes(4), "a timestamp"),
        (b"\xc7\x00\x05", "an empty extension"),
        (b"\xc7\x0c\xff" + bytes(12), "a long timestamp"),
    ],
)
def test_a_second_spelling_or_a_foreign_kind_is_malformed(data: bytes, why: str) -> None:
    assert refused(data) == "codec.malformed", why


@pytest.mark.parametrize("value", [1.5, float("nan"), {1: 2}, {b"a": 1}, object(), {1, 2}, 1 << 64, -(1 << 63) - 1,
                                   "\ud800", bytearray(b"a"), [1.0], {"a": {2: 3}}])  # fmt: skip
def test_a_value_outside_the_format_is_not_encoded(value: Any) -> None:
    with pytest.raises(KehuError) as caught:
        codec.encode(value)
    assert caught.value.code == "codec.shape"


def nested(depth: int, kind: str) -> bytes:
    opening = b"\x91" if kind == "list" else b"\x81\xa1a"
    return opening * (depth - 1) + (b"\x90" if kind == "list" else b"\x80")


@pytest.mark.parametrize("kind", ["list", "map"])
def test_nesting_is_accepted_to_the_limit_and_refused_beyond(kind: str) -> None:
    deepest = codec.decode(nested(codec.DEPTH_MAX, kind), 1000)
    assert codec.encode(deepest) == nested(codec.DEPTH_MAX, kind)
    assert refused(nested(codec.DEPTH_MAX + 1, kind)) == "codec.too_large"
    with pytest.raises(KehuError) as caught:
        codec.encode([deepest])
    assert caught.value.code == "codec.too_large"


@pytest.mark.parametrize("depth", [500, 1_000, 5_000, 1_000_000])
def test_very_deep_nesting_is_refused_without_exhausting_the_stack(depth: int) -> None:
    assert refused(nested(depth, "list")) in ("codec.malformed", "codec.too_large")


def test_bytes_are_counted_before_anything_is_read() -> None:
    assert refused(b"\xc4\x05abcde", bytes_max=6) == "codec.too_large"
    assert codec.decode(b"\xc4\x05abcde", 7) == b"abcde"


def test_elements_of_all_lists_and_maps_are_counted_together() -> None:
    value = [[0] * 10, {"a": [0] * 10}]  # lists and maps count one each, elements and pairs one each
    elements = (1 + 2) + (1 + 10) + (1 + 1) + (1 + 10)
    assert codec.decode(codec.encode(value), 1000, elements) == value
    assert refused(codec.encode(value), elements_max=elements - 1) == "codec.too_large"


@pytest.mark.parametrize("declared", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
                                      b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"])  # fmt: skip
def test_a_declared_length_that_is_not_there_costs_no_memory(declared: bytes) -> None:
    tracemalloc.start()
    try:
        assert refused(declared + bytes(100)) == "codec.malformed"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("element", [b"\x80", b"\x90", b"\xc0", b"\x91\x90"])
def test_a_mebibyte_of_small_containers_is_refused_after_the_element_limit(element: bytes) -> None:
    """As lists of 65,535: each is within the limit, together they are not."""
    lists = 16
    data = bytes([0x90 | (lists - 1)]) + (b"\xdc\xff\xff" + element * 65_535) * (lists - 1)
    tracemalloc.start()
    try:
        assert refused(data) == "codec.too_large"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@given(st.recursive(st.none() | st.floats() | st.binary(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_any_msgpack_is_either_canonical_or_refused(value: Any) -> None:
    data = msgpack.packb(value)
    try:
        found = codec.decode(data, 1000)
    except KehuError:
        return
    assert codec.encode(found) == data


def test_fields_name_what_and_where() -> None:
    for value, details in (
        ([1, 2], {"what": "pair", "problem": "not a list of 3"}),
        ([1, b"", "a"], {"what": "pair", "position": 1}),
        ({"a": 1}, {"what": "pair", "problem": "not a list of 3"}),
    ):
        with pytest.raises(KehuError) as caught:
            codec.fields(value, "pair", codec.is_uint, codec.is_text, codec.is_text)
        assert caught.value.details == details


@pytest.mark.parametrize("value", [True, -1, 1.0, "1", None])
def test_an_unsigned_integer_is_no_boolean_and_not_negative(value: Any) -> None:
    assert not codec.is_uint(value)
