"""Field digests: what they commit to, and what they refuse."""

from __future__ import annotations

import pytest

from chain import codec
from chain.crypto import digest
from chain.errors import KehuError
from chain.records import field_digest
from cli.records import seal_fields

CHAIN = digest("genesis", b"test")
SALT = bytes(range(32))
ARGUMENTS = (CHAIN, "customers", "c-1", "name", SALT, "王小明")


def test_field_digest_is_the_tagged_hash_of_the_canonical_list() -> None:
    expected = digest("field", codec.encode([CHAIN, "customers", "c-1", "name", SALT, "王小明"]))
    assert field_digest(*ARGUMENTS) == expected


@pytest.mark.parametrize(
    ("position", "other"),
    [
        (0, digest("genesis", b"other")),
        (1, "organisations"),
        (2, "c-2"),
        (3, "position"),
        (4, bytes(32)),
        (5, "王晓明"),
    ],
)
def test_every_part_of_a_field_changes_its_digest(position: int, other: object) -> None:
    changed = [*ARGUMENTS]
    changed[position] = other  # type: ignore[call-overload]
    assert field_digest(*changed) != field_digest(*ARGUMENTS)  # type: ignore[arg-type]


def test_text_moved_between_neighbouring_parts_changes_the_digest() -> None:
    left = field_digest(CHAIN, "customers", "c-1", "name", SALT, "x")
    assert field_digest(CHAIN, "customersc", "-1", "name", SALT, "x") != left
    assert field_digest(CHAIN, "customers", "c-1n", "ame", SALT, "x") != left


@pytest.mark.parametrize("value", [None, True, -7, "", "客户", b"\x00", ["a", 1], {"city": "北京", "zip": None}])
def test_any_canonical_value_has_a_digest_of_32_bytes(value: codec.Value) -> None:
    assert len(field_digest(CHAIN, "t", "r", "f", SALT, value)) == 32


def test_text_and_bytes_of_the_same_letters_have_different_digests() -> None:
    assert field_digest(CHAIN, "t", "r", "f", SALT, "ab") != field_digest(CHAIN, "t", "r", "f", SALT, b"ab")


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33), "0" * 32, bytearray(32)])
def test_field_digest_refuses_a_salt_that_is_not_32_bytes(salt: bytes) -> None:
    with pytest.raises(KehuError, match="a salt is 32 bytes"):
        field_digest(CHAIN, "t", "r", "f", salt, "x")


def test_a_value_is_sealed_under_a_salt_that_nobody_else_has_so_that_it_cannot_be_guessed_s25() -> None:
    """Of a value with few possibilities, twice of the same record, and equal values of two fields."""
    fields = {"level": "A", "region": "A"}
    sealed = [seal_fields(CHAIN, "customers", "c-1", fields) for _ in range(50)]
    salts = [value.salt for _, values in sealed for value in values]
    digests = [digest for found, _ in sealed for digest in found.values()]
    assert {len(salt) for salt in salts} == {32}
    assert len(set(salts)) == len(set(digests)) == 100
    assert all(len({salt[place] for salt in salts}) > 10 for place in range(32)), "no part of it stands still"


def test_field_digest_refuses_a_chain_id_of_another_length() -> None:
    with pytest.raises(KehuError, match="a chain id is 32 bytes"):
        field_digest(CHAIN[:-1], "t", "r", "f", SALT, "x")


@pytest.mark.parametrize("value", [1.5, {1: 2}, {"a"}, "\ud800"])
def test_field_digest_refuses_what_has_no_canonical_encoding(value: object) -> None:
    with pytest.raises(KehuError) as caught:
        field_digest(CHAIN, "t", "r", "f", SALT, value)
    assert caught.value.code == "codec.shape"
