"""``tool_poisoning`` with some of its findings set aside: the list is judged by what is left."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.guards.native.tool_poisoning import TOOL_POISONING, ToolPoisoningSettings
from guardsvc.guards.native.tool_poisoning.guard import MAX_FINDINGS, MORE
from guardsvc.model import Direction, GuardContext, Kind, Phase, RuleAction, Verdict
from guardsvc.policy import BoundGuard, ServerTable
from guardsvc.policy.exceptions import Exceptions, ExceptionSettings, FindingException
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import ALL_POINTS, decided, guard, policy
from tests.policy.built import operation

SERVERS = {"files": ServerSettings(tool_prefixes=("f_",))}
PATTERNS: dict[str, Any] = {
    "builtin_rules": False,
    "custom_patterns": [
        {"id": "blue", "pattern": "blue", "severity": "high"},
        {"id": "red", "pattern": "red", "severity": "medium"},
    ],
}


def listing(*descriptions: str) -> Any:
    tools = [{"name": f"f_{index}", "description": text} for index, text in enumerate(descriptions)]
    return operation(
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        subject=None,
        server="files",
        servers=("files",),
        payload={"tools": tools},
    )


def poisoning(*exceptions: dict[str, str], actions: Any = None, **settings: Any) -> BoundGuard:
    given = ToolPoisoningSettings.model_validate(PATTERNS | settings)
    entries = [ExceptionSettings.model_validate({"reason": "known", **entry}) for entry in exceptions]
    compiled = [FindingException.compile(entry, index) for index, entry in enumerate(entries)]
    fields = {
        **vars(guard("poisoning")),
        "type": TOOL_POISONING,
        "guard": TOOL_POISONING.build(given, GuardContext(guard_id="poisoning")),
        "points": ALL_POINTS,
        "exceptions": Exceptions(compiled, ServerTable(SERVERS)) if compiled else None,
        "actions": actions or {},
    }
    return BoundGuard(**fields)


async def verdict(bound: BoundGuard, *descriptions: str) -> str:
    decision = await decided(policy(bound, servers=SERVERS), listing(*descriptions))
    return decision.code or decision.verdict


@pytest.mark.parametrize(
    ("exception", "texts", "told"),
    [
        ({"rule": "blue", "tool": "0"}, ("so blue",), "allow"),
        ({"rule": "blue", "tool": "1"}, ("so blue",), "tool_poisoning_detected"),
        ({"rule": "blue", "tool": "f_0"}, ("so blue",), "tool_poisoning_detected"),
        ({"rule": "blue", "tool": "0"}, ("so blue", "blue too"), "tool_poisoning_detected"),
        ({"rule": "blue", "server": "files"}, ("so blue", "blue too"), "allow"),
        ({"rule": "blue", "tool": "0"}, ("so blue and red",), "allow"),
        ({"rule": "red", "tool": "0"}, ("so blue and red",), "tool_poisoning_detected"),
    ],
)
async def test_a_tool_denies_its_list_by_the_findings_that_are_left(
    exception: dict[str, str], texts: tuple[str, ...], told: str
) -> None:
    assert await verdict(poisoning(exception), *texts) == told


async def test_rules_that_are_logged_do_not_count_towards_a_threshold() -> None:
    assert await verdict(poisoning(alert_threshold=1), "red") == "tool_poisoning_detected"
    assert await verdict(poisoning(alert_threshold=1, actions={"red": RuleAction.LOG}), "red") == "allow"
    assert await verdict(poisoning(strict_mode=True, actions={"blue": RuleAction.LOG}), "blue red") != "allow"


async def test_a_rule_that_denies_does_so_with_the_code_of_the_guard() -> None:
    assert await verdict(poisoning(), "red") == "allow"
    assert await verdict(poisoning(actions={"red": RuleAction.DENY}), "red") == "tool_poisoning_detected"


async def test_an_exception_does_not_cover_findings_that_are_not_reported() -> None:
    texts = ["so blue"] * (MAX_FINDINGS + 1)
    assert await verdict(poisoning({"rule": "blue"}), *texts[1:]) == "allow"
    assert await verdict(poisoning({"rule": "blue"}), *texts) == "tool_poisoning_detected"


def test_its_rules_are_known_beforehand() -> None:
    assert TOOL_POISONING.rules is not None
    named = TOOL_POISONING.rules(ToolPoisoningSettings.model_validate(PATTERNS))
    assert named == {"blue", "red", MORE}
    assert "ansi_escape" in TOOL_POISONING.rules(ToolPoisoningSettings())
    assert "ansi_escape" not in TOOL_POISONING.rules(ToolPoisoningSettings(disabled_rules=("ansi_escape",)))


def test_reconsidering_nothing_is_an_allow() -> None:
    built: Any = poisoning().guard
    answer: Verdict = built.reconsider(listing(), ())
    assert type(answer).__name__ == "Allow"
