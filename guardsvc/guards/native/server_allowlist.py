"""``server_allowlist``: servers that are not the ones they are taken for, by the names they give themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.names import is_near, is_near_host
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
    Operation,
    Phase,
    Settings,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["SERVER_ALLOWLIST", "ServerAllowlist", "ServerAllowlistSettings"]

CODE = "server_not_allowed"
_INFO = "serverInfo"
_META_INFO = "io.modelcontextprotocol/serverInfo"
"""The member of ``_meta`` that takes its place since 2026-07-28."""
_THREATS = ("SAF-T1003", "SAF-T1004", "MCP09")
RULES: Mapping[str, Severity] = {
    "lookalike_host": Severity.HIGH,
    "unlisted_host": Severity.MEDIUM,
    "lookalike_name": Severity.HIGH,
    "foreign_name": Severity.HIGH,
    "unlisted_name": Severity.MEDIUM,
    "missing_name": Severity.LOW,
}
"""Severity of the findings, by rule."""
_RANKS = {severity: rank for rank, severity in enumerate(Severity)}

Name = Annotated[str, Field(min_length=1, max_length=256)]


class ServerAllowlistSettings(Settings):
    """Which servers there are, and what becomes of others."""

    names: dict[Name, tuple[Name, ...]] = Field(
        default={},
        description="What each server of the policy calls itself (`serverInfo.name`), as globs, by canonical name. One "
        "that is not listed here may call itself anything but what another one is called.",
    )
    hosts: tuple[Name, ...] = Field(
        default=(), description="Further hosts, as globs, beside those that `policy.servers` lists."
    )
    deny_from: Literal["low", "medium", "high", "never"] = Field(
        default="high", description="Severity from which on a finding denies; `never` only reports."
    )


class ServerAllowlist:
    """The guard; see ``ServerAllowlistSettings``."""

    def __init__(self, settings: ServerAllowlistSettings, context: GuardContext) -> None:
        for server in settings.names:
            if server not in context.servers:
                legal = ", ".join(sorted(context.servers)) or "none, since the policy declares no servers"
                raise SettingsError(("names", server), f'"{server}" is no server; declared are: {legal}')
        self._names = {server: Globs(names) for server, names in settings.names.items()}
        self._own = {server: _literals((server, *settings.names.get(server, ()))) for server in context.servers}
        hosts = [*settings.hosts, *(host for named in context.names.values() for host in named.hosts)]
        self._hosts = Globs(host.lower() for host in hosts)
        self._literal_hosts = _literals(host.lower() for host in hosts)
        self._denies = frozenset(
            rule
            for rule, severity in RULES.items()
            if settings.deny_from != "never" and _RANKS[severity] >= _RANKS[Severity(settings.deny_from)]
        )

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Hold the host of a request, and the name that a server gives itself, against those that are known."""
        del facts
        if operation.direction is Direction.REQUEST:
            finding = self._of_host(operation)
        elif operation.kind is Kind.RESULT and operation.phase is Phase.CONNECTION:
            finding = self._of_name(operation)
        else:
            return ALLOW
        if finding is None:
            return ALLOW
        findings = (finding,)
        if finding.rule not in self._denies:
            return Allow(findings=findings)
        return Deny(code=CODE, message=reason_for(CODE).text, findings=findings)

    def _of_host(self, operation: Operation) -> Finding | None:
        """What is wrong with the host of a request for a server that the policy does not know."""
        if operation.servers or not self._hosts.patterns:
            return None
        host = operation.headers.get(":authority") or operation.headers.get("host") or ""
        name = _without_port(host)
        if not name or self._hosts.match(name):
            return None
        rule = "lookalike_host" if any(is_near_host(name, known) for known in self._literal_hosts) else "unlisted_host"
        return _finding(rule, "", name)

    def _of_name(self, operation: Operation) -> Finding | None:
        payload, server = operation.payload, operation.server
        if type(payload) is not dict or server is None:
            return None
        names = list(_stated_names(payload))
        if not names:
            return _finding("missing_name", "", "") if server in self._names else None
        found = (self._of_stated(server, name, where) for where, name in names)
        return next((finding for finding in found if finding is not None), None)

    def _of_stated(self, server: str, name: str, where: str) -> Finding | None:
        allowed = self._names.get(server)
        if allowed is not None and allowed.match(name):
            return None
        others = [(other, own) for other, named in self._own.items() if other != server for own in named]
        if any(name == own for _, own in others) and name not in self._own.get(server, ()):
            return _finding("foreign_name", where, name)
        if allowed is None:
            near = any(is_near(name, own) for _, own in others) and name not in self._own.get(server, ())
            return _finding("lookalike_name", where, name) if near else None
        near = any(is_near(name, own) for named in self._own.values() for own in named)
        return _finding("lookalike_name" if near else "unlisted_name", where, name)


def _stated_names(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a server says what it is called, and what."""
    meta = payload.get("_meta")
    places = [(f"/{_INFO}/name", payload.get(_INFO))]
    if type(meta) is dict:
        places.append((f"/_meta/{_META_INFO.replace('/', '~1')}/name", meta.get(_META_INFO)))
    for where, info in places:
        name = info.get("name") if type(info) is dict else None
        if type(name) is str and name:
            yield where, name


def _literals(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if "*" not in name))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and (not port or port.isdigit()) else host).lower().removesuffix(".")


def _finding(rule: str, where: str, told: str) -> Finding:
    return Finding(rule=rule, severity=RULES[rule], where=where, threats=_THREATS, excerpt=excerpt(told))


SERVER_ALLOWLIST = GuardType(
    name="server_allowlist",
    settings=ServerAllowlistSettings,
    build=ServerAllowlist,
    runs_on=frozenset({Phase.CONNECTION}),
    code=CODE,
    rules=lambda _: frozenset(RULES),
    summary="Refuses servers that are called like others, and hosts that look like those of the policy.",
)
