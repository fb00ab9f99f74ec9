"""Flags: what a policy makes of something of a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PATIENCE", "REVISION", "Flag", "flag"]

PATIENCE = 60.0
"""Seconds for a decision; a slow machine must not count as a refusal."""
REVISION = "2025-11-25"


class Flag(NamedTuple):
    """What a policy makes of something.

    Attributes:
        denied: whether it is refused, or taken out.
        reviewed: whether it is that, or some guard noticed something.
        rules: that fired, as ``guard/rule``.
    """

    denied: bool
    reviewed: bool
    rules: tuple[str, ...]


def flag(rules: Sequence[str], *, denied: bool) -> Flag:
    """A flag; each rule counts once."""
    return Flag(denied=denied, reviewed=denied or bool(rules), rules=tuple(dict.fromkeys(rules)))
