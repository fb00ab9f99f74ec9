"""Word: base of the enumerations of words that configurations, labels and records use."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Word"]


class Word(StrEnum):
    """A word of a fixed set, equal to its text and hashed like it.

    An ``Enum`` hashes in Python code, which costs more than the lookup that a decision does with it.
    """

    __hash__ = str.__hash__
