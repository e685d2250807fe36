"""Amounts of money as people write them, and as they are kept: minor units as a decimal integer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from chain.errors import KehuError, define
from contracts.projects.currencies import is_currency, minor_digits

_AMOUNT: Final = re.compile(r"(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.(\d{1,3}))?", re.ASCII)

AMOUNTS: Final = ("amount", "paid")
"""Fields of payments that hold minor units."""

AMOUNT_MALFORMED = define(
    "usage.amount",
    "an amount is digits, with a point before the minor units if there are any, in a currency of ISO 4217",
    "write --amount 12500.50 --currency CNY; a currency has 0, 2 or 3 digits after the point",
)

CURRENCY_UNKNOWN = define(
    "usage.currency", "the currency is none of ISO 4217", "write its three capital letters, such as --currency CNY"
)


def minor_units(text: str, currency: str) -> str:
    """ "12500.5" in CNY is "1250050". Errors show no amount. Errors: usage.amount, usage.currency."""
    if not is_currency(currency):
        raise KehuError(CURRENCY_UNKNOWN, currency=currency)
    found = _AMOUNT.fullmatch(unicodedata.normalize("NFKC", text).strip())  # full-width digits are what people type
    digits = minor_digits(currency)
    if found is None or digits < len(found[2] or ""):
        raise KehuError(AMOUNT_MALFORMED, digits=digits)
    return str(int(found[1].replace(",", "") + (found[2] or "").ljust(digits, "0")))


def in_minor_units(fields: Mapping[str, str], currency: str) -> dict[str, str]:
    """A payment's fields as they are kept. Errors: usage.amount, usage.currency."""
    return {name: minor_units(text, currency) if name in AMOUNTS else text for name, text in fields.items()}


def amount_text(minor: str, currency: str) -> str:
    """ "1250050" in CNY is "12,500.50 CNY"; what is no number of minor units is shown as it is."""
    if not (minor.isascii() and minor.isdecimal() and is_currency(currency)):
        return minor
    whole, point, rest = amount_plain(minor, currency).partition(".")
    return f"{int(whole):,}{point}{rest} {currency}"


def amount_plain(minor: str, currency: str) -> str:
    """ "1250050" in CNY is "12500.50"; what is no number of minor units is left as it is."""
    if not (minor.isascii() and minor.isdecimal() and is_currency(currency)):
        return minor
    digits = minor_digits(currency)
    padded = minor.rjust(digits + 1, "0")
    whole, rest = (padded[:-digits], f".{padded[-digits:]}") if digits else (padded, "")
    return f"{int(whole)}{rest}"
