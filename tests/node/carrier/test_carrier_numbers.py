"""Phone numbers: what is taken, what is refused and why, and that no error shows the number."""

from __future__ import annotations

import pytest

from chain.errors import KehuError, shown_details
from node.carrier.numbers import is_e164, national_digits, parse_number


@pytest.mark.parametrize(
    "text",
    [
        "13800138000",
        "138-0013-8000",
        " 138 0013 8000 ",
        "138\u20130013\u20138000",
        "１３８００１３８０００",
        "＋86 138 0013 8000",
        "+8613800138000",
        "0086 13800138000",
        "86-13800138000",
        "(+86) 138-0013-8000",
        "（＋86）13800138000",
        "\u202a+86 138 0013 8000\u202c",
        "\u200b13800138000\ufeff",
    ],
)
def test_spellings_of_a_chinese_mobile_number_become_one_e164(text: str) -> None:
    assert parse_number(text) == "+8613800138000"


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("010-6234 5678", "CN", "+861062345678"),
        ("+44 20 7946 0018", "CN", "+442079460018"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("+852 5123 4567", "CN", "+85251234567"),
    ],
)
def test_other_kinds_and_regions_are_normalised(text: str, region: str | None, expected: str) -> None:
    assert parse_number(text, region) == expected


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        ("", "phone.malformed", "no digits"),
        ("王小明", "phone.malformed", "no digits"),
        ("+", "phone.malformed", "no digits"),
        ("13800138OOO", "phone.malformed", "character not allowed"),
        ("13800138000 ext 7", "phone.malformed", "character not allowed"),
        ("13800138000;ext=7", "phone.malformed", "character not allowed"),
        ("138001\n38000", "phone.malformed", "character not allowed"),
        ("+86+13800138000", "phone.malformed", "character not allowed"),
        ("1" * 41, "phone.malformed", "text too long"),
        ("5751234567.0", "phone.malformed", "decimal fraction"),
        ("+4930123456.0", "phone.malformed", "decimal fraction"),
        ("13800138000．00", "phone.malformed", "decimal fraction"),
        ("1380013800", "phone.unassigned", None),
        ("62345678", "phone.unassigned", None),
        ("95588", "phone.impossible", "area code missing"),
        ("138001380001234", "phone.impossible", "too long"),
        ("1" * 39, "phone.impossible", "too long"),
        ("+99912345678", "phone.impossible", "country code unknown"),
        ("12345678901", "phone.unassigned", None),
    ],
)
def test_a_faulty_number_is_refused_with_its_rule(text: str, code: str, rule: str | None) -> None:
    with pytest.raises(KehuError) as caught:
        parse_number(text)
    assert caught.value.code == code
    if rule is not None:
        assert caught.value.details["rule"] == rule


@pytest.mark.parametrize(
    "text", ["13800138OOO", "138001380", "138001380001234", "12345678901", "+99912345678", "13800138000x"]
)
def test_errors_count_the_digits_and_never_show_them(text: str) -> None:
    with pytest.raises(KehuError) as caught:
        parse_number(text)
    error = caught.value
    assert error.details["digits"] == sum(char.isdecimal() for char in text)
    shown = f"{error} {shown_details(error)} {error!r} {error.__cause__!r}"
    assert text.strip("+")[:6] not in shown
    assert error.__suppress_context__ or error.__context__ is None


def test_without_a_region_the_national_form_is_refused() -> None:
    with pytest.raises(KehuError) as caught:
        parse_number("13800138000", None)
    assert caught.value.details["rule"] == "international form required"


@pytest.mark.parametrize("region", ["", "cn", "XX", "CHN"])
def test_an_unknown_region_is_an_error_of_its_own(region: str) -> None:
    with pytest.raises(KehuError) as caught:
        parse_number("13800138000", region)
    assert caught.value.code == "phone.region"


def test_e164_is_exactly_the_form_that_parsing_gives() -> None:
    assert is_e164("+8613800138000")
    assert not any(map(is_e164, ["13800138000", "+86 13800138000", "+861380013800", "", "＋8613800138000"]))


def test_national_digits_are_the_number_without_its_country_code() -> None:
    assert national_digits("+8613800138000") == "13800138000"
    assert national_digits("+390612345678") == "0612345678"
