"""Phone numbers: what people type becomes E.164, or an error that says which rule failed without the number.

The E.164 form (ITU-T E.164: "+", country code, national number, at most 15 digits) is what the vault keeps, what
the field digest commits to and what a platform is asked. Numbering plans come from the `phonenumbers` library.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NoReturn

import phonenumbers
from phonenumbers import NumberParseException, ValidationResult

from chain.errors import KehuError, define

DEFAULT_REGION: Final = "CN"
TEXT_LENGTH_MAX: Final = 40
"""15 digits with a separator after each, and some; longer text is no number."""

PHONE_MALFORMED = define(
    "phone.malformed",
    "the text is not a phone number",
    "write digits, spaces and - . ( ) / only: + and country code in front, or the default region's national form",
)
PHONE_IMPOSSIBLE = define(
    "phone.impossible",
    "no number of that country has this length or this country code",
    "compare the number of digits with the source; a number from abroad needs + and its country code",
)
PHONE_UNASSIGNED = define(
    "phone.unassigned",
    "the country's numbering plan has no number with these leading digits and this length",
    "count the digits (a fixed line needs its area code); if the range is new, update the phonenumbers library",
)
PHONE_REGION = define(
    "phone.region",
    "the default region is not a region with a numbering plan",
    "name it by its two letters of ISO 3166-1, such as CN",
)

_SEPARATORS: Final = frozenset(" -.()/")
_FRACTION: Final = re.compile(r"\+?\d+\.0+")
"""What a spreadsheet or a program makes of a number that it took for one; the zero would become a digit of another."""
_BRACKETED: Final = re.compile(r"^\(\+(\d{1,3})\)", re.ASCII)
_LENGTH_RULES: Final = {
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "area code missing",
    ValidationResult.INVALID_COUNTRY_CODE: "country code unknown",
    ValidationResult.TOO_SHORT: "too short",
    ValidationResult.TOO_LONG: "too long",
    ValidationResult.INVALID_LENGTH: "length not in use",
}
_PARSE_RULES: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: "country code unknown",
    NumberParseException.TOO_SHORT_AFTER_IDD: "too short",
    NumberParseException.TOO_SHORT_NSN: "too short",
    NumberParseException.TOO_LONG: "too long",
}


def parse_number(text: str, default_region: str | None = DEFAULT_REGION) -> str:
    """The number in E.164, such as "+8613800138000".

    The national form is taken in `default_region`; with None only the international form is accepted.
    Full-width digits and signs, as Chinese input methods make them, count as their plain ones.
    Errors: phone.malformed, phone.impossible, phone.unassigned, phone.region. None of them shows the number.
    """
    if default_region is not None and default_region not in phonenumbers.SUPPORTED_REGIONS:
        raise KehuError(PHONE_REGION, problem="unknown region")
    plain, digits = _plain_text(text)
    if default_region is None and not plain.startswith("+"):
        raise KehuError(PHONE_MALFORMED, rule="international form required", digits=digits)
    try:
        number = phonenumbers.parse(plain, default_region)
    except NumberParseException as error:
        _refuse_parse(error.error_type, digits)
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != ValidationResult.IS_POSSIBLE:
        raise KehuError(PHONE_IMPOSSIBLE, rule=_LENGTH_RULES.get(possible, "length"), digits=digits)
    if not phonenumbers.is_valid_number(number):
        raise KehuError(PHONE_UNASSIGNED, country_code=number.country_code, digits=digits)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_e164(text: str) -> bool:
    """Whether `text` is a number and already in the form `parse_number` gives."""
    try:
        return parse_number(text, None) == text
    except KehuError:
        return False


def national_digits(number: str) -> str:
    """The national part of a number in E.164: what people who know the country would recognise it by."""
    return phonenumbers.national_significant_number(phonenumbers.parse(number))


def plain_spelling(text: str) -> str:
    """`text` in plain characters: full-width ones and all kinds of dashes as ASCII has them, (+86) as +86, and without
    the invisible marks that address books put around a number when it is copied."""
    plain = unicodedata.normalize("NFKC", text)
    kinds = [(char, unicodedata.category(char)) for char in plain]
    plain = "".join("-" if kind == "Pd" else char for char, kind in kinds if kind != "Cf").strip()
    return _BRACKETED.sub(r"+\1 ", plain)


def _plain_text(text: str) -> tuple[str, int]:
    """The text in plain characters, and its count of digits; letters and other signs are refused.

    The library would read letters as keypad digits and "ext" as an extension: a customer's number has neither.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise KehuError(PHONE_MALFORMED, rule="text too long", characters=len(text), limit=TEXT_LENGTH_MAX)
    plain = plain_spelling(text)
    digits = sum(char.isdecimal() for char in plain)
    if digits == 0:
        raise KehuError(PHONE_MALFORMED, rule="no digits", characters=len(text))
    if _FRACTION.fullmatch(plain):
        raise KehuError(PHONE_MALFORMED, rule="decimal fraction", digits=digits)
    body = plain[1:] if plain.startswith("+") else plain
    for position, char in enumerate(body):
        if not char.isdecimal() and char not in _SEPARATORS:
            raise KehuError(PHONE_MALFORMED, rule="character not allowed", position=position, digits=digits)
    return plain, digits


def _refuse_parse(error_type: int, digits: int) -> NoReturn:
    rule = _PARSE_RULES.get(error_type)
    if rule is None:
        raise KehuError(PHONE_MALFORMED, rule="not a number", digits=digits) from None
    raise KehuError(PHONE_IMPOSSIBLE, rule=rule, digits=digits) from None
