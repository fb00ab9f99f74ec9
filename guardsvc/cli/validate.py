"""``guardsvc validate``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.redacting import EXT_AUTHZ_DENIES, redacts_requests
from guardsvc.config import ConfigError
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import Phase
from guardsvc.policy import points_of
from guardsvc.policy.identity_settings import CertificateSource, JwtSource
from guardsvc.server.configuration import Configuration, load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.policy import BoundGuard, Policy
    from guardsvc.policy.identity_settings import Source
    from guardsvc.server.settings import ServiceSettings

__all__ = ["run_validate"]

_OF_TOOLS = frozenset({Phase.TOOL_INVOKE, Phase.TOOL_RESULT, Phase.INPUT_REQUEST, Phase.INPUT_RESPONSE, Phase.OTHER})
"""Phases in which an operation can be about a tool."""


def run_validate(file: str, *, as_json: bool) -> None:
    """Check the file and say what it amounts to, or every problem of it."""
    try:
        configuration = load_configuration(Path(file))
    except ConfigError as error:
        if as_json:
            problems = [{"path": p.path, "message": p.message, "line": p.line} for p in error.problems]
            print(json.dumps({"valid": False, "source": error.source, "problems": problems}))
        else:
            print(error, file=sys.stderr)
            count = len(error.problems)
            print(f"{file}: {count} problem{'s' * (count != 1)}", file=sys.stderr)
        sys.exit(ExitCode.CONFIGURATION)
    warnings = _warnings(configuration)
    policy = configuration.policy
    if as_json:
        print(
            json.dumps(
                {
                    "valid": True,
                    "source": configuration.source,
                    "policy": {"name": policy.settings.name, "hash": policy.hash},
                    "guards": [bound.id for bound in policy.guards],
                    "warnings": warnings,
                }
            )
        )
        return
    print(f"{file}: valid; policy {policy.settings.name} ({policy.hash}), {len(policy.guards)} guards")
    for warning in warnings:
        print(f"{file}: warning: {warning}")


def _warnings(configuration: Configuration) -> list[str]:
    """What is legal, but seldom meant."""
    policy, warnings = configuration.policy, []
    if not policy.guards:
        warnings.append(f"no guards: every operation is decided by default: {policy.settings.default}")
    elif all(bound.mode == "shadow" for bound in policy.guards) and policy.settings.default == "deny":
        warnings.append("all guards are in shadow mode, so default: deny refuses every operation")
    if policy.settings.default == "allow":
        warnings.append("default: allow lets pass what no guard judged, requests even where the chain itself fails")
    if policy.settings.transport.other == "allow":
        warnings.append("transport.other: allow lets requests of every kind pass unread, a POST outside mcp_paths too")
    if policy.settings.mode == "shadow":
        warnings.append("mode: shadow applies no decision")
    warnings.extend(
        f"guard {bound.id} fails open: when it cannot answer, the operation passes"
        for bound in policy.guards
        if bound.failure_mode == "fail_open"
    )
    warnings.extend(
        f"guard {bound.id} redacts requests: {EXT_AUTHZ_DENIES}"
        for bound in policy.guards
        if redacts_requests(policy, bound)
    )
    warnings.extend(
        f"guard {entry.name} runs whatever is in {entry.settings.module} (allow_unsigned): name its digest"
        for entry in policy.settings.guards
        if entry.enabled and isinstance(entry.settings, WasmSettings) and entry.settings.digest is None
    )
    warnings.extend(
        f"guard {bound.id} never runs: what was loaded judges nothing of its runs_on"
        for bound in policy.guards
        if not bound.points
    )
    warnings.extend(
        f"guard {bound.id} finds nothing there: its runs_on has none of the phases that {bound.type.name} is made for "
        f"({', '.join(sorted(bound.type.runs_on))})"
        for bound in policy.guards
        if bound.points and not bound.points & points_of(bound.type.runs_on)
    )
    warnings.extend(
        f"guard {bound.id} never runs: match.tools covers what tools do, and it judges what servers list"
        for bound in policy.guards
        if bound.points and bound.scope is not None and bound.scope.tools is not None and not _has_tools(bound)
    )
    warnings.extend(_warnings_about_exceptions(policy))
    if policy.settings.identity.require_verified and not any(map(_proves, policy.settings.identity.sources)):
        warnings.append("identity.require_verified: no source proves a principal, so every caller is refused")
    warnings.extend(_warnings_about_peers(configuration.service))
    return warnings


def _proves(source: Source) -> bool:
    """Whether a source can name a principal that counts as proven."""
    return isinstance(source, CertificateSource) or (
        source.principal is not None and (isinstance(source, JwtSource) or source.verified)
    )


def _has_tools(bound: BoundGuard) -> bool:
    """Whether a guard runs where an operation can be about a tool."""
    return any(phase in _OF_TOOLS for _, phase in bound.points)


def _warnings_about_exceptions(policy: Policy) -> Iterator[str]:
    now = time.time()
    for index, entry in enumerate(policy.exceptions):
        where = f"policy.exceptions[{index}]"
        settings = policy.settings.exceptions[index]
        if entry.is_expired(now):
            yield f'{where} has expired at {settings.until}: findings of rule "{settings.rule}" count again'
        guards = [bound for bound in policy.guards if bound.type.suppressible and entry.is_for_guard(bound.id)]
        known = [bound.rules for bound in guards if bound.rules is not None]
        if len(known) == len(guards) and not any(map(entry.rule.match, frozenset().union(*known))):
            yield f'{where} sets nothing aside: no guard that it concerns has a rule "{settings.rule}"'


def _warnings_about_peers(service: ServiceSettings) -> Iterator[str]:
    for name, listener in service.listeners.items():
        where = f"service.listeners.{name} {listener.address}"
        if listener.believed == "any":
            yield f"{where} believes everyone who can reach it: any of them can name any caller"
        if not listener.beyond_this_host:
            continue
        if listener.tls is None:
            yield f"{where} is not loopback and has no TLS: everyone on the way reads and changes calls"
        if listener.believed == "local":
            yield f"{where} is not loopback: what peers on other hosts say of a caller is not believed"
