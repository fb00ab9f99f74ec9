"""The swap itself: decisions finish on the policy they began with, and the counters say what became of a reload."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from guardsvc.config import Checker, ConfigError, Document, Problem
from guardsvc.engine import decide
from guardsvc.model import (
    ALLOW,
    Allow,
    Direction,
    Facts,
    GatewayProtocol,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    Phase,
    Settings,
    Tier,
)
from guardsvc.observe import Metrics
from guardsvc.policy import build_policy
from guardsvc.server.configuration import Configuration, configuration_model
from guardsvc.server.live_policy import LivePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALL = Operation(
    protocol=GatewayProtocol.CLI,
    direction=Direction.REQUEST,
    phase=Phase.TOOL_INVOKE,
    kind=Kind.REQUEST,
    method="tools/call",
    id=1,
    subject="echo",
)


class Hold:
    """A guard that answers when it is told to."""

    came = asyncio.Event()
    go = asyncio.Event()

    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    async def evaluate(self, operation: Operation, facts: Facts) -> Allow:
        del operation, facts
        self.came.set()
        await self.go.wait()
        return ALLOW


REGISTRY: dict[str, GuardType[Any]] = {
    "hold": GuardType(name="hold", settings=Settings, build=Hold, tier=Tier.HTTP),
}


def configuration(text: str) -> Configuration:
    document = Document.parse(text, "test.yaml")
    checker = Checker(document)
    settings: Any = checker.check(configuration_model(REGISTRY), document.value)
    checker.raise_if_any()
    policy = build_policy(settings.policy, REGISTRY, checker)
    assert policy is not None
    return Configuration(source="test.yaml", content=text.encode(), service=settings.service, policy=policy)


HELD = "policy: {name: held, guards: [{type: hold, timeout_ms: 60000}]}"
CLOSED = "policy: {name: closed, guards: []}"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("0", process=False)


@pytest.fixture(autouse=True)
def _hold() -> Iterator[None]:
    Hold.came, Hold.go = asyncio.Event(), asyncio.Event()
    with structlog.testing.capture_logs():
        yield


def loading(*texts: str) -> Callable[[], Configuration]:
    """Loads one after the other, then the last again and again."""
    left = list(texts)
    return lambda: configuration(left.pop(0) if len(left) > 1 else left[0])


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"guardsvc_{name}", labels)


async def test_a_decision_finishes_on_the_policy_it_began_with(metrics: Metrics) -> None:
    live = LivePolicy(configuration(HELD), loading(CLOSED), metrics)
    old = live()
    deciding = asyncio.create_task(decide(old, CALL, deadline=perf_counter() + 60, can_modify=False))
    await Hold.came.wait()
    await live.reload()

    during = await decide(live(), CALL, deadline=perf_counter() + 60, can_modify=False)
    Hold.go.set()
    begun_before = await deciding

    assert live() is not old
    assert (begun_before.verdict, begun_before.policy_hash) == ("allow", old.hash)
    assert (during.verdict, during.code, during.policy_hash) == ("deny", "default_deny", live().hash)


EXCEPTIONS = (
    "policy: {guards: [{type: hold}], exceptions: [{rule: a, reason: r}, {rule: b, reason: r, until: "
    "2020-01-01T00:00:00Z}, {rule: c, reason: r, until: 2999-01-01T00:00:00Z}]}"
)


async def test_exceptions_are_counted_by_state_and_expired_ones_told_when_they_are_loaded(metrics: Metrics) -> None:
    live = LivePolicy(configuration(HELD), loading(EXCEPTIONS, HELD), metrics)
    states = ("active", "expired")
    assert [value(metrics, "exceptions", state=state) for state in states] == [0, 0]
    with structlog.testing.capture_logs() as logs:
        await live.reload()
    assert [value(metrics, "exceptions", state=state) for state in states] == [2, 1]
    (told,) = [log for log in logs if log["event"] == "exceptions_expired"]
    assert (told["log_level"], told["exceptions"], told["policy"]) == ("warning", ["exceptions[1]"], live().hash)


async def test_an_exception_that_expires_is_counted_so_at_once(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    LivePolicy(configuration(EXCEPTIONS), loading(HELD), metrics)
    monkeypatch.setattr("guardsvc.server.live_policy.time.time", lambda: 4e10)
    assert [value(metrics, "exceptions", state=state) for state in ("active", "expired")] == [1, 2]


async def test_results_are_counted_apart(metrics: Metrics) -> None:
    live = LivePolicy(configuration(HELD), loading(CLOSED, CLOSED, "policy: 5", HELD), metrics)
    assert value(metrics, "policy_stale") == 0
    for _ in range(3):
        await live.reload()
    assert value(metrics, "policy_stale") == 1
    assert live().settings.name == "closed"
    await live.reload()

    assert value(metrics, "policy_stale") == 0
    assert live().settings.name == "held"
    assert value(metrics, "policy_reloads_total", result="loaded") == 2
    assert value(metrics, "policy_reloads_total", result="unchanged") == 1
    assert value(metrics, "policy_reloads_total", result="failed") == 1


@pytest.mark.parametrize(
    "error",
    [ConfigError("test.yaml", [Problem("policy", "wrong", 1)]), OSError("disk"), RecursionError(), KeyError("x")],
)
async def test_any_error_keeps_the_policy(metrics: Metrics, error: Exception) -> None:
    def load() -> Configuration:
        raise error

    live = LivePolicy(configuration(HELD), load, metrics)
    before = live()
    with structlog.testing.capture_logs() as logs:
        await live.reload()

    assert live() is before
    assert value(metrics, "policy_stale") == 1
    assert [(log["event"], log["log_level"], log["kept"]) for log in logs] == [("reload_failed", "error", before.hash)]


async def test_reloads_do_not_overtake_each_other(metrics: Metrics) -> None:
    live = LivePolicy(configuration(HELD), loading(HELD, CLOSED, HELD, CLOSED), metrics)
    await asyncio.gather(*(live.reload() for _ in range(4)))

    assert live().settings.name == "closed"
    assert value(metrics, "policy_reloads_total", result="loaded") == 3


async def test_decisions_during_fifty_reloads_each_follow_one_policy(metrics: Metrics) -> None:
    Hold.go.set()
    live = LivePolicy(configuration(HELD), loading(*[CLOSED, HELD] * 25), metrics)
    verdict_of = {live().hash: "allow", configuration(CLOSED).policy.hash: "deny"}
    seen: list[tuple[str, str]] = []

    async def ask() -> None:
        while len(seen) < 100 or reloading:
            decision = await decide(live(), CALL, deadline=perf_counter() + 60, can_modify=False)
            seen.append((decision.policy_hash, decision.verdict))
            await asyncio.sleep(0)

    reloading = True
    asking = asyncio.create_task(ask())
    for _ in range(50):
        await live.reload()
    reloading = False
    await asking

    assert all(verdict_of[policy] == verdict for policy, verdict in seen)
    assert {verdict for _, verdict in seen} == {"allow", "deny"}
    assert value(metrics, "policy_reloads_total", result="loaded") == 50
