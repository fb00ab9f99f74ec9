"""Joins the ``policy`` section of a configuration with the guard registry into a policy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, create_model

from guardsvc.config import give_way, mask
from guardsvc.mcp import InterpretationRules
from guardsvc.mcp.strict_json import Limits
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import (
    PHASES,
    REQUEST_PHASES,
    RESPONSE_PHASES,
    Direction,
    Globs,
    GuardContext,
    GuardType,
    Phase,
    ServerNames,
    SettingsError,
    Tier,
)
from guardsvc.policy.exceptions import Exceptions, FindingException
from guardsvc.policy.findings import check_actions, check_exceptions
from guardsvc.policy.policy import BoundGuard, Point, Policy
from guardsvc.policy.response_settings import ResponseSettings
from guardsvc.policy.scope import Scope, Window
from guardsvc.policy.servers import ServerTable
from guardsvc.policy.settings import USUAL_MS, GuardEntry, IntegritySettings, PolicySettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.config import Checker

__all__ = ["build_policy", "points_of", "policy_model"]

Path = tuple[str | int, ...]

ALL_POINTS = frozenset((direction, phase) for direction in Direction for phase in PHASES)
PHASES_OF = {Direction.REQUEST: REQUEST_PHASES, Direction.RESPONSE: RESPONSE_PHASES}


def policy_model(registry: Mapping[str, GuardType[Any]]) -> type[PolicySettings]:
    """The model of the ``policy`` section in which each guard type has its own settings."""
    entries = tuple(_entry_model(guard_type) for guard_type in registry.values())
    guard: Any = Annotated[Union[entries], Field(discriminator="type")]  # noqa: UP007
    description = PolicySettings.model_fields["guards"].description
    return create_model(
        "Policy",
        __base__=PolicySettings,
        guards=(tuple[guard, ...], Field(default=(), description=description)),
    )


def _entry_model(guard_type: GuardType[Any]) -> type[GuardEntry]:
    settings = guard_type.settings
    required = any(field.is_required() for field in settings.model_fields.values())
    type_name: Any = Literal[guard_type.name]
    default = (
        Field(description="Settings of the guard type.")
        if required
        else Field(default=settings(), description="Settings of the guard type.")
    )
    return create_model(
        "".join(part.capitalize() for part in guard_type.name.split("_")) + "Guard",
        __base__=GuardEntry,
        __doc__=guard_type.summary,
        type=(type_name, Field(description="Type of guard.")),
        settings=(settings, default),
    )


def build_policy(
    settings: PolicySettings,
    registry: Mapping[str, GuardType[Any]],
    checker: Checker,
    base: Path = ("policy",),
    *,
    workers: int = 1,
) -> Policy | None:
    """Build every guard and bind it to its place in the chain.

    Args:
        settings: a checked ``policy_model(registry)``.
        registry: the guard types by name.
        checker: collects every problem found.
        base: where the section stands in the document.
        workers: how many processes serve the policy.

    Returns:
        The policy, or None where the checker has gathered a problem.
    """
    _check_servers(settings, checker, (*base, "servers"))
    input_schemas, output_schemas = _schemas(settings, "input_schema"), _schemas(settings, "output_schema")
    servers = ServerTable(settings.servers)
    names = {
        server: ServerNames(
            ids=tuple(of_server.ids if of_server.ids is not None else (server,)),
            hosts=tuple(host.lower() for host in of_server.hosts),
            tool_prefixes=tuple(of_server.tool_prefixes),
            uri_prefixes=tuple(of_server.uri_prefixes),
        )
        for server, of_server in settings.servers.items()
    }
    exceptions = Exceptions(
        (FindingException.compile(entry, index) for index, entry in enumerate(settings.exceptions)), servers
    )
    check_exceptions(settings, registry, checker, (*base, "exceptions"))
    guards: list[BoundGuard] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(settings.guards):
        give_way()
        path = (*base, "guards", index)
        if entry.name in seen:
            checker.add(
                (*path, "id"),
                f'"{entry.name}" is the id of guards[{seen[entry.name]}] too; give each guard its own id',
            )
        seen.setdefault(entry.name, index)
        _check_known_servers(entry.match.servers, settings, checker, (*path, "match", "servers"))
        context = GuardContext(
            guard_id=entry.name,
            servers=frozenset(settings.servers),
            names=names,
            input_schemas=input_schemas,
            output_schemas=output_schemas,
            workers=workers,
            actions={rule: of_rule.action for rule, of_rule in entry.rules.items()},
            timeout=_timeout(entry),
        )
        bound = _bind(entry, registry[entry.type], context, exceptions, checker, path)
        if bound is not None and bound.type.tier is Tier.WASM:
            _check_time(bound, settings, checker, (*path, "timeout_ms"))
        if bound is not None and entry.enabled:
            waits = entry.timeout_ms is None and bound.inline
            guards.append(replace(bound, response_timeout=settings.responses.deadline_ms / 1000) if waits else bound)
    if checker.problems:
        return None
    return Policy(
        settings=settings,
        hash=_hash(settings, guards),
        guards=tuple(guards),
        servers=servers,
        transport={kind: getattr(settings.transport, kind.removeprefix("http/")) for kind in TransportKind},
        rules=_rules(settings.integrity, settings.responses),
        deadline=settings.deadline_ms / 1000,
        reserve=settings.deadline_reserve_ms / 1000,
        exceptions=exceptions.entries,
    )


def _timeout(entry: GuardEntry) -> float:
    return (USUAL_MS if entry.timeout_ms is None else entry.timeout_ms) / 1000


def _schemas(settings: PolicySettings, which: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas of tools whose definition is configured, by server and tool."""
    return {
        (server, tool): schema
        for server, of_server in settings.servers.items()
        for tool, definition in of_server.tools.items()
        if (schema := getattr(definition, which)) is not None
    }


