"""Limits: how much was asked at most in a time, by the keys that ``rate_limit`` counts by, and room above that."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.rate_limit.keys import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.guards.native.rate_limit.settings import KeyPart
    from guardsvc.suggestion.evidence import Evidence, Seen

__all__ = ["MIN_HEADROOM", "peak", "rate_limits"]

MIN_HEADROOM = 2.0
"""A sliding window weighs the last one with the present one and may see up to twice of what was."""
FLOOR = 10
"""The smallest limit that is suggested."""
MAX_AMOUNT = 1_000_000

_WINDOWS = (("minute", 60.0, 0.0), ("hour", 3600.0, 3600.0), ("day", 86400.0, 86400.0))
"""Name, length, and the time that evidence must span for it, in seconds."""


def rate_limits(evidence: Evidence, *, headroom: float) -> list[dict[str, Any]]:
    """Limits of ``rate_limit`` that everything that was seen keeps to; none where nobody says when it was.

    Args:
        evidence: what was seen.
        headroom: what the highest count is multiplied by, at least ``MIN_HEADROOM``.
    """
    span = evidence.span
    if span is None:
        return []
    timed = [seen for seen in evidence.seen if seen.at is not None]
    windows = [(name, length) for name, length, needed in _WINDOWS if span[1] - span[0] >= needed]
    caller = _key(timed)
    limits = [_limit("requests", caller, timed, windows, headroom)]
    calls = [seen for seen in timed if seen.method == "tools/call" and seen.operation.subject is not None]
    if calls:
        limits.append(_limit("calls of a tool", (*caller, "tool"), calls, windows, headroom))
    return limits


def peak(times: Iterable[float], length: float) -> int:
    """The most that fall into any time of a length, in seconds."""
    ordered = sorted(times)
    most = first = 0
    for index, at in enumerate(ordered):
        while at - ordered[first] >= length:
            first += 1
        most = max(most, index - first + 1)
    return most


def _key(timed: list[Seen]) -> tuple[KeyPart, ...]:
    """By caller where somebody is named; what is not verified is counted by address in any case."""
    named: tuple[KeyPart, ...] = ()
    if any(seen.caller.tenant for seen in timed):
        named = ("tenant",)
    if any(seen.caller.principal for seen in timed):
        named = (*named, "principal")
    return named or ("address",)


def _limit(
    name: str, key: tuple[KeyPart, ...], seen: list[Seen], windows: list[tuple[str, float]], headroom: float
) -> dict[str, Any]:
    times: dict[str, list[float]] = defaultdict(list)
    for each in seen:
        if each.at is not None:
            times[key_of(each.operation, key).digest].append(each.at)
    amounts = [
        (window, _amount(max(peak(of_key, length) for of_key in times.values()) * headroom))
        for window, length in windows
    ]
    limit: dict[str, Any] = {"name": name, "key": list(key), "windows": [f"{n}/{window}" for window, n in amounts]}
    return {**limit, "match": {"methods": ["tools/call"]}} if "tool" in key else limit


def _amount(least: float) -> int:
    """At least that much, rounded up to two digits."""
    amount = max(FLOOR, math.ceil(least))
    step: int = 10 ** max(len(str(amount)) - 2, 0)
    return min(-(-amount // step) * step, MAX_AMOUNT)
