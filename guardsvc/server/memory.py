"""Memory: the most that the processes of a service take, whatever is sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.unread import FAST, SLOW
from guardsvc.guards.native import digest_cache, list_digest
from guardsvc.guards.native.auth_bypass import AuthBypassSettings
from guardsvc.guards.native.rate_limit import RateLimitSettings
from guardsvc.guards.native.tool_shadowing import INDEX_BYTES, ToolShadowingSettings, most_in_an_index
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import Mode, Phase
from guardsvc.server.audit import audit_options
from guardsvc.server.capture import capture_options
from guardsvc.state import RATE_LIMITS, SESSION_OWNER, listed, request_states
from guardsvc.state.catalog import CATALOG
from guardsvc.state.listed import LISTED
from guardsvc.state.request_states import REQUEST_STATES
from guardsvc.state.tables import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardsvc.model import Settings
    from guardsvc.server.configuration import Configuration

__all__ = ["PARTS_OF_FACTS", "judge_memory", "memory_bound", "worker_memory"]

MIB = 1_048_576
WORKER_BASE = 128 * MIB
"""A worker at rest, and what its policy, its metrics and its logs grow to."""
JUDGE_BASE = 128 * MIB
"""The same of a process that judges."""
SUPERVISOR = 128 * MIB
CALL = 64 * 1024
"""A call under way beside its message."""
STREAM = 64 * 1024
"""An ext_proc stream under way beside what it keeps back, of which ``max_bytes`` is the bound for all together."""
CONNECTION = 64 * 1024
"""A connection over which nothing goes. Measured: 31 KiB without TLS."""
PARSED = 32
"""Bytes of Python objects that a byte of JSON becomes at worst, with the copies of its text."""
LIFTED = 128 * MIB
"""What wasmtime copies out of a guest for one call at most."""
COMPILING = 16
"""Bytes that compiling takes for each byte of the component, or of what becomes of it; one is compiled at a time.
Measured: 9 times what Python becomes, 14 times what JavaScript does."""
VERSIONS = 2
"""Modules of one version of a guard: that in force, and that which takes its place."""
PINS = 64 * MIB
"""Pins and definitions that are kept as objects, of whichever store."""
CACHES = 3
"""Caches of a guard that looks into lists, at most."""
COUNTER = 1024
"""One key of a rate limit in memory, of which a guard has so many for addresses, and so many for others; half of a
session."""


def memory_bound(configuration: Configuration) -> dict[str, int]:
    """Bytes of memory by what takes them, over all processes."""
    workers = configuration.service.workers
    parts = {part: size * workers for part, size in worker_memory(configuration).items()}
    parts["large_bodies"] = judge_memory(configuration) * configuration.service.large_bodies.processes * workers
    if workers > 1:
        parts["supervisor"] = SUPERVISOR
    return parts


def worker_memory(configuration: Configuration) -> dict[str, int]:
    """The same of one worker, without its processes for large bodies."""
    service = configuration.service
    held = service.overload.max_bytes or service.grpc.max_message_bytes
    audit = audit_options(service.audit)
    capture = capture_options(service.capture)
    return {
        "base": WORKER_BASE,
        "unread": (FAST + SLOW) * service.grpc.max_message_bytes,
        "calls": service.overload.max_decisions * CALL + held * PARSED,
        "streams": service.overload.max_streams * STREAM,
        "connections": service.connections * CONNECTION,
        "audit": 0 if audit is None else audit.memory_bound,
        "capture": 0 if capture is None else capture.memory_bound,
        **_remembered(configuration),
        "lists": _lists(configuration),
        "wasm": _wasm(configuration),
    }


def judge_memory(configuration: Configuration) -> int:
    """The same of one process for large bodies, which the system holds it to."""
    return JUDGE_BASE + configuration.policy.rules.limits.max_bytes * 2 * PARSED


def _wasm(configuration: Configuration) -> int:
    """What the guests that run at once may have, their modules and compiling one, and what they remember.

    Beside the threads one guest runs to be compared, where a guard has a candidate, and one when it is loaded.
    """
    kept, largest, compiling, beside = 0, 0, 0, 0
    for entry in configuration.policy.settings.guards:
        if entry.enabled and isinstance(entry.settings, WasmSettings):
            limits, kv = entry.settings.limits, entry.settings.grants.kv
            largest = max(largest, int(limits.memory_mib * MIB) * limits.memories + LIFTED)
            module, candidate = int(limits.module_mib * MIB), entry.settings.variants
            arms, roles = (1, 1) if candidate is None else (2, 3 if candidate.mode is Mode.ENFORCE else 2)
            compiling, beside = max(compiling, module * COMPILING), max(beside, arms)
            kept += arms * module * VERSIONS + (0 if kv is None else roles * kv.bytes * kv.tenants)
    return kept + compiling + largest * (configuration.service.wasm.threads + beside)


def _lists(configuration: Configuration) -> int:
    """What guards know lists by that they have seen."""
    looking = sum(Phase.TOOLS_LIST in bound.type.runs_on for bound in configuration.policy.guards)
    return list_digest.RECENT_BYTES + looking * CACHES * digest_cache.MAX_BYTES if looking else 0


def _remembered(configuration: Configuration) -> dict[str, int]:
    """What the sources of facts keep, which guards share."""
    policy = configuration.policy
    settings = {entry.name: entry.settings for entry in policy.settings.guards}
    parts: dict[str, int] = {}
    for fact, (part, bound_of) in PARTS_OF_FACTS.items():
        asking = [settings[bound.id] for bound in policy.guards if fact in bound.type.facts]
        parts[part] = parts.get(part, 0) + (bound_of(configuration, asking) if asking else 0)
    return parts


def _in_memory(asking: Sequence[Settings]) -> bool:
    return any(getattr(settings, "storage", None) == "memory" for settings in asking)


def _counters(_configuration: Configuration, asking: Sequence[Settings]) -> int:
    return sum(2 * each.max_keys * COUNTER for each in asking if isinstance(each, RateLimitSettings))


def _sessions(_configuration: Configuration, asking: Sequence[Settings]) -> int:
    sessions = (each.sessions for each in asking if isinstance(each, AuthBypassSettings))
    return sum(2 * each.max_sessions * COUNTER for each in sessions if each is not None)


def _catalogs(_configuration: Configuration, asking: Sequence[Settings]) -> int:
    """In memory once for all guards, and of every store the latest pins."""
    return (MAX_BYTES if _in_memory(asking) else 0) + PINS


def _names(configuration: Configuration, asking: Sequence[Settings]) -> int:
    """In memory once for all guards, of every store the latest, and what they are compared by."""
    stored = listed.STORED_BYTES if _in_memory(asking) else 0
    servers = len(configuration.policy.settings.servers) + 1
    indexes = sum(
        INDEX_BYTES + most_in_an_index(settings, servers)
        for settings in asking
        if isinstance(settings, ToolShadowingSettings)
    )
    return stored + listed.KEPT_BYTES + indexes


def _states(_configuration: Configuration, asking: Sequence[Settings]) -> int:
    return request_states.STORED_BYTES if _in_memory(asking) else 0


PARTS_OF_FACTS: Mapping[str, tuple[str, Callable[[Configuration, Sequence[Settings]], int]]] = {
    RATE_LIMITS: ("counters", _counters),
    SESSION_OWNER: ("counters", _sessions),
    CATALOG: ("catalogs", _catalogs),
    LISTED: ("names", _names),
    REQUEST_STATES: ("states", _states),
}
"""For every source of facts, the part that has what it keeps for guards of some settings."""
