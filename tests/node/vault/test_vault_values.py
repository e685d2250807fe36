"""Values as they travel: by record, in one flat form, and nothing else is taken for it."""

from __future__ import annotations

from typing import Any

import pytest

from chain import codec
from chain.errors import KehuError
from node.vault.values import VALUES_MAX, VaultValue, decode_values, encode_values
from tests.node.vault_kit import CHAIN, value_of

ONE = ["name", bytes(32), "张三"]


def test_values_arrive_as_they_were_sent_by_record() -> None:
    values = [
        value_of("张三"),
        value_of("+8613800000001", field="phone"),
        value_of("李四", "c2"),
        value_of("", "c2", "note"),
    ]
    raw = encode_values(values)
    assert [parts[:2] for parts in codec.decode(raw, 1 << 20)] == [["customers", "c1"], ["customers", "c2"]]
    assert decode_values(raw) == values
    assert [one.digest(CHAIN) for one in decode_values(raw)] == [one.digest(CHAIN) for one in values]
    assert decode_values(encode_values([])) == []


@pytest.mark.parametrize(
    ("received", "code"),
    [
        ("text", "codec.shape"),
        (["customers", "c1", *ONE], "codec.shape"),
        ([["customers"]], "codec.shape"),
        ([["customers", "c1", "name", bytes(32)]], "codec.shape"),
        ([["customers", "c1", *ONE, "note"]], "codec.shape"),
        ([["customers", "c1", *ONE * (VALUES_MAX + 1)]], "codec.shape"),
        ([["customers", "c1", *ONE * VALUES_MAX], ["customers", "c2", *ONE]], "codec.shape"),
        ([["Customers", "c1", *ONE]], "vault.value_invalid"),
        ([["customers", b"c1", *ONE]], "vault.value_invalid"),
        ([["customers/c1", "", *ONE]], "vault.value_invalid"),
        ([["customers", "c1", "name", bytes(31), "张三"]], "vault.value_invalid"),
        ([["customers", "c1", "name", bytes(32), b"x"]], "vault.value_invalid"),
    ],
)
def test_anything_else_is_refused_and_not_quoted(received: Any, code: str) -> None:
    with pytest.raises(KehuError) as raised:
        decode_values(codec.encode(received))
    assert raised.value.code == code
    assert "张三" not in str(raised.value)


def test_as_many_values_as_may_travel_do() -> None:
    values = [
        VaultValue("customers", f"c{number // 5}", f"f{number % 5}", bytes(32), "x") for number in range(VALUES_MAX)
    ]
    assert decode_values(encode_values(values)) == values
