"""Leaks: what was found in the texts of one message, each in its text."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.results import Part, Shown, blob_text
from guardsvc.guards.native.secrets.assignments import Assignments, is_secret_name
from guardsvc.guards.native.secrets.patterns import ASSIGNED, patterns
from guardsvc.guards.native.secrets.places import apart
from guardsvc.guards.native.secrets.plausible import MIN_RANDOM, Allowed
from guardsvc.guards.native.secrets.rules import NAMED
from guardsvc.guards.native.secrets.scanner import (
    SEPARATOR,
    TOO_MANY,
    Budget,
    Hit,
    Scanner,
    unescaped,
    without_ignorable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.guards.native.data_leak.personal import PersonalData

__all__ = ["Detector", "Leak", "Piece"]

MIN_TEXT = 7
"""Characters below which nothing is found."""


class Piece(msgspec.Struct, frozen=True):
    """A text that is looked at.

    Attributes:
        data: its bytes; of a blob those that it encodes.
        lossless: whether the text can be made of the bytes again.
    """

    shown: Shown
    data: bytes
    lossless: bool

    @property
    def is_blob(self) -> bool:
        """Whether the bytes stand there in Base64."""
        return self.shown.part is Part.BLOB and self.data != str(self.shown.value).encode("utf-8", "surrogatepass")


class Leak(msgspec.Struct, frozen=True, gc=False):
    """Something that was found.

    Attributes:
        piece: the text; None where not all was looked at.
        rule: that found it.
        start, end: where in the bytes of the text; the whole of them where it does not stand there plainly.
        excerpt: what may be told of it.
    """

    piece: Piece | None
    rule: str
    start: int
    end: int
    excerpt: str


class Detector:
    """Looks for credentials and personal data.

    Args:
        allowed: values that are no finding.
        personal: what is looked for beside credentials.
    """

    def __init__(self, allowed: Allowed, personal: PersonalData) -> None:
        self._patterns = patterns()
        self._scanner = Scanner(allowed)
        self._assignments = Assignments(allowed)
        self._personal = personal

    def may_leak(self, value: Any) -> bool:
        """Whether anything may stand in a JSON value, by a quick look that does not tell where; personal data aside."""
        texts: list[str] = []
        stack = [value]
        while stack:
            item = stack.pop()
            if type(item) is str:
                texts.append(item)
            elif type(item) is list:
                stack += item
            elif type(item) is dict:
                texts += item
                stack += item.values()
                if any(_may_be_secret(member) and is_secret_name(name) for name, member in item.items()):
                    return True
        whole = SEPARATOR.decode().join(texts).encode("utf-8", "surrogatepass")
        looks = self._patterns.any
        return any(
            read is not None and looks.match(read) for read in (whole, unescaped(whole), without_ignorable(whole))
        )

    def leaks(self, shown: Sequence[Shown]) -> list[Leak]:
        """What stands in some texts, in no order.

        Args:
            shown: the texts of one message.
        """
        pieces = [piece for each in shown if (piece := _piece(each)) is not None]
        if not pieces:
            return []
        texts = [piece.data for piece in pieces]
        budget = Budget(sum(map(len, texts)))
        whole = SEPARATOR.join(texts)
        starts = [0, *accumulate(len(text) + 1 for text in texts[:-1])]
        hits = list(self._secrets(whole, budget))
        hits += apart(self._named(pieces, starts, budget), hits)
        hits += apart(self._personal.scan(whole), hits) if self._personal else ()
        found = [_leak(hit, pieces, starts) for hit in hits]
        known = {(leak.rule, id(leak.piece)) for leak in found}
        for read in (unescaped(whole), without_ignorable(whole)):
            if read is not None:
                found += [
                    leak for leak in self._elsewhere(read, pieces, budget) if (leak.rule, id(leak.piece)) not in known
                ]
        return found

    def _secrets(self, whole: bytes, budget: Budget) -> Iterator[Hit]:
        has = self._patterns.any.match(whole)
        plain = list(self._scanner.scan(whole, has, budget))
        yield from plain
        if has & ASSIGNED:
            yield from apart(self._assignments.scan(whole), plain)

    def _named(self, pieces: Sequence[Piece], starts: Sequence[int], budget: Budget) -> Iterator[Hit]:
        for piece, begin in zip(pieces, starts, strict=True):
            name, data = piece.shown.name, piece.data
            if piece.shown.is_key or not name:
                continue
            end = begin + len(data)
            kind = self._personal.named(name, data)
            if kind is not None:
                yield Hit(kind.value, begin, end, plain=True, excerpt=f"{len(data)} characters")
            elif len(data) >= MIN_RANDOM and is_secret_name(name):
                if not budget.spend():
                    yield Hit(TOO_MANY, begin, end, plain=False, excerpt="")
                    return
                if self._assignments.is_secret(data):
                    yield Hit(NAMED, begin, end, plain=True, excerpt=f"{len(data)} characters")

    def _elsewhere(self, read: bytes, pieces: Sequence[Piece], budget: Budget) -> Iterator[Leak]:
        """Credentials in the texts as a reader may see them, which stand for the whole of their texts."""
        position = index = 0
        for hit in self._scanner.scan_plain(read, budget):
            index += read.count(SEPARATOR, position, hit.start)
            position = hit.start
            piece = pieces[min(index, len(pieces) - 1)]
            yield Leak(None if hit.rule == TOO_MANY else piece, hit.rule, 0, len(piece.data), hit.excerpt)


def _may_be_secret(value: Any) -> bool:
    """Whether a member's value may be random, or a list of such values, which go by the same name."""
    return (type(value) is str and len(value) >= MIN_RANDOM and " " not in value) or type(value) is list


def _piece(shown: Shown) -> Piece | None:
    text = blob_text(shown) if shown.part is Part.BLOB else str(shown.value)
    if text is None or len(text) < MIN_TEXT:
        return None
    data = text.encode("utf-8", "surrogatepass")
    clean = data.replace(SEPARATOR, b" ")
    return Piece(shown, clean, clean == data and "\ufffd" not in text and type(shown.value) is str)


def _leak(hit: Hit, pieces: Sequence[Piece], starts: Sequence[int]) -> Leak:
    if hit.rule == TOO_MANY:
        return Leak(None, hit.rule, 0, 0, hit.excerpt)
    index = bisect_right(starts, hit.start) - 1
    piece, offset = pieces[index], starts[index]
    start, end = hit.start - offset, min(hit.end - offset, len(piece.data))
    if not hit.plain:
        start, end = _token(piece.data, start, end)
    return Leak(piece, hit.rule, start, end, hit.excerpt)


_ENCODED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")


def _token(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The encoded text around a part of it."""
    while start > 0 and data[start - 1] in _ENCODED:
        start -= 1
    while end < len(data) and data[end] in _ENCODED:
        end += 1
    return start, end
