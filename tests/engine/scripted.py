"""Guards that answer as a test says, and policies of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any

from guardsvc.engine import FactSource, decide
from guardsvc.mcp import InterpretationRules, TransportKind
from guardsvc.model import (
    ALLOW,
    PHASES,
    Caller,
    Decision,
    Deny,
    Direction,
    Facts,
    FailureMode,
    Finding,
    GatewayProtocol,
    GuardType,
    Kind,
    Mode,
    Operation,
    Phase,
    Settings,
    Severity,
    Tier,
)
from guardsvc.policy import BoundGuard, Policy, PolicySettings, ServerTable

ALL_POINTS = frozenset((direction, phase) for direction in Direction for phase in PHASES)
DENY = Deny(code="access_denied", message="No.")


class Scripted:
    """Answers with a value, or with what a function of the operation returns or raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Operation] = []
        self.facts: list[Facts] = []

    def evaluate(self, operation: Operation, facts: Facts) -> Any:
        self.asked.append(operation)
        self.facts.append(facts)
        return self.answer(operation) if callable(self.answer) else self.answer


def guard(
    guard_id: str, answer: Any = ALLOW, *, tier: Tier = Tier.NATIVE, facts: tuple[str, ...] = (), **more: Any
) -> BoundGuard:
    """A guard of the native tier with much time, which runs everywhere; ``more`` are fields of BoundGuard."""
    scripted = Scripted(answer)
    fields: dict[str, Any] = {
        "priority": 100,
        "failure_mode": FailureMode.FAIL_CLOSED,
        "timeout": 5.0,
        "mode": Mode.ENFORCE,
        "points": ALL_POINTS,
    }
    guard_type = GuardType(
        name="scripted", settings=Settings, build=lambda _settings, _context: scripted, tier=tier, facts=facts
    )
    return BoundGuard(id=guard_id, type=guard_type, guard=scripted, **{**fields, **more})


def hook(guard_id: str, answer: Any = ALLOW, *, after: float = 0.0, **more: Any) -> BoundGuard:
    """A guard of the HTTP tier, which answers ``after`` seconds."""

    async def evaluate(operation: Operation) -> Any:
        await asyncio.sleep(after)
        said = answer(operation) if callable(answer) else answer
        return await said if inspect.isawaitable(said) else said

    return guard(guard_id, evaluate, tier=Tier.HTTP, **more)


def asked(bound: BoundGuard) -> list[Operation]:
    assert isinstance(bound.guard, Scripted)
    return bound.guard.asked


def facts_given(bound: BoundGuard) -> list[Facts]:
    assert isinstance(bound.guard, Scripted)
    return bound.guard.facts


def raises(error: BaseException) -> Callable[[Operation], Any]:
    def raise_it(_operation: Operation) -> Any:
        raise error

    return raise_it


def busy(seconds: float, answer: Any = ALLOW) -> Callable[[Operation], Any]:
    """Keeps the event loop for so long."""

    def evaluate(_operation: Operation) -> Any:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass
        return answer

    return evaluate


def stubborn(release: asyncio.Event) -> Callable[[Operation], Any]:
    """Goes on whenever it is cancelled, until it is released or thirty seconds have passed."""

    async def evaluate(_operation: Operation) -> Any:
        end = perf_counter() + 30
        while not release.is_set() and perf_counter() < end:
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(release.wait(), end - perf_counter())
        return ALLOW

    return evaluate


def finding(rule: str) -> Finding:
    return Finding(rule=rule, severity=Severity.LOW)


def policy(
    *guards: BoundGuard,
    transport: Mapping[TransportKind, Any] | None = None,
    rules: InterpretationRules | None = None,
    **settings: Any,
) -> Policy:
    built = PolicySettings(**settings)
    return Policy(
        settings=built,
        hash="0123",
        guards=guards,
        servers=ServerTable(built.servers),
        transport={**dict.fromkeys(TransportKind, "allow"), **(transport or {})},
        rules=rules or InterpretationRules(),
        deadline=0.5,
        reserve=0.01,
    )


CALL = Operation(
    protocol=GatewayProtocol.GUARD_SERVICE,
    direction=Direction.REQUEST,
    phase=Phase.TOOL_INVOKE,
    kind=Kind.REQUEST,
    method="tools/call",
    id=1,
    server="files",
    servers=("files",),
    subject="read",
    payload={"name": "read", "arguments": {"path": "/a"}},
    caller=Caller(tenant="acme", principal="ann", verified=True),
)


def decided(
    chain: Policy,
    operation: Operation = CALL,
    *,
    can_modify: bool = True,
    seconds: float = 30.0,
    sources: Mapping[str, FactSource] | None = None,
) -> Awaitable[Decision]:
    return decide(chain, operation, deadline=perf_counter() + seconds, can_modify=can_modify, sources=sources or {})
