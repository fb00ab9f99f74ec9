"""What guards made of a payload is held against its form before it goes on, by guards that know it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from guardsvc.guards.native.schema_validation import SchemaValidation, SchemaValidationSettings
from guardsvc.model import (
    ALLOW,
    Decision,
    Direction,
    ErrorKind,
    Facts,
    FailureMode,
    GuardContext,
    GuardFailure,
    Kind,
    Mode,
    Modify,
    Operation,
    Phase,
    Verdict,
)
from tests.engine.scripted import CALL, DENY, decided, guard, policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.policy import BoundGuard

SCHEMA = {"type": "object", "properties": {"path": {"type": "string", "maxLength": 4}}, "required": ["path"]}
RESULT = msgspec.structs.replace(
    CALL,
    direction=Direction.RESPONSE,
    phase=Phase.TOOL_RESULT,
    kind=Kind.RESULT,
    payload={"content": [], "structuredContent": {"path": "/a"}},
)


def sets(path: Any) -> Modify:
    return Modify(payload={**CALL.payload, "arguments": {"path": path}})


def answers(path: Any, **more: Any) -> Modify:
    return Modify(payload={**RESULT.payload, "structuredContent": {"path": path}, **more})


def schemas(*, points: bool = True, **more: Any) -> BoundGuard:
    """A guard ``schema_validation`` in front of all others; without points it runs nowhere."""
    of_tool = {("files", "read"): SCHEMA}
    context = GuardContext(
        guard_id="schemas", servers=frozenset({"files"}), input_schemas=of_tool, output_schemas=of_tool
    )
    bound = guard("schemas", priority=1, **more)
    made = replace(bound, guard=SchemaValidation(SchemaValidationSettings(), context))
    return made if points else replace(made, points=frozenset())


def told(decision: Decision) -> tuple[str, str | None, str | None]:
    return decision.verdict, decision.code, decision.guard


@pytest.mark.parametrize(("path", "passes"), [("/b", True), ("[redacted]", False), (5, False)])
@pytest.mark.parametrize("points", [True, False])
async def test_changed_arguments_must_suit_the_schema(path: Any, passes: bool, points: bool) -> None:
    decision = await decided(policy(schemas(points=points), guard("redacts", sets(path))))
    if passes:
        assert (decision.verdict, decision.payload["arguments"]) == ("modify", {"path": path})
        return
    assert told(decision) == ("deny", "modification_unsupported", "schemas")
    assert decision.payload is None
    assert decision.message == "The message would have to be changed, which this gateway cannot do."
    assert [finding.where for finding in decision.findings] == ["/arguments/path"]
    assert "redacted" not in repr(decision.outcomes[-1].findings)


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        (answers("/b"), True),
        (answers("[redacted]"), False),
        (answers("[redacted]", isError=True), True),
        (Modify(payload={"content": [{"type": "text", "text": "[redacted]"}]}), True),
    ],
)
async def test_a_changed_result_must_suit_the_output_schema(changed: Modify, passes: bool) -> None:
    decision = await decided(policy(schemas(), guard("redacts", changed)), RESULT)
    if passes:
        assert decision.payload == changed.payload
        return
    assert told(decision) == ("deny", "modification_unsupported", "schemas")
    assert [finding.where for finding in decision.findings] == ["/structuredContent/path"]


async def test_a_result_as_its_server_made_it_is_not_judged() -> None:
    wrong = msgspec.structs.replace(RESULT, payload=answers("far too long").payload)
    assert (await decided(policy(schemas(), guard("g")), wrong)).verdict == "allow"


async def test_a_result_that_nobody_judged_is_still_decided_by_default() -> None:
    assert told(await decided(policy(schemas(points=False)), RESULT)) == ("deny", "default_deny", None)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"mode": Mode.SHADOW}, None),
        ({"failure_mode": FailureMode.FAIL_OPEN}, "modification_unsupported"),
    ],
)
async def test_a_guard_in_shadow_mode_refuses_nothing(more: dict[str, Any], code: str | None) -> None:
    decision = await decided(policy(schemas(**more), guard("redacts", sets("[redacted]"))))
    assert decision.code == code


class Fails:
    """Judges nothing, and cannot say whether what others changed may go on."""

    def evaluate(self, _operation: Operation, _facts: Facts) -> Verdict:
        return ALLOW

    def recheck_needs(self, _operation: Operation) -> Mapping[str, Any]:
        return {}

    def recheck(self, _operation: Operation, _facts: Facts) -> Verdict:
        raise GuardFailure(ErrorKind.OVER_BUDGET, "too much")


@pytest.mark.parametrize(
    ("failure_mode", "expected"),
    [
        (FailureMode.FAIL_CLOSED, ("deny", "guard_over_budget", "fails")),
        (FailureMode.FAIL_OPEN, ("modify", None, None)),
    ],
)
async def test_who_cannot_say_so_fails_by_its_failure_mode(
    failure_mode: FailureMode, expected: tuple[str, str | None, str | None]
) -> None:
    fails = replace(guard("fails", failure_mode=failure_mode), guard=Fails())
    assert told(await decided(policy(fails, guard("redacts", sets("/b"))))) == expected


async def test_nobody_is_asked_where_nothing_changed_or_the_request_is_refused_anyway() -> None:
    fails = replace(guard("fails"), guard=Fails())
    assert (await decided(policy(fails, guard("g")))).verdict == "allow"
    assert told(await decided(policy(fails, guard("redacts", sets("/b")), guard("g", DENY)))) == (
        "deny",
        "access_denied",
        "g",
    )
