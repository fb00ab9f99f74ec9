"""The guard: says what an operation takes of which limits, and refuses it where one has no room."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.rate_limit.keys import key_of, method_of
from guardsvc.guards.native.rate_limit.settings import MEMORY, KeyPart, LimitSettings, RateLimitSettings
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Facts,
    Finding,
    Globs,
    GuardContext,
    GuardType,
    Operation,
    Phase,
    SettingsError,
    Severity,
    SubjectKind,
    Verdict,
    reason_for,
)
from guardsvc.state import (
    RATE_LIMITS,
    Draw,
    Limit,
    RateFact,
    RateNeed,
    Store,
    Strategy,
    UrlError,
    check_url,
    parse_window,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from limits import RateLimitItem

__all__ = ["RATE_LIMIT", "RateLimit"]

TOGETHER = "counted_together"
"""Rule of the finding that a key has no room of its own."""
MAX_ENTRIES = 10_000_000
"""Most entries that moving windows may keep in memory, eight bytes each."""


class RateLimit:
    """The guard; see ``RateLimitSettings``."""

    def __init__(self, settings: RateLimitSettings, context: GuardContext) -> None:
        _check(settings, context)
        self._store = _store(settings)
        self._rules = tuple(_compile(limit, index) for index, limit in enumerate(settings.limits))

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """What the operation takes of which limits; nothing where none counts it."""
        if operation.phase is Phase.INPUT_RESPONSE and operation.method:
            return {}  # the answers that a retry carries; its call is counted
        draws = tuple(draw for rule in self._rules if (draw := rule.draw(operation)) is not None)
        return {RATE_LIMITS: RateNeed(store=self._store, draws=draws)} if draws else {}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Refuse where a limit has no room."""
        del operation
        fact: RateFact | None = facts.get(RATE_LIMITS)
        if fact is None:
            return ALLOW
        if not fact.exhausted:
            crowded = tuple(_finding(TOGETHER, limit) for limit in fact.crowded)
            return Allow(findings=crowded) if crowded else ALLOW
        last = max(fact.exhausted, key=lambda exhausted: exhausted.retry_after)
        return Deny(
            code="rate_limited",
            message=reason_for("rate_limited").text,
            details={"limit": last.limit, "retry_after_ms": math.ceil(last.retry_after * 1000)},
            findings=tuple(_finding(exhausted.limit) for exhausted in fact.exhausted),
        )


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    limit: Limit
    key: tuple[KeyPart, ...]
    methods: Globs | None
    tools: Globs | None
    costs: tuple[tuple[Globs, int], ...]

    def draw(self, operation: Operation) -> Draw | None:
        """What it takes of the limit, None where the limit does not count it."""
        tool = operation.subject if operation.subject_kind is SubjectKind.TOOL else None
        method = method_of(operation)
        if (
            (self.methods is not None and not self.methods.match(method))
            or (self.tools is not None and not self.tools.match(tool))
            or (tool is None and "tool" in self.key)
        ):
            return None
        cost = next((cost for methods, cost in self.costs if methods.match(method)), 1)
        if not cost:
            return None
        key = key_of(operation, self.key)
        return Draw(limit=self.limit, key=key.digest, cost=cost, by_address=key.by_address)


def _finding(rule: str, excerpt: str = "") -> Finding:
    return Finding(rule=rule, severity=Severity.LOW, excerpt=excerpt)


def _check(settings: RateLimitSettings, context: GuardContext) -> None:
    if context.workers > 1 and settings.storage == MEMORY and not settings.per_worker:
        raise SettingsError(
            ("per_worker",),
            f"each of the {context.workers} workers would count for itself: set per_worker: true, or storage to the "
            "URL of a Redis that they share",
        )
    names: dict[str, int] = {}
    for index, limit in enumerate(settings.limits):
        if (first := names.setdefault(_name(limit, index), index)) != index:
            raise SettingsError(("limits", index, "name"), f'"{limit.name}" is the name of limits[{first}] too')


def _store(settings: RateLimitSettings) -> Store:
    if isinstance(settings.storage, str):
        kept = sum(
            _window(text, index, position).amount
            for index, limit in enumerate(settings.limits)
            for position, text in enumerate(limit.windows)
            if limit.strategy is Strategy.MOVING
        )
        if kept * settings.max_keys > MAX_ENTRIES:
            raise SettingsError(
                ("max_keys",),
                f"moving windows of {settings.max_keys} keys would keep {kept * settings.max_keys} entries in memory, "
                f"of which {MAX_ENTRIES} are allowed: use sliding_window, or fewer keys",
            )
        return Store(max_keys=settings.max_keys)
    try:
        check_url(settings.storage.reveal())
    except UrlError as error:
        raise SettingsError(("storage",), str(error)) from None
    return Store(url=settings.storage.reveal(), max_keys=settings.max_keys)


def _compile(limit: LimitSettings, index: int) -> _Rule:
    windows = tuple(_window(text, index, position) for position, text in enumerate(limit.windows))
    for position, window in enumerate(windows):
        if window in windows[:position]:
            raise SettingsError(("limits", index, "windows", position), f'"{limit.windows[position]}" is there already')
        for methods, cost in limit.cost.items():
            if cost > window.amount:
                raise SettingsError(
                    ("limits", index, "cost", methods), f'{cost} never fits "{limit.windows[position]}"'
                )
    return _Rule(
        limit=Limit(name=_name(limit, index), strategy=limit.strategy, windows=windows),
        key=tuple(dict.fromkeys(limit.key)),
        methods=None if limit.match.methods is None else Globs(limit.match.methods),
        tools=None if limit.match.tools is None else Globs(limit.match.tools),
        costs=tuple((Globs((methods,)), cost) for methods, cost in limit.cost.items()),
    )


def _name(limit: LimitSettings, index: int) -> str:
    return limit.name or f"limits[{index}]"


def _window(text: str, index: int, position: int) -> RateLimitItem:
    try:
        return parse_window(text)
    except ValueError as error:
        raise SettingsError(("limits", index, "windows", position), str(error)) from None


def _rules(settings: RateLimitSettings) -> frozenset[str]:
    return frozenset({TOGETHER, *(_name(limit, index) for index, limit in enumerate(settings.limits))})


RATE_LIMIT = GuardType(
    name="rate_limit",
    settings=RateLimitSettings,
    build=RateLimit,
    facts=(RATE_LIMITS,),
    suppressible=False,
    rules=_rules,
    code="rate_limited",
    summary="Refuses operations beyond so many per time, by tenant, principal, server, tool, method or address.",
)
