"""Sentences: where a text may be cut into pieces within which words are taken to belong together."""

from __future__ import annotations

import re

__all__ = ["ends_of"]

MIN_LENGTH = 20
"""Bytes; a shorter sentence goes with the next one."""
MAX_LENGTH = 800
"""Bytes; a longer sentence is cut."""
MAX_PIECES = 512
"""Pieces of a text. Those of a longer text are longer, so that the work stays linear with a small factor."""

_END = re.compile(
    rb"[.!?;\n\r\xe3\xef](?:(?<=[\n\r])|(?<=[.!?;])(?=[\s\"')\]>}]|$)|(?<=\xe3)\x80\x82|(?<=\xef)\xbc[\x81\x9f])"
)
"""Begins with one class, which makes looking for it fast."""


def ends_of(text: bytes) -> list[int]:
    """Offsets in a text, UTF-8, after which a piece ends; the last one is the text's length."""
    shortest = max(MIN_LENGTH, len(text) // MAX_PIECES)
    longest = max(MAX_LENGTH, shortest)
    ends: list[int] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if end - start >= shortest:
            ends.extend(range(start + longest, end, longest))
            ends.append(end)
            start = end
    ends.extend(range(start + longest, len(text), longest))
    ends.append(len(text))
    return ends
