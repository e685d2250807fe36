"""How texts are compared: by what they look like, not by how they were typed.

Unicode NFKC makes full-width letters and digits plain, case folding makes cases one, blanks become single spaces. What
results is ordered by code point: that is not pinyin and not stroke order, for which Unicode's tables would be needed,
but it is the same on every machine, and it keeps equal first characters together.
"""

from __future__ import annotations

import unicodedata
from typing import Final

TEXT_MAX: Final = 64
"""Characters of a value that are indexed: prefixes are looked for, and no longer ones."""


def normalise(text: str) -> str:
    """At most `TEXT_MAX` characters, without control characters."""
    folded = _nfkc(_nfkc(text).casefold())
    if not folded.isprintable():  # only then there may be control characters, which nobody prints
        folded = "".join(character if unicodedata.category(character)[0] != "C" else " " for character in folded)
    return " ".join(folded.split())[:TEXT_MAX]


def _nfkc(text: str) -> str:
    """Most texts are what they would be normalised to, and that is soon seen."""
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)
