"""Places: where in a message credentials stand, and the findings that tell it."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.arguments import Sent
from guardsvc.guards.native.secrets.rules import CANARY, RULES, THREATS
from guardsvc.guards.native.secrets.scanner import TOO_MANY, Hit
from guardsvc.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_FINDINGS", "Place", "apart", "findings_of", "placed"]

MAX_FINDINGS = 64
"""Findings of one message that are reported each at its place."""


class Place(msgspec.Struct, frozen=True):
    """A credential and where it stands.

    Attributes:
        sent: the value, None where it is spread over several.
        offset: what the positions of the hit count from.
        where: pointer to the value, or to an object around it where the pointer would repeat a credential.
    """

    hit: Hit
    sent: Sent | None
    offset: int
    where: str

    @property
    def exact(self) -> bool:
        """Whether the pointer leads to the value itself."""
        return self.sent is not None and not self.sent.is_key and self.sent.where == self.where

    @property
    def names_something(self) -> bool:
        """Whether the value says what is called or read, so that with another one it would be another message."""
        return self.where in ("/uri", "/name") or self.where.startswith("/ref/")


def placed(found: list[tuple[Hit, Sent | None, int]]) -> list[Place]:
    """Each at its pointer. One that leads through a name in which there is a credential ends before it."""
    names = {sent.where for _, sent, _ in found if sent is not None and sent.is_key}
    places: list[Place] = []
    for hit, sent, offset in found:
        where = "" if sent is None else sent.where
        if names and (through := next((cut for cut in _prefixes(where) if cut in names), None)) is not None:
            where = through.rpartition("/")[0]
        places.append(Place(hit, sent, offset, where))
    return places


def _prefixes(pointer: str) -> Iterator[str]:
    """The pointer to each member on the way, from the outermost on."""
    position = pointer.find("/", 1)
    while position > 0:
        yield pointer[:position]
        position = pointer.find("/", position + 1)
    yield pointer


def findings_of(places: Iterable[Place]) -> Iterator[Finding]:
    """One finding per rule and value; beyond the bound one per rule, which stands for the whole message."""
    seen: set[tuple[str, str, str]] = set()
    for place in places:
        rule, where, excerpt = place.hit.rule, place.where, place.hit.excerpt
        if len(seen) >= MAX_FINDINGS:
            where, excerpt = "", "further ones"
        of_one = (rule, where, excerpt if rule == CANARY else "")
        if of_one not in seen:
            seen.add(of_one)
            yield Finding(rule=rule, severity=RULES[rule], where=where, threats=THREATS, excerpt=excerpt)


def apart(hits: Iterable[Hit], known: Iterable[Hit]) -> list[Hit]:
    """The hits that overlap with none that is known, and those that stand for the whole message."""
    spans = sorted((hit.start, hit.end) for hit in known)
    kept: list[Hit] = []
    for hit in hits:
        before = bisect_left(spans, (hit.end, 0)) - 1
        if hit.rule == TOO_MANY or before < 0 or spans[before][1] <= hit.start:
            kept.append(hit)
    return kept
