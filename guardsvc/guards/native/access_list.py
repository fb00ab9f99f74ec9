"""``access_list``: who may do what, as an ordered list of rules of which the first that matches decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from pydantic import Field

from guardsvc.guards.native.lists import (
    LIST_PHASES,
    Prefixes,
    entries_of,
    listing_kinds,
    member_of,
    private,
    without,
)
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
    Kind,
    Modify,
    Operation,
    Phase,
    Settings,
    SettingsError,
    Severity,
    SubjectKind,
    Verdict,
    reason_for,
)
from guardsvc.state.pins import PinKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ACCESS_LIST", "AccessList", "AccessListSettings", "Rule"]

Action = Literal["allow", "deny"]
Name = Annotated[str, Field(min_length=1, max_length=1024)]

CLIENT_RESULT = "client/result"
"""Stands in rules for a client's answer to a server request, which carries no method."""

METHOD_GROUPS = {
    "@lifecycle": (
        "initialize",
        "server/discover",
        "ping",
        "notifications/initialized",
        "notifications/cancelled",
        "http/get_stream",
        "http/session_end",
        "http/well_known",
        "http/preflight",
    ),
    "@list": ("tools/list", "prompts/list", "resources/list", "resources/templates/list"),
}
_CALLS = {
    PinKind.TOOL: ("tools/call", Phase.TOOL_INVOKE),
    PinKind.PROMPT: ("prompts/get", Phase.PROMPT_GET),
    PinKind.RESOURCE: ("resources/read", Phase.RESOURCE_READ),
    PinKind.TEMPLATE: ("resources/read", Phase.RESOURCE_READ),
}
"""What an entry of a list is for, by its kind."""
_MAX_TOLD = 64
"""Entries taken out of one list that findings tell of."""


class Rule(Settings):
    """One rule. Each list is of globs (``*`` is any run of characters), and any of them may match.

    All criteria that are given must match; tools, resources and prompts count as one.
    """

    action: Action = Field(description="What becomes of an operation that the rule matches.")
    id: Name | None = Field(default=None, description="Name of the rule in findings; `rules[N]` by default.")
    tenants: tuple[Name, ...] | None = Field(default=None, min_length=1, description="Tenants.")
    principals: tuple[Name, ...] | None = Field(default=None, min_length=1, description="Principals.")
    verified: bool | None = Field(default=None, description="Whether the gateway proved the caller's identity.")
    servers: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Servers. Where an operation reaches several, a rule that allows matches if all "
        "of them do, one that denies if any does.",
    )
    methods: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Methods, `client/result` for answers to server requests, or a group: "
        + ", ".join(f"`{group}` ({', '.join(members)})" for group, members in METHOD_GROUPS.items())
        + ".",
    )
    tools: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Tools, as their server names them. A rule with tools, resources or prompts matches "
        "operations on one of those only.",
    )
    resources: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Resource URIs, compared as they are sent."
    )
    prompts: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Prompts, as their server names them."
    )


class AccessListSettings(Settings):
    """Rules, and what holds where none matches."""

    default: Action = Field(description="What becomes of an operation that no rule matches.")
    unknown_server: Action = Field(
        default="deny", description="`deny` refuses every operation for a server the policy does not declare."
    )
    rules: tuple[Rule, ...] = Field(default=(), description="The rules; the first that matches decides.")
    filter_lists: bool = Field(
        default=True,
        description="Take out of lists what the caller may not call, get or read. A gateway protocol that cannot "
        "carry a changed list denies it.",
    )


class AccessList:
    """The guard; see ``AccessListSettings``."""

    def __init__(self, settings: AccessListSettings, context: GuardContext) -> None:
        self._deny_unknown = settings.unknown_server == "deny"
        self._rules = tuple(_compile(rule, index, context) for index, rule in enumerate(settings.rules))
        self._default = _verdict(settings.default, "default")
        self._unknown = _denial("unknown_server", "unknown_server")
        self._prefixes = Prefixes(context)
        self._filters = settings.filter_lists and (
            settings.default == "deny" or self._deny_unknown or any(rule.action == "deny" for rule in settings.rules)
        )
        self._per_caller = any(
            rule.tenants is not None or rule.principals is not None or rule.verified is not None
            for rule in settings.rules
        )

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """The verdict of the first rule that matches; of a list that no rule refuses, what the caller may use of it."""
        del facts
        if operation.direction is Direction.RESPONSE and operation.phase in LIST_PHASES:
            verdict = self._ruled(operation, None)
            if isinstance(verdict, Deny):
                return verdict
            return self._filtered(operation) if self._filters else ALLOW
        return self._judged(operation, operation.subject_kind)

    def _judged(self, operation: Operation, kind: SubjectKind | None) -> Verdict:
        if self._deny_unknown and not operation.servers:
            return self._unknown
        return self._ruled(operation, kind) or self._default

    def _ruled(self, operation: Operation, kind: SubjectKind | None) -> Verdict | None:
        for rule in self._rules:
            if rule.matches(operation, kind):
                return rule.verdict
        return None

    def _filtered(self, operation: Operation) -> Verdict:
        """The list as the caller may see it: without what would be refused.

        Where it depends on the caller it is a private one, whether or not anything was taken out of this one.
        """
        payload = operation.payload
        findings: list[Finding] = []
        for kind in listing_kinds(operation):
            hidden = self._hidden(operation, kind)
            if hidden:
                member = member_of(kind)[0]
                payload = without(payload, member, hidden)
                for index, rule in list(hidden.items())[: _MAX_TOLD - len(findings)]:
                    findings.append(Finding(rule=rule, severity=Severity.INFO, where=f"/{member}/{index}"))
            elif self._per_caller:
                payload = private(payload)
        return ALLOW if payload is operation.payload else Modify(payload=payload, findings=tuple(findings))

    def _hidden(self, operation: Operation, kind: PinKind) -> dict[int, str]:
        """Rules that refuse a call of an entry, by its index. What has no name cannot be called."""
        method, phase = _CALLS[kind]
        subject = SubjectKind(kind) if kind is not PinKind.TEMPLATE else SubjectKind.RESOURCE
        call = msgspec.structs.replace(
            operation, direction=Direction.REQUEST, phase=phase, kind=Kind.REQUEST, method=method, payload=None
        )
        hidden: dict[int, str] = {}
        for entry in entries_of(operation, kind, self._prefixes):
            if entry.name is None:
                continue
            of_entry = msgspec.structs.replace(call, server=entry.server, servers=entry.servers, subject=entry.name)
            verdict = self._judged(of_entry, subject)
            if isinstance(verdict, Deny):
                hidden[entry.index] = verdict.findings[0].rule
        return hidden


