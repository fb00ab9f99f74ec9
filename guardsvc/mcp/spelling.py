"""Spelling: when two names of members are the same to a reader that ignores case or Unicode form."""

from __future__ import annotations

import re
from unicodedata import normalize

__all__ = ["fold"]

_LONGEST = 42
"""No member of the protocol is longer, and no spelling of one is either: no form gets shorter by folding to ASCII."""
_NEVER_ASCII = re.compile("[\u3300-\u3370\u33e0-\u33fe\ufb50-\ufdff]")
"""Ligatures and squares of up to 18 letters, none of them ASCII: costly to write out, and part of no member."""


def fold(name: str) -> str:
    """The form in which spellings of one protocol member are equal.

    Case is folded through upper case, so that letters which only upper-casing joins (dotless i,
    long s, the Kelvin sign) count too, and compatibility forms (full width, ligatures) by NFKC.
    A name that cannot spell a protocol member is folded for case only: normalising may cost many
    times its length.
    """
    if name.isascii():
        return name.lower()
    if len(name) > _LONGEST or _NEVER_ASCII.search(name):
        return name.casefold()
    folded = normalize("NFKC", name)
    if len(folded) > _LONGEST:
        return folded.casefold()
    return normalize("NFKC", folded.upper().casefold())
