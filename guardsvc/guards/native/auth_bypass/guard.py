"""The guard: everything about a request that would get it past authentication or authorization."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.auth_bypass.authorization import AuthorizationCheck
from guardsvc.guards.native.auth_bypass.fields import SESSION_HEADER, FieldCheck
from guardsvc.guards.native.auth_bypass.origin import OriginCheck
from guardsvc.guards.native.auth_bypass.paths import PathCheck
from guardsvc.guards.native.auth_bypass.rules import DETECTED, RULES, found
from guardsvc.guards.native.auth_bypass.settings import MEMORY, AuthBypassSettings, SessionSettings
from guardsvc.guards.native.auth_bypass.tokens import tokens_in_arguments
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
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)
from guardsvc.state import SESSION_OWNER, Ownership, SessionFact, SessionNeed, SessionStore, UrlError, check_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AUTH_BYPASS", "AuthBypass"]

_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_encode = msgspec.json.Encoder().encode


class AuthBypass:
    """The guard; see ``AuthBypassSettings``."""

    def __init__(self, settings: AuthBypassSettings, context: GuardContext) -> None:
        self._fields = FieldCheck(settings.identity_headers, settings.set_by_gateway, settings.override_headers)
        self._authorization = AuthorizationCheck(settings.authorization, settings.jwt)
        self._origin = OriginCheck(settings.origins, settings.hosts)
        self._paths = PathCheck(settings.paths, settings.token_parameters)
        self._token_tools = Globs(settings.token_tools)
        self._schemas = context.input_schemas
        self._store = None if settings.sessions is None else _store(settings.sessions, context)

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """Whose the session is, where the request names one."""
        if self._store is None or _is_answered_with_its_call(operation):
            return {}
        session = operation.headers.get(SESSION_HEADER)
        if session is None:
            return {}
        caller = operation.caller
        owner = _digest([caller.tenant, caller.principal]) if caller.verified and caller.principal else None
        return {SESSION_OWNER: SessionNeed(store=self._store, session=_digest(session), owner=owner)}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Look at the HTTP request as far as the gateway shows it, then at the arguments."""
        if operation.direction is not Direction.REQUEST:
            return ALLOW
        findings: list[Finding] = []
        if not _is_answered_with_its_call(operation) and (operation.http_method or operation.headers):
            findings += self._fields.findings(operation)
            findings += self._authorization.findings(operation)
            findings += self._origin.findings(operation)
            findings += self._paths.findings(operation.path)
        fact: SessionFact | None = facts.get(SESSION_OWNER)
        if fact is not None:
            findings += _of_session(fact)
        if operation.payload and not self._token_tools.match(operation.subject):
            schema = self._schemas.get((operation.server or "", operation.subject or ""))
            findings += tokens_in_arguments(operation, schema)
        return _verdict(findings) if findings else ALLOW

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the findings that still count amount to."""
        del operation
        return _verdict(findings)


def _is_answered_with_its_call(operation: Operation) -> bool:
    """Whether it is the input that a retry carries, whose HTTP request is judged with the call."""
    return operation.phase is Phase.INPUT_RESPONSE and operation.method != ""


def _verdict(findings: Iterable[Finding]) -> Verdict:
    findings = tuple(findings)
    counting = [finding for finding in findings if RULES[finding.rule].code]
    if not counting:
        return Allow(findings=findings)
    worst = max(counting, key=lambda finding: _RANKS[finding.severity])
    code = RULES[worst.rule].code
    return Deny(code=code, message=reason_for(code).text, findings=findings)


def _of_session(fact: SessionFact) -> tuple[Finding, ...]:
    if fact.ownership is Ownership.OTHER:
        return (found("session_of_other"),)
    return (found("session_not_bound"),) if fact.ownership is Ownership.FULL else ()


def _digest(value: Any) -> str:
    return hashlib.blake2b(_encode(value), digest_size=16).hexdigest()


def _store(settings: SessionSettings, context: GuardContext) -> SessionStore:
    url = None
    if isinstance(settings.storage, str):
        if context.workers > 1 and not settings.per_worker:
            raise SettingsError(
                ("sessions", "per_worker"),
                f"each of the {context.workers} workers would bind sessions for itself: set per_worker: true, or "
                f'storage to the URL of a Redis that they share instead of "{MEMORY}"',
            )
    else:
        url = settings.storage.reveal()
        try:
            check_url(url)
        except UrlError as error:
            raise SettingsError(("sessions", "storage"), str(error)) from None
    return SessionStore(
        url=url,
        ttl=settings.ttl_seconds,
        max_sessions=settings.max_sessions,
        max_per_owner=settings.max_per_principal,
    )


AUTH_BYPASS = GuardType(
    name="auth_bypass",
    settings=AuthBypassSettings,
    build=AuthBypass,
    facts=(SESSION_OWNER,),
    code=DETECTED,
    rules=lambda _: RULES.keys(),
    summary="Refuses requests that try to get around authentication: spoofed identities, unsound tokens, foreign "
    "sessions and origins, path and framing tricks.",
)
