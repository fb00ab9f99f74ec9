"""Search: the findings of one message, within bounds of what is looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardsvc.guards.native.arguments import PROTOTYPE
from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.sandbox_escape.examiner import LOOK, TOO_MUCH
from guardsvc.guards.native.sandbox_escape.fields import KEYS, MAX_POINTER, UNREAD
from guardsvc.guards.native.sandbox_escape.forms import MAX_ESCAPES
from guardsvc.guards.native.sandbox_escape.roles import Role
from guardsvc.guards.native.sandbox_escape.rules import RULES
from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.native.arguments import Sent
    from guardsvc.guards.native.sandbox_escape.examiner import Examiner

__all__ = ["MAX_FINDINGS", "MIN_WORK", "Search"]

MAX_FINDINGS = 64
"""Findings of one message that are reported; the last stands for those which are not."""
MIN_WORK = 128
"""Closer looks at values, one by one, that every message may cost; one is about 30 µs."""
_CHARACTERS = 1024
"""Characters of a message for which it may cost one more."""

_PARTS = 16
_EXCERPT = 80
_LENGTHY = 512
_SMALL = 8192
"""Characters up to which the values of all roles are first looked at together."""
_OPERATOR = re.compile(
    r"\$(?:gte?|lte?|ne|eq|n?in|regex|exists|or|and|not|nor|where|func|function|expr|accumulator|elemMatch|jsonSchema)"
)
_RUNS_CODE = ("$where", "$function", "$accumulator", "$func")
_QUERY_NAMES = re.compile(
    r"(?i)filter|query|where|match|selector|pipeline|aggregat|criteria|condition|update|project|search|find|stage|expr|mongo"
)
_ROLES: dict[int, Role] = {int(role): role for role in Role}
_LONG = Role.TEXT | Role.CODE | Role.TEMPLATE


class Search:
    """Looks for the findings of one message.

    Args:
        examiner: which says what values break.
    """

    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner
        self._left = MIN_WORK * LOOK
        self._more: list[Sequence[Sent]] = []
        self._escapes = MAX_ESCAPES
        self._ended = False
        self._queries: dict[int, bool] = {}
        self._seen: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def look(self, values: Mapping[int, Sequence[Sent]]) -> None:
        """Look at the values of a message by the role of their fields."""
        for sent in values.get(KEYS, ()):
            if self._ended:
                return
            if (rule := self._key_rule(sent)) is not None:
                self._add(rule, str(sent.value), sent)
        given = [(_ROLES[role], held) for role, held in values.items() if role > KEYS and held]
        self._more = [held for _, held in given]
        wanted = {role: self._examiner.mask(role) for role, _ in given}
        short = [(role, held) for role, held in given if not role & _LONG]
        if len(short) > 1:
            found = self._together(short, sum(role for role, _ in short))
            for role, _ in short:
                wanted[role] &= found
        for role, held in given:
            if wanted[role] or self._examiner.always(role):
                self._look(held, role, wanted[role])
        if UNREAD in values and not self._ended:
            self._end()

    def _together(self, given: Sequence[tuple[Role, Sequence[Sent]]], roles: int) -> int:
        """The signals that values of several roles may have; all where it takes a look at each role to tell."""
        texts = [text for _, held in given for text in _texts_of(held)]
        if sum(map(len, texts)) > _SMALL:
            return -1
        wanted = 0
        for role, _ in given:
            wanted |= self._examiner.mask(role)
        return self._examiner.signals(texts, roles, wanted, self._escapes)[0]

    def _look(self, values: Sequence[Sent], role: Role, wanted: int) -> None:
        """Look at values together, and into parts of them where there may be something."""
        pending = [(values, wanted)]
        while pending and not self._ended:
            part, hoped = pending.pop()
            if len(part) == 1:
                self._one(part[0], role, hoped)
                continue
            texts = _texts_of(part)
            found, used = self._examiner.signals(texts, role, hoped, self._escapes)
            self._escapes -= used
            if found or self._examiner.always(role):
                # Of long ones, each by itself takes no longer than all of them together.
                size = -(-len(part) // _PARTS) if sum(map(len, texts)) < _LENGTHY * len(part) else 1
                pending += [(part[start : start + size], found) for start in range(0, len(part), size)][::-1]

    def _one(self, sent: Sent, role: Role, wanted: int) -> None:
        value = str(sent.value)
        if self._left <= 0:
            self._left += LOOK * sum(len(str(sent.value)) for held in self._more for sent in held) // _CHARACTERS
            self._more = []
            if self._left <= 0:
                self._end()
                return
        examined = self._examiner.rules_of(value, role, wanted, self._escapes)
        self._escapes -= examined.escapes
        self._left -= examined.work
        for rule, form in examined.rules.items():
            self._add(rule, form, sent)

    def _add(self, rule: str, form: str, sent: Sent) -> None:
        """Add a finding; for the last there is room for, that there may be more."""
        where = sent.where
        if self._ended or (rule, where) in self._seen:
            return
        self._seen.add((rule, where))
        if len(self.findings) == MAX_FINDINGS - 1:
            self._end()
            return
        told = RULES[rule]
        shown = excerpt(form[: 2 * _EXCERPT])[:_EXCERPT]
        self.findings.append(
            Finding(rule=rule, severity=told.severity, where=where, threats=told.threats, excerpt=shown)
        )

    def _end(self) -> None:
        """Look no further, which is said of the whole message, so that what is excepted at one place hides no other."""
        self._ended = True
        told = RULES[TOO_MUCH]
        self.findings.append(Finding(rule=TOO_MUCH, severity=Severity.CRITICAL, where="", threats=told.threats))

    def _key_rule(self, sent: Sent) -> str | None:
        """The rule that the name of a member breaks."""
        name = str(sent.value)
        if name == "__proto__" or (name == PROTOTYPE and sent.name == "constructor"):
            return "prototype_pollution"
        if name[0] != "$" or _OPERATOR.fullmatch(name) is None:
            return None
        if name in _RUNS_CODE:
            return "nosql_injection"
        holder = id(sent.holder)
        if holder not in self._queries:
            above = sent.where.rpartition("/")[0] if sent.where_size <= MAX_POINTER else ""
            self._queries[holder] = _QUERY_NAMES.search(above) is not None
        return None if self._queries[holder] else "nosql_injection"


def _texts_of(values: Sequence[Sent]) -> list[str]:
    """What values say; those of a role are texts, which is not looked at again."""
    return [sent.value for sent in values]  # type: ignore[misc]