class _CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    verdict: Verdict
    allows: bool
    verified: bool | None
    tenants: Globs | None
    principals: Globs | None
    servers: Globs | None
    methods: Globs | None
    subjects: dict[SubjectKind, Globs]

    def matches(self, operation: Operation, kind: SubjectKind | None) -> bool:
        caller = operation.caller
        return (
            (self.methods is None or self.methods.match(_method(operation)))
            and (self.servers is None or self._covers(operation.servers))
            and (self.tenants is None or self.tenants.match(caller.tenant))
            and (self.principals is None or self.principals.match(caller.principal))
            and (self.verified is None or self.verified is caller.verified)
            and (not self.subjects or self._names(operation.subject, kind))
        )

    def _names(self, subject: str | None, kind: SubjectKind | None) -> bool:
        names = None if kind is None else self.subjects.get(kind)
        return names is not None and names.match(subject)

    def _covers(self, servers: tuple[str, ...]) -> bool:
        if self.servers is None:
            return True
        matched = map(self.servers.match, servers)
        return bool(servers) and (all(matched) if self.allows else any(matched))


def _compile(rule: Rule, index: int, context: GuardContext) -> _CompiledRule:
    _check_servers(rule.servers or (), index, context)
    subjects: tuple[tuple[SubjectKind, tuple[str, ...] | None], ...] = (
        (SubjectKind.TOOL, rule.tools),
        (SubjectKind.RESOURCE, rule.resources),
        (SubjectKind.PROMPT, rule.prompts),
    )
    return _CompiledRule(
        verdict=_verdict(rule.action, rule.id or f"rules[{index}]"),
        allows=rule.action == "allow",
        verified=rule.verified,
        tenants=_globs(rule.tenants),
        principals=_globs(rule.principals),
        servers=_globs(rule.servers),
        methods=None if rule.methods is None else Globs(_methods(rule.methods, index)),
        subjects={kind: Globs(names) for kind, names in subjects if names is not None},
    )


def _method(operation: Operation) -> str:
    """The method as rules name it. Of a server's answer that nothing correlates it is not known."""
    if operation.method or operation.direction is Direction.RESPONSE:
        return operation.method
    return CLIENT_RESULT


def _globs(names: Sequence[str] | None) -> Globs | None:
    return None if names is None else Globs(names)


def _methods(names: Iterable[str], index: int) -> Iterable[str]:
    for position, name in enumerate(names):
        if not name.startswith("@"):
            yield name
        elif name in METHOD_GROUPS:
            yield from METHOD_GROUPS[name]
        else:
            raise SettingsError(
                ("rules", index, "methods", position), f'"{name}" is not one of {", ".join(METHOD_GROUPS)}'
            )


def _check_servers(patterns: Sequence[str], index: int, context: GuardContext) -> None:
    for position, pattern in enumerate(patterns):
        if not any(map(Globs((pattern,)).match, context.servers)):
            legal = ", ".join(sorted(context.servers)) or "none, since the policy declares no servers"
            raise SettingsError(
                ("rules", index, "servers", position), f'"{pattern}" matches no server; declared are: {legal}'
            )


def _rule_ids(settings: AccessListSettings) -> list[str]:
    """Ids of the rules, and of what holds where none matches."""
    unknown = ["unknown_server"] if settings.unknown_server == "deny" else []
    return [*(rule.id or f"rules[{index}]" for index, rule in enumerate(settings.rules)), "default", *unknown]


def _verdict(action: Action, rule: str) -> Verdict:
    return Allow(findings=_findings(rule)) if action == "allow" else _denial("access_denied", rule)


def _denial(code: str, rule: str) -> Deny:
    return Deny(code=code, message=reason_for(code).text, findings=_findings(rule))


def _findings(rule: str) -> tuple[Finding, ...]:
    return (Finding(rule=rule, severity=Severity.INFO),)


ACCESS_LIST = GuardType(
    name="access_list",
    settings=AccessListSettings,
    build=AccessList,
    runs_on=frozenset({Direction.REQUEST, *LIST_PHASES}),
    suppressible=False,
    rules=_rule_ids,
    summary="Allows or denies by tenant, principal, server, method, tool, resource and prompt, and filters lists.",
)
