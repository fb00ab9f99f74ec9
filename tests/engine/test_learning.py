"""What guards want remembered of a decision is told to their sources once it stands."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from guardsvc.model import (
    ALLOW,
    Direction,
    ErrorKind,
    FactRequest,
    FactUse,
    GatewayProtocol,
    GuardFailure,
    Kind,
    Mode,
    Phase,
)
from guardsvc.policy.scope import Scope
from guardsvc.policy.settings import MatchSettings
from guardsvc.policy.unlearned import SAY_EVERY, Unlearned
from tests.engine.scripted import CALL, DENY, Scripted, decided, guard, policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.model import Decision, Facts
    from guardsvc.policy import BoundGuard


class Store:
    """Remembers requests; fails where a lesson says so."""

    def __init__(self) -> None:
        self.requests: list[FactRequest] = []

    async def fetch(self, request: FactRequest) -> str:
        self.requests.append(request)
        if isinstance(request.need, Exception):
            raise request.need
        return "known"


class Learner(Scripted):
    """Learns what it is told to, or fails to."""

    learns_of_refusals = False

    def __init__(self, lesson: Any) -> None:
        super().__init__(ALLOW)
        self.lesson = lesson
        self.told: list[tuple[Decision, Facts]] = []

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        self.told.append((decision, facts))
        if isinstance(self.lesson, ZeroDivisionError):
            raise self.lesson
        return {} if self.lesson is None else {"store": self.lesson}


def learner(lesson: Any, **more: Any) -> tuple[BoundGuard, Learner]:
    made = Learner(lesson)
    return replace(guard("learner", facts=("store",), **more), guard=made), made


async def test_a_source_is_told_once_the_decision_stands() -> None:
    store = Store()
    bound, made = learner("lesson")
    decision = await decided(policy(bound, guard("later", DENY)), sources={"store": store})
    assert decision.verdict == "deny"
    assert made.told == [(decision, {"store": "known"})]
    assert [request.need for request in store.requests] == [None, "lesson"]


async def test_nothing_is_told_where_there_is_nothing_to_learn() -> None:
    store = Store()
    await decided(policy(learner(None)[0]), sources={"store": store})
    assert len(store.requests) == 1


async def test_a_dry_look_teaches_nothing() -> None:
    store = Store()
    bound, made = learner("lesson")
    dry = msgspec.structs.replace(CALL, protocol=GatewayProtocol.CLI)
    await decided(policy(bound), dry, sources={"store": store})
    assert (made.told, len(store.requests)) == ([], 1)


async def test_shadow_is_told_apart() -> None:
    store = Store()
    await decided(policy(learner("lesson", mode=Mode.SHADOW)[0]), sources={"store": store})
    assert [request.use for request in store.requests] == [FactUse.SHADOW, FactUse.SHADOW]


@pytest.mark.parametrize(
    "lesson", [ZeroDivisionError(), GuardFailure(ErrorKind.STATE_UNAVAILABLE, "gone"), KeyError("x")]
)
async def test_what_cannot_be_learned_changes_no_decision_and_is_logged(
    lesson: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        decision = await decided(policy(learner(lesson)[0]), sources={"store": Store()})
    assert decision.verdict == "allow"
    assert "guard learner could not learn" in caplog.text


async def test_what_fails_again_and_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    chain = policy(learner(KeyError("x"))[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            await decided(chain, sources={"store": Store()})
    assert len(caplog.records) == 1


def test_later_the_log_says_how_often_it_failed_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    unlearned = Unlearned(lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for second in (0.0, 1.0, 59.0, SAY_EVERY, SAY_EVERY + 1, 3 * SAY_EVERY, 4 * SAY_EVERY):
            now[0] = second
            unlearned("names", ValueError("full"))
        unlearned("pins", ValueError("full"))
    more = " (%d more times since this was said last)"
    assert caplog.messages == [
        "guard names could not learn: ValueError: full",
        f"guard names could not learn{more % 2}: ValueError: full",
        f"guard names could not learn{more % 1}: ValueError: full",
        "guard names could not learn: ValueError: full",
        "guard pins could not learn: ValueError: full",
    ]


LIST = msgspec.structs.replace(CALL, direction=Direction.RESPONSE, phase=Phase.TOOLS_LIST, kind=Kind.RESULT)


def told_of_refusals(lesson: Any, **more: Any) -> tuple[BoundGuard, Learner]:
    bound, made = learner(lesson, **more)
    made.learns_of_refusals = True
    return bound, made


async def test_who_comes_after_a_refusal_of_an_answer_learns_of_it() -> None:
    store = Store()
    bound, made = told_of_refusals("lesson")
    decision = await decided(policy(guard("first", DENY), bound), LIST, sources={"store": store})
    assert (decision.verdict, made.told) == ("deny", [(decision, {"store": "known"})])
    assert [request.need for request in store.requests] == [None, "lesson"]
    assert [outcome.guard for outcome in decision.outcomes] == ["first"]
    assert made.asked == []


async def test_nothing_is_asked_for_others_for_requests_or_for_what_is_out_of_scope() -> None:
    store = Store()
    bound, made = told_of_refusals("lesson")
    await decided(policy(guard("first", DENY), learner("lesson")[0]), LIST, sources={"store": store})
    await decided(policy(guard("first", DENY), bound), sources={"store": store})
    elsewhere = replace(bound, scope=Scope.compile(MatchSettings(tenants=("nobody",))))
    await decided(policy(guard("first", DENY), elsewhere), LIST, sources={"store": store})
    assert (store.requests, made.told) == ([], [])


async def test_who_could_not_judge_is_not_asked_again() -> None:
    class Down(Store):
        async def fetch(self, request: FactRequest) -> str:
            await super().fetch(request)
            raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, "gone")

    store = Down()
    decision = await decided(policy(told_of_refusals("lesson")[0]), LIST, sources={"store": store})
    assert (decision.verdict, decision.code, len(store.requests)) == ("deny", "state_unavailable", 1)


async def test_a_refusal_in_shadow_is_learned_in_shadow() -> None:
    store = Store()
    bound, _ = told_of_refusals("lesson")
    refusing = policy(guard("first", DENY), bound, mode=Mode.SHADOW)
    assert (await decided(refusing, LIST, sources={"store": store})).applied == "allow"
    assert [request.use for request in store.requests] == [FactUse.SHADOW, FactUse.SHADOW]


async def test_a_guard_in_shadow_that_would_refuse_hides_nothing_from_those_after_it() -> None:
    bound, made = told_of_refusals("lesson")
    decision = await decided(policy(guard("first", DENY, mode=Mode.SHADOW), bound), LIST, sources={"store": Store()})
    assert (decision.verdict, len(made.told), len(made.asked)) == ("allow", 1, 1)


@pytest.mark.parametrize("when", ["asked", "told"])
async def test_a_source_that_hangs_holds_nobody_up(when: str, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Store):
        async def fetch(self, request: FactRequest) -> str:
            await super().fetch(request)
            if (request.need is None) is (when == "asked"):
                await asyncio.sleep(600)
            return "known"

    chain = policy(guard("first", DENY), told_of_refusals("lesson", timeout=0.02)[0])
    with caplog.at_level(logging.WARNING):
        asking = decided(chain, LIST, sources={"store": Hanging()}, seconds=0.1)
        decision = await asyncio.wait_for(asking, 60)
    assert decision.verdict == "deny"
    assert "guard learner could not learn: TimeoutError" in caplog.text