def _bind(
    entry: GuardEntry,
    guard_type: GuardType[Any],
    context: GuardContext,
    exceptions: Exceptions,
    checker: Checker,
    path: Path,
) -> BoundGuard | None:
    try:
        guard = guard_type.build(entry.settings, context)
    except SettingsError as error:
        checker.add((*path, "settings", *error.path), str(error))
        return None
    rules = None if guard_type.rules is None else frozenset(guard_type.rules(entry.settings))
    check_actions(entry, guard_type, rules, checker, (*path, "rules"))
    return BoundGuard(
        id=entry.name,
        type=guard_type,
        guard=guard,
        priority=entry.priority,
        failure_mode=entry.failure_mode,
        timeout=_timeout(entry),
        mode=entry.mode,
        points=points_of(entry.runs_on or guard_type.runs_on) & getattr(guard, "points", ALL_POINTS),
        scope=Scope.compile(entry.match),
        window=Window.compile(entry.active),
        exceptions=exceptions.of_guard(entry.name) if guard_type.suppressible else None,
        actions=context.actions,
        rules=rules,
    )


def points_of(runs_on: Iterable[Phase | Direction]) -> frozenset[Point]:
    """The directions and phases that ``runs_on`` stands for."""
    points: set[Point] = set()
    for name in runs_on:
        directions = (name,) if isinstance(name, Direction) else tuple(Direction)
        phases = PHASES if isinstance(name, Direction) else {name}
        points.update((d, phase) for d in directions for phase in PHASES_OF[d] & phases)
    return frozenset(points)


def _check_servers(settings: PolicySettings, checker: Checker, path: Path) -> None:
    for field in ("tool_prefixes", "uri_prefixes"):
        owners: dict[str, str] = {}
        for server, of_server in settings.servers.items():
            for index, prefix in enumerate(getattr(of_server, field)):
                owner = owners.setdefault(prefix, server)
                if owner != server:
                    checker.add((*path, server, field, index), f'"{prefix}" is a prefix of server "{owner}" too')


def _check_time(bound: BoundGuard, settings: PolicySettings, checker: Checker, path: Path) -> None:
    """A guest runs until its time is over, which must not be later than any decision it takes part in."""
    for direction, name, deadline_ms in (
        (Direction.REQUEST, "deadline_ms", settings.deadline_ms),
        (Direction.RESPONSE, "responses.deadline_ms", settings.responses.deadline_ms),
    ):
        if bound.timeout * 1000 > deadline_ms and any(point[0] is direction for point in bound.points):
            checker.add(
                path,
                f"{bound.timeout * 1000:g} exceeds the policy's {name} {deadline_ms:g}, after which nobody waits",
            )


def _check_known_servers(
    patterns: tuple[str, ...] | None, settings: PolicySettings, checker: Checker, path: Path
) -> None:
    for index, pattern in enumerate(patterns or ()):
        if not any(map(Globs((pattern,)).match, settings.servers)):
            legal = ", ".join(sorted(settings.servers)) or "none, since the policy declares no servers"
            checker.add((*path, index), f'"{pattern}" matches no server; declared are: {legal}')


def _limits(settings: IntegritySettings | ResponseSettings) -> Limits:
    return Limits(
        max_bytes=settings.max_bytes,
        max_depth=settings.max_depth,
        max_keys=settings.max_keys,
        max_containers=settings.max_containers,
    )


def _rules(settings: IntegritySettings, responses: ResponseSettings) -> InterpretationRules:
    return InterpretationRules(
        limits=_limits(settings),
        response_limits=_limits(responses),
        batches=settings.batches,
        lossy_body=settings.lossy_body,
        mcp_paths=Globs(settings.mcp_paths),
    )


def _hash(settings: PolicySettings, guards: Iterable[BoundGuard]) -> str:
    # A default of 500 and a 500 in the file, which is read as 500.0, are the same setting.
    plain = json.loads(json.dumps(mask(settings), default=str), parse_float=_whole)
    if loaded := {bound.id: bound.guard.fingerprint for bound in guards if hasattr(bound.guard, "fingerprint")}:
        plain = {"settings": plain, "loaded": loaded}
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _whole(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number
