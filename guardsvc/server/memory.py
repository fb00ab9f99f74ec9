"""Memory: the most that the processes of a service take, whatever is sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.unread import FAST, SLOW
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.server.audit import audit_options
from guardsvc.server.capture import capture_options
from guardsvc.state.catalog import CATALOG
from guardsvc.state.tables import MAX_BYTES

if TYPE_CHECKING:
    from guardsvc.server.configuration import Configuration

__all__ = ["judge_memory", "memory_bound", "worker_memory"]

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
PARSED = 32
"""Bytes of Python objects that a byte of JSON becomes at worst, with the copies of its text."""
LIFTED = 128 * MIB
"""What wasmtime copies out of a guest for one call at most."""
MODULE = 32 * MIB
"""A compiled module; those of interpreters are larger, if not by much."""
PINS = 64 * MIB
"""Pins and definitions that are kept as objects, of whichever store."""
COUNTER = 1024
"""One key of a rate limit in memory; a guard has so many for addresses, and so many for others."""


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
        "audit": 0 if audit is None else audit.memory_bound,
        "capture": 0 if capture is None else capture.memory_bound,
        "counters": _counters(configuration),
        "catalogs": _catalogs(configuration),
        "wasm": _wasm(configuration),
    }


def judge_memory(configuration: Configuration) -> int:
    """The same of one process for large bodies, which the system holds it to."""
    return JUDGE_BASE + configuration.policy.rules.limits.max_bytes * 2 * PARSED


def _wasm(configuration: Configuration) -> int:
    """What the guests that run at once may have, what is kept of their modules, and what they remember."""
    kept, largest = 0, 0
    for entry in configuration.policy.settings.guards:
        if entry.enabled and isinstance(entry.settings, WasmSettings):
            limits, kv = entry.settings.limits, entry.settings.grants.kv
            largest = max(largest, int(limits.memory_mib * MIB) * limits.memories + LIFTED)
            kept += MODULE + (0 if kv is None else kv.bytes * kv.tenants)
    return kept + largest * configuration.service.wasm.threads


def _catalogs(configuration: Configuration) -> int:
    """What guards remember of servers' lists: in memory once for all of them, and of every store the latest pins."""
    policy = configuration.policy
    learning = {bound.id for bound in policy.guards if CATALOG in bound.type.facts}
    stores = [getattr(entry.settings, "storage", None) for entry in policy.settings.guards if entry.name in learning]
    return (2 * MAX_BYTES if "memory" in stores else 0) + (PINS if stores else 0)


def _counters(configuration: Configuration) -> int:
    kept = 0
    for entry in configuration.policy.settings.guards:
        most = getattr(entry.settings, "max_keys", None) or getattr(entry.settings, "max_sessions", None)
        if entry.enabled and isinstance(most, int):
            kept += 2 * most * COUNTER
    return kept
