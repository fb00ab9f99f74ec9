"""The guard: every definition that a server lists, its instructions, and one verdict on all of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.list_digest import digest_of_list
from guardsvc.guards.native.lists import LIST_PHASES, indexes_of, member_of, refuse_entries
from guardsvc.guards.native.tool_poisoning.across import RULE
from guardsvc.guards.native.tool_poisoning.custom import CustomRules, custom_id
from guardsvc.guards.native.tool_poisoning.judge import RANKS, Judge
from guardsvc.guards.native.tool_poisoning.pack import Pack, load_pack
from guardsvc.guards.native.tool_poisoning.pages import FIRST
from guardsvc.guards.native.tool_poisoning.settings import ToolPoisoningSettings
from guardsvc.guards.native.tool_poisoning.siblings import Siblings
from guardsvc.guards.native.tool_poisoning.texts import FIELDS, Field
from guardsvc.guards.native.tool_poisoning.together import Found, Together, definitions_of
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
)
from guardsvc.state.pins import PinKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["CODE", "MAX_FINDINGS", "MESSAGE", "MORE", "TOOL_POISONING", "WEIGHTS", "ToolPoisoning"]

CODE = "tool_poisoning_detected"
MESSAGE = "A definition of the server carries instructions or hides text."
MAX_FINDINGS = 256
"""Findings of one list that are reported; the verdict is made of all."""
MORE = "more_findings"
"""Rule of the finding that stands for those which are not reported."""

WEIGHTS = {Severity.INFO: 0.0, Severity.LOW: 0.2, Severity.MEDIUM: 0.4, Severity.HIGH: 0.9, Severity.CRITICAL: 0.98}
"""How sure a finding is that the tool attacks."""

_ENCODER = msgspec.json.Encoder()
_MERGED = b"merged"
_FINDING = 512
"""Bytes of memory that a remembered finding takes."""
_INSTRUCTIONS = "instructions"
_DESCRIPTION = "/description"
_META = "_meta"
_KINDS = {member_of(kind)[0]: kind for kind in (PinKind.TOOL, PinKind.PROMPT, PinKind.RESOURCE, PinKind.TEMPLATE)}
"""What a member of a payload lists."""


class ToolPoisoning:
    """The guard; see ``ToolPoisoningSettings``."""

    def __init__(self, settings: ToolPoisoningSettings, context: GuardContext) -> None:
        self._settings = settings
        pack = load_pack()
        rules = {rule.id for rule in pack.rules} | {MORE}
        _check_disabled(settings.disabled_rules, rules - {MORE})
        if not settings.builtin_rules and not settings.patterns:
            raise SettingsError(("builtin_rules",), "without the built-in rules there must be custom_patterns")
        self._members = _members(settings.scan_fields)
        self._others = Field.META in settings.scan_fields
        self._custom = CustomRules(settings.patterns, rules)
        disabled = settings.disabled_rules if settings.builtin_rules else rules
        self._judge = Judge(pack, self._custom, disabled)
        self._together = None if RULE in disabled else Together(pack, frozenset(rules - set(disabled)), context)
        fingerprint = _fingerprint(pack, settings)
        self._lists = DigestCache[Verdict](settings.cache_entries // 16, fingerprint)
        self._tools = DigestCache[tuple[Finding, ...]](settings.cache_entries, fingerprint)

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Judge the definitions of a list, and what a server tells of its use; what is neither has none."""
        del facts
        if operation.direction is not Direction.RESPONSE or type(operation.payload) is not dict:
            return ALLOW
        merged = operation.server is None
        verdicts = [
            self._judge_list(operation, definitions, member, merged=merged)
            for member, definitions in _shown(operation.payload)
        ]
        verdict = verdicts[0] if len(verdicts) == 1 else self._joined(verdicts)
        return self._refuse(operation, verdict) if isinstance(verdict, Deny) else verdict

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says of the list if these of its findings are all there is."""
        by_tool: dict[str, list[Finding]] = {}
        for finding in findings:
            by_tool.setdefault(_entry(finding) if finding.where else MORE, []).append(finding)
        verdict = self._verdict(findings, sum(map(self._denies, by_tool.values())))
        return self._refuse(operation, verdict) if isinstance(verdict, Deny) else verdict

    def _refuse(self, operation: Operation, verdict: Deny) -> Verdict:
        """The denial, or the list without the tools that it is for, where the settings say so."""
        by_tool: dict[str, list[Finding]] = {}
        for finding in verdict.findings:
            by_tool.setdefault(_entry(finding), []).append(finding)
        denying = [found[0] for found in by_tool.values() if self._denies(found)]
        members = {finding.where.split("/", 2)[1] for finding in denying if finding.where}
        member = members.pop() if len(members) == 1 else ""
        kind = _KINDS.get(member)
        whole = (
            MORE in {finding.rule for finding in verdict.findings} or type(operation.payload.get(member)) is not list
        )
        refused = refuse_entries(
            operation,
            kind,
            set() if whole or kind is None else indexes_of(denying, kind),
            verdict.findings,
            on_finding=self._settings.on_finding,
            code=verdict.code,
            details=verdict.details,
        )
        return verdict if isinstance(refused, Deny) else refused

    def _joined(self, verdicts: list[Verdict]) -> Verdict:
        """One verdict on everything that an answer lists."""
        told = [verdict for verdict in verdicts if isinstance(verdict, Allow | Deny)]
        denied = sum(verdict.details["poisoned"] for verdict in told if isinstance(verdict, Deny))
        return self._verdict(tuple(finding for verdict in told for finding in verdict.findings), denied)

    def _judge_list(self, operation: Operation, tools: list[Any], member: str, *, merged: bool) -> Verdict:
        before = FIRST if self._together is None else self._together.pages.before(operation, member)
        if self._together is not None and (before.digest or "nextCursor" in operation.payload):
            self._together.pages.turn(operation, member, self._select(tools), before)
        digest = self._digest_of_whole(operation, member)
        if digest is not None and before.digest:
            digest = self._lists.digest(digest, before.digest)
        known = None if digest is None else self._lists.get(digest)
        if known is not None:
            return known
        if not self._settings.builtin_rules and not self._custom.possible(self._values(tools)):
            return ALLOW
        selected = self._select(tools)
        lines = _encode_lines(selected)
        if digest is None and lines is not None and self._settings.cache_entries:
            of = "\n".join((member, *operation.servers)) if merged else member
            of_list = of.encode("utf-8", "replace") + (_MERGED if merged else b"")
            digest = self._lists.digest(lines, of_list + b"\0" + before.digest)
            known = self._lists.get(digest)
        if known is not None:
            return known
        definitions: Sequence[bytes | None]
        definitions = [_encode(tool) for tool in selected] if lines is None else lines.split(b"\n")[:-1]
        found = self._findings(selected, definitions, merged=merged)
        if self._together is not None and len(selected) + len(before.definitions) > 1:
            shown = definitions_of(selected, definitions)
            found = self._together.findings(operation, _KINDS.get(member), shown, found, before)
        verdict = self._conclude(found, member)
        if digest is not None:
            self._lists.put(digest, verdict, len(verdict.findings) * _FINDING)
        return verdict

    def _digest_of_whole(self, operation: Operation, member: str) -> bytes | None:
        """The digest of a list that other guards know it by, too; None where that is not what is scanned."""
        kind = _KINDS.get(member)
        if self._members is not None or kind is None or not self._settings.cache_entries:
            return None
        if type(operation.payload[member]) is not list:
            return None
        try:
            return digest_of_list(operation, kind) + (_MERGED if operation.server is None else b"")
        except (ValueError, RecursionError):
            return None

    def _select(self, tools: list[Any]) -> list[Any]:
        if self._members is None:
            return tools
        if self._others:
            return [
                {member: value for member, value in tool.items() if member in self._members or member not in FIELDS}
                if type(tool) is dict
                else tool
                for tool in tools
            ]
        return [
            {member: tool[member] for member in self._members if member in tool} if type(tool) is dict else tool
            for tool in tools
        ]

    def _values(self, tools: list[Any]) -> list[Any]:
        """What is scanned of some tools; where it is a few members, without making definitions of these."""
        if self._members is None or self._others:
            return self._select(tools)
        values = [tool[member] for tool in tools if type(tool) is dict for member in self._members if member in tool]
        return values + [tool for tool in tools if type(tool) is not dict]

    def _findings(self, tools: list[Any], definitions: Sequence[bytes | None], *, merged: bool) -> list[Found]:
        """Findings of the tools that have any, with the index of the tool."""
        known = None
        names = _MERGED
        if not merged and len(tools) > 1:
            listed = frozenset(_names(tools))
            known = Siblings(listed)
            # One digest for all: what is hashed for each tool must not grow with the list.
            names = hashlib.sha256("\n".join(sorted(listed)).encode("utf-8", "replace")).digest()
        custom = self._custom.possible(tools)
        caching = self._settings.cache_entries > 0
        found: list[Found] = []
        looks = self._judge.look(tools, definitions)
        for index, (tool, definition, look) in enumerate(zip(tools, definitions, looks, strict=True)):
            if not look and not custom:
                continue
            digest = self._tools.digest(definition, names) if caching and definition is not None else None
            findings = None if digest is None else self._tools.get(digest)
            if findings is None:
                findings = self._judge.findings(tool, look, known, custom=custom)
                if digest is not None:
                    self._tools.put(digest, findings, len(findings) * _FINDING)
            if findings:
                found.append((index, findings))
        return found

    def _conclude(self, found: Iterable[Found], member: str) -> Verdict:
        denying: list[Finding] = []
        others: list[Finding] = []
        denied = 0
        for index, findings in found:
            denies = self._denies(findings)
            if not denies and _score(findings) < self._settings.review_threshold:
                continue
            denied += denies
            (denying if denies else others).extend(_placed(finding, member, index) for finding in findings)
        return self._verdict(_limited(denying, others), denied)

    def _denies(self, findings: Collection[Finding]) -> bool:
        """Whether the findings of one tool deny the list."""
        alerts = sum(RANKS[finding.severity] >= RANKS[Severity.MEDIUM] for finding in findings)
        limit = 1 if self._settings.strict_mode else self._settings.alert_threshold
        return alerts >= limit or _score(findings) >= self._settings.block_threshold

    def _verdict(self, findings: tuple[Finding, ...], denied: int) -> Verdict:
        if denied:
            return Deny(code=CODE, message=MESSAGE, details={"poisoned": denied}, findings=findings)
        return Allow(findings=findings) if findings else ALLOW


def _limited(denying: list[Finding], others: list[Finding]) -> tuple[Finding, ...]:
    """The findings to report, those of denied tools and the worst first.

    Where some are left out, a finding of its own says so. It is as bad as they are together, so that who sets
    the reported ones aside has not set these aside.
    """
    denying.sort(key=lambda finding: -RANKS[finding.severity])
    others.sort(key=lambda finding: -RANKS[finding.severity])
    findings = (*denying, *others)
    left = findings[MAX_FINDINGS:]
    if not left:
        return findings
    severity = Severity.CRITICAL if len(denying) > MAX_FINDINGS else left[0].severity
    excerpt = f"{len(left)} more findings are not reported"
    return (*findings[:MAX_FINDINGS], Finding(rule=MORE, severity=severity, excerpt=excerpt))


def _score(findings: Collection[Finding]) -> float:
    """Noisy-or: the chance that at least one of the findings is right, if they were independent."""
    innocent = 1.0
    for finding in findings:
        innocent *= 1.0 - WEIGHTS[finding.severity]
    return 1.0 - innocent


def _shown(payload: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """What a payload defines, by member."""
    shown = [(member, payload[member]) for member in _KINDS if payload.get(member)]
    found = [(member, listed if type(listed) is list else [listed]) for member, listed in shown]
    instructions = payload.get(_INSTRUCTIONS)
    if instructions:
        found.append((_INSTRUCTIONS, [{"description": instructions}]))
    if payload.get(_META):
        found.append((_META, [{_META: payload[_META]}]))
    return found


def _placed(finding: Finding, member: str, index: int) -> Finding:
    inside = finding.where
    if member == _META:
        where = inside
    elif member == _INSTRUCTIONS:
        where = f"/{member}{inside.removeprefix(_DESCRIPTION)}"
    else:
        where = f"/{member}/{index}{inside}"
    return msgspec.structs.replace(finding, where=where)


def _entry(finding: Finding) -> str:
    """Where the definition is that a finding leads into."""
    return "/".join(finding.where.split("/", 3)[:3])


def _encode(value: Any) -> bytes | None:
    """JSON of a value; None where it has something that JSON has not, such as half of a surrogate pair."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None


