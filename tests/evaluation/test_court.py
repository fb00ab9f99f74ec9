"""What of a tools list is flagged, whatever way a guard has to refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.config import Checker, Document
from guardsvc.evaluation.court import Court
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Modify,
    Operation,
    Phase,
    Settings,
    Severity,
    Verdict,
)
from guardsvc.policy import Policy, build_policy, policy_model

if TYPE_CHECKING:
    from collections.abc import Callable


def indexes(operation: Operation, word: str) -> list[int]:
    return [at for at, tool in enumerate(operation.payload["tools"]) if word in tool.get("description", "")]


def finding(at: int, severity: Severity = Severity.HIGH) -> Finding:
    return Finding(rule="r", severity=severity, where=f"/tools/{at}/description")


def denies(operation: Operation) -> Verdict:
    found = indexes(operation, "evil")
    odd = tuple(finding(at, Severity.LOW) for at in indexes(operation, "odd"))
    return Deny(code="bad", message="Bad.", findings=(*map(finding, found), *odd)) if found else Allow(findings=odd)


def denies_without_a_place(operation: Operation) -> Verdict:
    return Deny(code="bad", message="Bad.") if indexes(operation, "evil") else ALLOW


def takes_out(operation: Operation) -> Verdict:
    found = indexes(operation, "evil")
    tools = [tool for at, tool in enumerate(operation.payload["tools"]) if at not in found]
    return Modify(payload={"tools": tools}) if found else ALLOW


def denies_many(operation: Operation) -> Verdict:
    found = indexes(operation, "evil")
    return Deny(code="bad", message="Bad.", findings=tuple(map(finding, found))) if len(found) > 1 else ALLOW


def denies_elsewhere(operation: Operation) -> Verdict:
    odd = tuple(finding(at, Severity.LOW) for at in indexes(operation, "odd"))
    return Deny(code="bad", message="Bad.", findings=odd) if indexes(operation, "evil") else Allow(findings=odd)


def notes(operation: Operation) -> Verdict:
    return Allow(findings=tuple(finding(at, Severity.INFO) for at in indexes(operation, "evil")))


def policy(judge: Callable[[Operation], Verdict]) -> Policy:
    class Guard:
        def __init__(self, settings: Settings, context: GuardContext) -> None: ...

        def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
            del facts
            return judge(operation)

    registry = {
        "it": GuardType(name="it", settings=Settings, build=Guard, runs_on=frozenset({Phase.TOOLS_LIST})),
    }
    document = Document("p", {"guards": [{"type": "it"}]})
    checker = Checker(document)
    settings: Any = checker.check(policy_model(registry), document.value)
    built = build_policy(settings, registry, checker)
    assert built is not None
    return built


LIST = [
    {"name": f"t{at}", "description": text, "inputSchema": {"type": "object"}}
    for at, text in enumerate(["fine", "evil", "odd", "evil too", "fine"])
]


@pytest.mark.parametrize(
    ("judge", "denied", "reviewed"),
    [
        (denies, [1, 3], [1, 2, 3]),
        (denies_without_a_place, [1, 3], [1, 3]),
        (denies_many, [1, 3], [1, 3]),
        (denies_elsewhere, [1, 3], [1, 2, 3]),
        (takes_out, [1, 3], [1, 3]),
        (notes, [], []),
    ],
)
def test_tools_of_a_list(judge: Callable[[Operation], Verdict], denied: list[int], reviewed: list[int]) -> None:
    with Court(policy(judge)) as court:
        flags = court.tools(LIST, "server")

        assert [at for at, flag in enumerate(flags) if flag.denied] == denied
        assert [at for at, flag in enumerate(flags) if flag.reviewed] == reviewed
        assert court.tools(LIST, "server", [3, 0]) == [flags[3], flags[0]]
        assert court.tools([], "server") == []


def test_a_guard_that_cannot_answer_is_told() -> None:
    def fails(operation: Operation) -> Verdict:
        raise KeyError(operation.method)

    with Court(policy(fails)) as court:
        court.tools(LIST[:1], "server")

        assert court.failures == {"guard it could not answer (exception): KeyError: 'tools/list'": 2}


def test_what_the_policy_has_no_guard_for_is_not_judged() -> None:
    with Court(policy(denies)) as court:
        assert court.judges("tools/list")
        assert not court.judges("tools/call")
