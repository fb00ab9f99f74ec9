"""Spelling: when two names of members are the same to a reader that ignores case or Unicode form."""

from __future__ import annotations

from unicodedata import normalize

__all__ = ["fold"]

_LONGEST = 64


def fold(name: str) -> str:
    """The form in which spellings of one protocol member are equal.

    Case is folded through upper case, so that letters which only upper-casing joins (dotless i,
    long s, the Kelvin sign) count too, and compatibility forms (full width, ligatures) by NFKC.
    A name longer than any protocol member is folded for case only: normalising is not linear.
    """
    if name.isascii():
        return name.lower()
    if len(name) > _LONGEST:
        return name.casefold()
    return normalize("NFKC", normalize("NFKC", name).upper().casefold())