def _encode_lines(values: list[Any]) -> bytes | None:
    """JSON of some values, a line each; None where ``_encode`` gives None for any."""
    try:
        return _ENCODER.encode_lines(values)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None


def _names(tools: Iterable[Any]) -> Iterable[str]:
    return (tool["name"] for tool in tools if type(tool) is dict and type(tool.get("name")) is str)


def _members(fields: Collection[Field]) -> tuple[str, ...] | None:
    """The members of a tool that are scanned, or None for all."""
    return None if set(fields) == set(Field) else tuple(name for name, field in FIELDS.items() if field in fields)


def _check_disabled(disabled: Iterable[str], rules: Collection[str]) -> None:
    for index, rule in enumerate(disabled):
        if rule not in rules:
            raise SettingsError(("disabled_rules", index), f'"{rule}" is not one of {", ".join(sorted(rules))}')


def _fingerprint(pack: Pack, settings: ToolPoisoningSettings) -> bytes:
    """What findings depend on besides the text."""
    rules = [(rule.id, rule.threats, rule.severity, rule.combinations) for rule in pack.rules]
    parts = (
        _ENCODER.encode([signal.pattern for signal in pack.signals]),
        repr(rules).encode(),
        settings.model_dump_json().encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).digest()


def _rules(settings: ToolPoisoningSettings) -> frozenset[str]:
    """Ids of the rules that a guard of these settings has."""
    custom = {given.id or custom_id(index) for index, given in enumerate(settings.patterns)}
    builtin = {rule.id for rule in load_pack().rules} if settings.builtin_rules else set()
    return frozenset(custom | (builtin - set(settings.disabled_rules)) | {MORE})


TOOL_POISONING = GuardType(
    name="tool_poisoning",
    settings=ToolPoisoningSettings,
    build=ToolPoisoning,
    runs_on=frozenset({*LIST_PHASES, Phase.CONNECTION}),
    code=CODE,
    rules=_rules,
    summary="Refuses lists and instructions of servers that give the model orders or hide text.",
)
