"""``guardsvc explain``: the chain of a policy for one operation, and what becomes of each guard's failure."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.redacting import EXT_AUTHZ_DENIES, redacts_requests
from guardsvc.config import mask
from guardsvc.engine import fail_matrix
from guardsvc.mcp.revisions import phase_of
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import Caller, Direction, ErrorKind, GatewayProtocol, Kind, Operation, subject_kind
from guardsvc.policy import AmbiguousServerError, Place
from guardsvc.policy.build import ALL_POINTS
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["run_explain"]


def run_explain(
    config: str | None,
    *,
    method: str,
    subject: str | None,
    server: str | None,
    tenant: str | None,
    principal: str | None,
    as_json: bool,
) -> None:
    """Print the chain for a request of this method and subject."""
    policy = load_configuration(None if config is None else Path(config)).policy
    phase = phase_of(method)
    try:
        kind = subject_kind(phase, method, None)
        place = policy.servers.place(server_id=server, host="", kind=kind, subject=subject)
    except AmbiguousServerError:
        print(f'guardsvc: "{subject}" leads to more than one server (ambiguous_server)', file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    operation = Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.REQUEST,
        phase=phase,
        kind=Kind.TRANSPORT if method in set(TransportKind) else Kind.REQUEST,
        method=method,
        server=place.server,
        servers=place.servers,
        subject=place.subject,
        caller=Caller(tenant=tenant, principal=principal),
    )
    described = _describe(policy, operation, place)
    if as_json:
        print(json.dumps(described, default=str))
    else:
        _print(described)


def _describe(policy: Policy, operation: Operation, place: Place) -> dict[str, Any]:
    matrix = fail_matrix(policy.guards)
    ordered = sorted(policy.guards, key=lambda bound: (bound.priority, not bound.inline))
    return {
        "policy": {
            "name": policy.settings.name,
            "hash": policy.hash,
            "mode": policy.settings.mode,
            "default": policy.settings.default,
            "deadline_ms": policy.settings.deadline_ms,
        },
        "operation": {
            "method": operation.method,
            "phase": operation.phase,
            "server": place.server,
            "servers": place.servers,
            "subject": place.subject,
        },
        "guards": [
            {
                "guard": bound.id,
                "type": bound.type.name,
                "tier": bound.type.tier,
                "priority": bound.priority,
                "mode": bound.mode,
                "runs": (reason := _why_not(bound, operation)) is None,
                "why_not": reason,
                "timeout_ms": round(bound.at(operation.direction).timeout * 1000, 3),
                "failure_mode": bound.failure_mode,
                "on_failure": matrix[bound.id],
                "settings": mask(_entry(policy, bound).settings),
                "loaded": dict(getattr(bound.guard, "described", {})),
                "rules": dict(bound.actions),
                "warning": f"redacts: {EXT_AUTHZ_DENIES}" if redacts_requests(policy, bound) else None,
                "exceptions": [] if bound.exceptions is None else [entry.id for entry in bound.exceptions.entries],
            }
            for bound in ordered
        ],
    }


def _entry(policy: Policy, bound: BoundGuard) -> Any:
    return next(entry for entry in policy.settings.guards if entry.name == bound.id)


def _why_not(bound: BoundGuard, operation: Operation) -> str | None:
    if (operation.direction, operation.phase) not in bound.points:
        if (operation.direction, operation.phase) not in getattr(bound.guard, "points", ALL_POINTS):
            return f"what was loaded has nothing that judges {operation.phase}"
        return f"runs_on does not hold {operation.phase}"
    if bound.scope is not None and not bound.scope.covers(operation):
        return "match does not cover the operation"
    if bound.window is not None and not bound.window.open_at(time.time()):
        return "outside its active window"
    return None


def _print(described: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    policy, operation = described["policy"], described["operation"]
    console.print(
        f"policy     {policy['name']} ({policy['hash']}), mode {policy['mode']}, default {policy['default']}, "
        f"deadline {policy['deadline_ms']:g} ms"
    )
    subject = f" {operation['subject']}" if operation["subject"] else ""
    server = operation["server"] or ", ".join(operation["servers"]) or "unknown"
    console.print(f"operation  {operation['method']}{subject}, phase {operation['phase']}, server {server}")
    for guard in described["guards"]:
        runs = "runs" if guard["runs"] else f"does not run: {guard['why_not']}"
        console.print(
            f"\n{guard['priority']:>5}  {guard['guard']} ({guard['tier']} {guard['type']}) {guard['mode']}, {runs}\n"
            f"       timeout {guard['timeout_ms']:g} ms, {guard['failure_mode']}"
        )
        console.print(f"       settings {json.dumps(_given(guard['settings']))}")
        if guard["loaded"]:
            console.print(f"       loaded {json.dumps(guard['loaded'])}")
        if guard["rules"]:
            told = ", ".join(f"{rule}: {action}" for rule, action in guard["rules"].items())
            console.print(f"       actions of rules {told}")
        if guard["warning"]:
            console.print(f"       {guard['warning']}")
        if guard["exceptions"]:
            console.print(f"       exceptions {', '.join(guard['exceptions'])}")
    if described["guards"]:
        console.print("\nfail matrix: what becomes of a guard that cannot answer, in every phase")
    for outcomes, guards in _alike(described["guards"]).items():
        console.print(f"  {', '.join(guards)}")
        for kind, outcome in zip(ErrorKind, outcomes, strict=True):
            console.print(f"    {kind.value:<17}  {outcome}")
    if not any(guard["runs"] and guard["mode"] == "enforce" for guard in described["guards"]):
        console.print(f"\nNo enforcing guard judges this operation: the default decides, {policy['default']}.")


def _alike(guards: list[dict[str, Any]]) -> dict[tuple[str, ...], list[str]]:
    """The guards by what becomes of each kind of failure: a column for each would not fit on any screen."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for guard in guards:
        alike.setdefault(tuple(guard["on_failure"][kind] for kind in ErrorKind), []).append(guard["guard"])
    return alike


def _given(value: Any) -> Any:
    """Settings without what was left open."""
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value
