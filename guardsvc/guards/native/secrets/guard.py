"""The guard: credentials in what a client sends, and one verdict on them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.arguments import Sent, sent_texts, sent_values
from guardsvc.guards.native.secrets.assignments import Assignments, is_secret_name
from guardsvc.guards.native.secrets.canaries import MIN_LENGTH, Canaries, plain_length
from guardsvc.guards.native.secrets.masking import mask, masked
from guardsvc.guards.native.secrets.patterns import ASSIGNED, patterns
from guardsvc.guards.native.secrets.places import Place, apart, findings_of, placed
from guardsvc.guards.native.secrets.plausible import MIN_RANDOM, Allowed
from guardsvc.guards.native.secrets.rules import CANARY, CODE, NAMED, RULES
from guardsvc.guards.native.secrets.scanner import (
    SEPARATOR,
    TOO_MANY,
    Budget,
    Hit,
    Scanner,
    unescaped,
    without_ignorable,
)
from guardsvc.guards.native.secrets.settings import SecretsSettings
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    Globs,
    GuardContext,
    GuardType,
    Modify,
    Operation,
    RuleAction,
    SettingsError,
    Verdict,
    reason_for,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["SECRETS", "Secrets"]

MIN_TEXT = 12
"""Characters below which nothing is a credential."""


class Secrets:
    """The guard; see ``SecretsSettings``."""

    def __init__(self, settings: SecretsSettings, context: GuardContext) -> None:
        _check(settings)
        allowed = Allowed(settings.allowed_values)
        self._patterns = patterns()
        self._scanner = Scanner(allowed)
        self._assignments = Assignments(allowed)
        self._canaries = Canaries({name: value.reveal() for name, value in settings.canaries.items()})
        self._disabled = frozenset(settings.disabled_rules)
        self._fields = tuple((Globs(entry.tools), Globs(entry.fields)) for entry in settings.allowed_fields)
        self._declared = settings.declared_fields
        self._schemas = context.input_schemas
        self._actions = {rule: context.actions.get(rule, RuleAction(settings.action)) for rule in RULES}
        if any(self._actions[rule] is not RuleAction.LOG for rule in _rules(settings)):
            self._actions[TOO_MANY] = RuleAction.DENY

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Look for credentials in what a client sends."""
        del facts
        if operation.direction is not Direction.REQUEST or not operation.payload:
            return ALLOW
        places = self._places(operation)
        return self._verdict(operation, places) if places else ALLOW

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the findings that still count amount to."""
        counting = {(finding.rule, finding.where) for finding in findings}
        places = [
            place
            for place in self._places(operation)
            if (place.hit.rule, place.where) in counting or (place.hit.rule, "") in counting
        ]
        return self._verdict(operation, places) if places else ALLOW

    def _places(self, operation: Operation) -> list[Place]:
        schema = self._schemas.get((operation.server or "", operation.subject or ""))
        # A canary may be spread over many values, however short.
        sent = (
            [value for value in sent_values(operation, schema, beside=True) if type(value.value) is str and value.value]
            if self._canaries
            else sent_texts(operation, schema, MIN_TEXT, beside=True)
        )
        if not sent:
            return []
        texts = [str(value.value).replace("\0", " ").encode("utf-8", "surrogatepass") for value in sent]
        budget = Budget(sum(map(len, texts)))
        found = list(self._in_texts(texts, budget))
        found += apart(self._named(sent, texts, budget), found)
        if not found and not self._canaries:
            return []
        starts = [0, *accumulate(len(text) + 1 for text in texts[:-1])]
        found_at: list[tuple[Hit, Sent | None, int]] = []
        for hit in found:
            if hit.rule == TOO_MANY:
                found_at.append((hit, None, 0))
                continue
            index = bisect_right(starts, hit.start) - 1
            if hit.rule not in self._disabled and not self._may_hold(sent[index], operation):
                found_at.append((hit, sent[index], starts[index]))
        if self._canaries and CANARY not in self._disabled:
            found_at += self._traps(sent, texts, starts)
        return placed(found_at)

    def _in_texts(self, texts: list[bytes], budget: Budget) -> Iterator[Hit]:
        whole = SEPARATOR.join(texts)
        has = self._patterns.any.match(whole)
        plain = list(self._scanner.scan(whole, has, budget))
        yield from plain
        for read in (unescaped(whole), without_ignorable(whole)):
            if read is not None:
                yield from self._elsewhere(read, texts, plain, budget)
        if has & ASSIGNED:
            yield from apart(self._assignments.scan(whole), plain)

    def _elsewhere(self, read: bytes, texts: list[bytes], known: list[Hit], budget: Budget) -> Iterator[Hit]:
        """Credentials in the texts as a server may read them, each at the beginning of its text."""
        starts = [0, *accumulate(len(text) + 1 for text in texts[:-1])]
        seen = {(hit.rule, bisect_right(starts, hit.start)) for hit in known}
        position = index = 0
        for hit in self._scanner.scan_plain(read, budget):
            index += read.count(SEPARATOR, position, hit.start)
            position = hit.start
            if (hit.rule, index + 1) not in seen:
                begin = starts[index]
                yield Hit(hit.rule, begin, begin + len(texts[index]), plain=False, excerpt=hit.excerpt)

    def _named(self, sent: Sequence[Sent], texts: list[bytes], budget: Budget) -> Iterator[Hit]:
        begin = 0
        for value, text in zip(sent, texts, strict=True):
            end = begin + len(text)
            if len(text) >= MIN_RANDOM and not value.is_key and value.name and is_secret_name(value.name):
                if not budget.spend():
                    yield Hit(TOO_MANY, begin, end, plain=False, excerpt="")
                    return
                if self._assignments.is_secret(text):
                    yield Hit(NAMED, begin, end, plain=True, excerpt=f"{len(text)} characters")
            begin = end + 1

    def _traps(
        self, sent: Sequence[Sent], texts: list[bytes], starts: list[int]
    ) -> Iterator[tuple[Hit, Sent | None, int]]:
        values = [index for index, value in enumerate(sent) if not value.is_key]
        keys = [index for index, value in enumerate(sent) if value.is_key]
        for group in (values, keys):
            for position, name in self._canaries.find([texts[index] for index in group]):
                index = None if position is None else group[position]
                begin = 0 if index is None else starts[index]
                end = begin if index is None else begin + len(texts[index])
                hit = Hit(CANARY, begin, end, plain=False, excerpt=self._canaries.excerpt(name))
                yield hit, None if index is None else sent[index], begin

    def _may_hold(self, sent: Sent, operation: Operation) -> bool:
        """Whether a field may hold credentials."""
        if any(tools.match(operation.subject) and fields.match(sent.name) for tools, fields in self._fields):
            return True
        if not self._declared or sent.is_key or (schema := sent.schema) is None:
            return False
        return is_secret_name(sent.name) or schema.get("format") == "password" or schema.get("writeOnly") is True

    def _verdict(self, operation: Operation, places: list[Place]) -> Verdict:
        findings = tuple(findings_of(places))
        actions = {self._actions[place.hit.rule] for place in places}
        if RuleAction.DENY not in actions and RuleAction.REDACT in actions:
            redacted = [place for place in places if self._actions[place.hit.rule] is RuleAction.REDACT]
            payload = self._redacted(operation, redacted)
            if payload is not None:
                return Modify(payload=payload, findings=findings)
        elif RuleAction.DENY not in actions:
            return Allow(findings=findings)
        return Deny(code=CODE, message=reason_for(CODE).text, findings=findings)

    def _redacted(self, operation: Operation, places: list[Place]) -> Any:
        """The payload without these credentials, None where they cannot all be taken out."""
        hits: dict[str, list[Hit]] = {}
        first: dict[str, Place] = {}
        for place in places:
            if not place.exact or place.names_something:
                return None
            hits.setdefault(place.where, []).append(place.hit)
            first.setdefault(place.where, place)
        values: Mapping[str, str] = {
            where: mask(str(place.sent.value), hits[where], place.offset)
            for where, place in first.items()
            if place.sent is not None
        }
        payload = masked(operation.payload, values)
        changed = msgspec.structs.replace(operation, payload=payload)
        left = {(place.hit.rule, place.where) for place in self._places(changed)}
        return None if left & {(place.hit.rule, place.where) for place in places} else payload


def _check(settings: SecretsSettings) -> None:
    for name, value in settings.canaries.items():
        if plain_length(value.reveal()) < MIN_LENGTH:
            raise SettingsError(("canaries", name), f"a canary has at least {MIN_LENGTH} letters and digits")
    for index, rule in enumerate(settings.disabled_rules):
        if rule == TOO_MANY or rule not in RULES:
            legal = ", ".join(name for name in RULES if name != TOO_MANY)
            raise SettingsError(("disabled_rules", index), f'"{rule}" is not one of {legal}')


def _rules(settings: SecretsSettings) -> Collection[str]:
    return [rule for rule in RULES if rule not in settings.disabled_rules]


SECRETS = GuardType(
    name="secrets",
    settings=SecretsSettings,
    build=Secrets,
    redacts=True,
    code=CODE,
    rules=_rules,
    unexceptable=frozenset({TOO_MANY}),
    summary="Refuses or masks credentials and canaries that leave in what a client sends.",
)
