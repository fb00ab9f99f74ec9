"""What guards want remembered of a decision is told to their sources once it stands."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from guardsvc.model import ALLOW, ErrorKind, FactRequest, FactUse, GatewayProtocol, GuardFailure, Mode
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
