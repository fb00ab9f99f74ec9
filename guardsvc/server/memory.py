"""Memory: the most that the processes of a service take, whatever is sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.unread import FAST, SLOW
from guardsvc.server.audit import audit_options

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
PARSED = 32
"""Bytes of Python objects that a byte of JSON becomes at worst, with the copies of its text."""
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
    return {
        "base": WORKER_BASE,
        "unread": (FAST + SLOW) * service.grpc.max_message_bytes,
        "calls": service.overload.max_decisions * CALL + held * PARSED,
        "audit": 0 if audit is None else audit.memory_bound,
        "counters": _counters(configuration),
    }


def judge_memory(configuration: Configuration) -> int:
    """The same of one process for large bodies, which the system holds it to."""
    return JUDGE_BASE + configuration.policy.rules.limits.max_bytes * 2 * PARSED


def _counters(configuration: Configuration) -> int:
    kept = 0
    for entry in configuration.policy.settings.guards:
        most = getattr(entry.settings, "max_keys", None) or getattr(entry.settings, "max_sessions", None)
        if entry.enabled and isinstance(most, int):
            kept += 2 * most * COUNTER
    return kept
