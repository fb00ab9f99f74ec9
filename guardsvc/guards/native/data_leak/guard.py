"""The guard: credentials and personal data in what a server answers, and one verdict on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import re2

from guardsvc.guards.native.data_leak.definitions import CLEAN_LISTS, Definitions, is_list, is_told, refused
from guardsvc.guards.native.data_leak.leaks import Detector, Leak
from guardsvc.guards.native.data_leak.personal import PersonalData
from guardsvc.guards.native.data_leak.redaction import redacted
from guardsvc.guards.native.data_leak.rules import (
    CODE,
    GUESSED,
    MORE,
    PERSONAL,
    RULES,
    SECRET_THREATS,
    SECRETS,
    THREATS,
    Personal,
)
from guardsvc.guards.native.data_leak.settings import DataLeakSettings
from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.results import shown_values
from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings
from guardsvc.guards.native.secrets.plausible import Allowed
from guardsvc.guards.native.secrets.scanner import TOO_MANY
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
    from collections.abc import Collection, Sequence

__all__ = ["DATA_LEAK", "DataLeak"]

MAX_FINDINGS = 64
"""Findings of one message that are reported; the verdict is made of all."""

_WHOLE = frozenset({TOO_MANY, MORE})


class DataLeak:
    """The guard; see ``DataLeakSettings``."""

    def __init__(self, settings: DataLeakSettings, context: GuardContext) -> None:
        _check(settings)
        allowed = Allowed(settings.allowed_values)
        self._detector = Detector(allowed, PersonalData(settings.personal_data))
        self._clean = DigestCache[bool](CLEAN_LISTS)
        self._definitions = Definitions(Detector(allowed, PersonalData(())), self._clean)
        self._disabled = frozenset(settings.disabled_rules)
        self._patterns = [re2.compile(pattern) for pattern in settings.allowed_patterns]
        self._domains = tuple(domain.lower() for domain in settings.allowed_domains)
        self._fields = tuple((Globs(entry.tools), Globs(entry.fields)) for entry in settings.allowed_fields)
        self._severities = RULES | dict(settings.severities)
        self._actions = _actions(settings, context)
        self._schemas = _schemas(context)

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Look for credentials and personal data in what a server answers."""
        del facts
        if operation.direction is not Direction.RESPONSE or not operation.payload:
            return ALLOW
        return self._verdict(operation, self._leaks(operation))

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the findings that still count amount to."""
        counting = {(finding.rule, finding.where) for finding in findings}
        rest = any(finding.rule == MORE for finding in findings)
        leaks = self._leaks(operation)
        names = _names(leaks)
        return self._verdict(
            operation, [leak for leak in leaks if rest or (leak.rule, _told(_where(leak), names)) in counting]
        )

    def _leaks(self, operation: Operation) -> list[Leak]:
        given = (
            self._definitions.leaks(operation) if is_list(operation) else self._detector.leaks(shown_values(operation))
        )
        found = [leak for leak in given if leak.rule not in self._disabled]
        if not self._fields and not self._patterns and not self._domains:
            return found
        return [leak for leak in found if not self._may_stand(leak, operation)]

    def _may_stand(self, leak: Leak, operation: Operation) -> bool:
        """Whether the operator allows a value, or what stands in its field."""
        piece = leak.piece
        if piece is None:
            return False
        tool = operation.subject or operation.listed_tool(piece.shown.where)
        if any(tools.match(tool) and fields.match(piece.shown.name) for tools, fields in self._fields):
            return True
        value = piece.data[leak.start : leak.end].decode("utf-8", "replace")
        if any(pattern.fullmatch(value) is not None for pattern in self._patterns):
            return True
        return leak.rule == Personal.EMAIL and self._is_allowed_domain(value.rpartition("@")[2].lower())

    def _is_allowed_domain(self, domain: str) -> bool:
        return any(
            domain.endswith(allowed[1:]) if allowed.startswith("*.") else domain == allowed for allowed in self._domains
        )

    def _verdict(self, operation: Operation, leaks: Sequence[Leak]) -> Verdict:
        if not leaks:
            return ALLOW
        findings, listed = self._findings(leaks), is_list(operation)
        actions = {self._actions[leak.rule] for leak in leaks}
        if RuleAction.DENY not in actions:
            if RuleAction.REDACT not in actions:
                return Allow(findings=findings)
            masked = [leak for leak in leaks if self._actions[leak.rule] is RuleAction.REDACT]
            payload = self._redacted(operation, masked) if not listed or all(map(is_told, masked)) else None
            if payload is not None:
                return Modify(payload=payload, findings=findings)
        if listed:
            return refused(operation, leaks, findings, CODE)
        return Deny(code=CODE, message=reason_for(CODE).text, findings=findings)

    def _redacted(self, operation: Operation, leaks: Sequence[Leak]) -> Any:
        """The payload without these leaks, None where they cannot all be taken out or the result is not valid."""
        payload = redacted(operation.payload, leaks)
        if payload is None:
            return None
        changed = msgspec.structs.replace(operation, payload=payload)
        taken = {leak.rule for leak in leaks}
        if any(leak.rule in taken for leak in self._leaks(changed)):
            return None
        return payload if self._is_valid(changed) else None

    def _is_valid(self, operation: Operation) -> bool:
        """Whether a structured result suits the schema that its tool is configured with."""
        payload = operation.payload
        if "structuredContent" not in payload or payload.get("isError") is True:
            return True
        content = payload["structuredContent"]
        known = (self._schemas.get((server, operation.subject)) for server in operation.servers)
        return all(check.accepts(content) for check in known if check is not None)

    def _findings(self, leaks: Sequence[Leak]) -> tuple[Finding, ...]:
        """One finding per rule and text, the worst first; one stands for those beyond the bound."""
        found: dict[tuple[str, str], Finding] = {}
        names = _names(leaks)
        seen: set[tuple[str, int]] = set()
        for leak in leaks:
            if (leak.rule, id(leak.piece)) in seen:
                continue
            seen.add((leak.rule, id(leak.piece)))
            where = _told(_where(leak), names)
            if (leak.rule, where) not in found:
                threats = THREATS if leak.rule in PERSONAL else SECRET_THREATS
                severity = self._severities[leak.rule]
                found[leak.rule, where] = Finding(
                    rule=leak.rule, severity=severity, where=where, threats=threats, excerpt=leak.excerpt
                )
        ordered = sorted(found.values(), key=lambda finding: -_RANKS[finding.severity])
        left = ordered[MAX_FINDINGS:]
        if not left:
            return tuple(ordered)
        more = Finding(rule=MORE, severity=left[0].severity, excerpt=f"{len(left)} more findings are not reported")
        return (*ordered[:MAX_FINDINGS], more)


_RANKS = {severity: rank for rank, severity in enumerate(type(RULES[MORE]))}


def _where(leak: Leak) -> str:
    """Pointer to the text, empty where not all was looked at."""
    return "" if leak.piece is None else leak.piece.shown.where


def _names(leaks: Sequence[Leak]) -> Collection[str]:
    """Pointers to the members in whose names something was found."""
    return {_where(leak) for leak in leaks if leak.piece is not None and leak.piece.shown.is_key}


def _told(where: str, names: Collection[str]) -> str:
    """A pointer that may be shown: it ends before the first name that something was found in."""
    position = 0
    while names and position >= 0:
        position = where.find("/", position + 1)
        if (where if position < 0 else where[:position]) in names:
            return (where if position < 0 else where[:position]).rpartition("/")[0]
    return where


def _actions(settings: DataLeakSettings, context: GuardContext) -> dict[str, RuleAction]:
    actions = {rule: RuleAction(settings.guessed_secrets if rule in GUESSED else settings.secrets) for rule in SECRETS}
    actions |= {kind.value: RuleAction(action) for kind, action in settings.personal_data.items()}
    actions |= {rule: context.actions[rule] for rule in context.actions if rule in actions}
    strict = any(action is not RuleAction.LOG for action in actions.values())
    actions[TOO_MANY] = RuleAction.DENY if strict else RuleAction.LOG
    return actions


def _schemas(context: GuardContext) -> dict[tuple[str, str | None], ArgumentCheck]:
    stated = SchemaValidationSettings(extra_properties="schema")
    checks: dict[tuple[str, str | None], ArgumentCheck] = {}
    for (server, tool), schema in context.output_schemas.items():
        try:
            checks[server, tool] = ArgumentCheck(schema, stated)
        except SchemaError as error:
            raise SettingsError(
                (), f'output_schema{error.pointer} of tool "{tool}" of server "{server}": {error}'
            ) from error
    return checks


def _check(settings: DataLeakSettings) -> None:
    legal = sorted(SECRETS.keys() - _WHOLE)
    for index, rule in enumerate(settings.disabled_rules):
        if rule not in legal:
            raise SettingsError(("disabled_rules", index), f'"{rule}" is not one of {", ".join(legal)}')
    for rule in settings.severities:
        if rule not in RULES.keys() - _WHOLE:
            known = ", ".join(sorted(RULES.keys() - _WHOLE))
            raise SettingsError(("severities", rule), f'"{rule}" is not one of {known}')
    options = re2.Options()
    options.log_errors = False
    for index, pattern in enumerate(settings.allowed_patterns):
        try:
            re2.compile(pattern, options)
        except re2.error as error:
            raise SettingsError(("allowed_patterns", index), f"not an RE2 pattern: {pattern}") from error


def _rules(settings: DataLeakSettings) -> Collection[str]:
    secrets = [rule for rule in SECRETS if rule not in settings.disabled_rules]
    return [*secrets, *(kind.value for kind in settings.personal_data), MORE]


DATA_LEAK = GuardType(
    name="data_leak",
    settings=DataLeakSettings,
    build=DataLeak,
    runs_on=frozenset({Direction.RESPONSE}),
    redacts=True,
    code=CODE,
    rules=_rules,
    unexceptable=_WHOLE,
    summary="Masks credentials, and personal data on request, in what servers answer.",
)
