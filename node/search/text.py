"""How texts are compared: by what they look like, not by how they were typed.

Unicode NFKC makes full-width letters and digits plain, case folding makes cases one, blanks become single spaces. Of
the signs that keyboards and word processors put for each other (hyphens, apostrophes, the dot within a name) one is
kept, invisible ones go, and so does a blank between Chinese characters, by which people align names of two with names
of three. What results is ordered by code point: that is not pinyin and not stroke order, for which Unicode's tables
would be needed, but it is the same on every machine, and it keeps equal first characters together.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

TEXT_MAX: Final = 64
"""Characters of a value that are indexed: prefixes are looked for, and no longer ones."""

_ONE_FOR: Final = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58",
    "'": "\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032",
    "\u00b7": "\u2022\u2027\u2219\u22c5\u30fb\uff65",
}
_KEPT: Final = {other: kept for kept, others in _ONE_FOR.items() for other in others}
_OTHERS: Final = re.compile(f"[{''.join(_KEPT)}]")
_HAN: Final = "\u00b7\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_HAN: Final = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")


def normalise(text: str) -> str:
    """At most `TEXT_MAX` characters, without control characters."""
    folded = _one_sign(_nfkc(_nfkc(_one_sign(text)).casefold()))
    if not folded.isprintable():  # only then there may be control characters, which nobody prints
        folded = "".join(map(_printed, folded))
    plain = " ".join(folded.split())
    return (plain if plain.isascii() else _BETWEEN_HAN.sub("", plain))[:TEXT_MAX]


def _nfkc(text: str) -> str:
    """Most texts are what they would be normalised to, and that is soon seen."""
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def _one_sign(text: str) -> str:
    return text if text.isascii() else _OTHERS.sub(lambda found: _KEPT[found[0]], text)


def _printed(character: str) -> str:
    category = unicodedata.category(character)
    return "" if category == "Cf" else " " if category[0] == "C" else character
