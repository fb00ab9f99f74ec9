"""Modifications: they compose, later guards see them, and none goes on that is not what was judged."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from guardsvc.mcp import InterpretationRules, Limits
from guardsvc.model import (
    ALLOW,
    Allow,
    ErrorKind,
    FailureMode,
    Kind,
    Mode,
    Modify,
    Operation,
    Pending,
    Phase,
)
from tests.engine.scripted import CALL, DENY, asked, busy, decided, finding, guard, hook, policy


def append(letter: str) -> Any:
    """A guard's answer that appends to the path."""

    def modify(operation: Operation) -> Modify:
        path = operation.payload["arguments"]["path"] + letter
        return Modify(payload={**operation.payload, "arguments": {"path": path}})

    return modify


def path_of(payload: Any) -> str:
    path: str = payload["arguments"]["path"]
    return path


@pytest.mark.parametrize("second", [guard, hook])
@pytest.mark.parametrize("first", [guard, hook])
async def test_modifications_compose_in_order(first: Any, second: Any) -> None:
    last = guard("last", priority=30)
    chain = policy(first("a", append("1"), priority=10), second("b", append("2"), priority=20), last)
    decision = await decided(chain)
    changed = "/a121" if (first, second) == (guard, hook) else "/a12"
    assert (decision.verdict, path_of(decision.payload)) == ("modify", changed)
    assert [path_of(operation.payload) for operation in asked(last)] == [changed]
    assert decision.operation is CALL
    assert path_of(CALL.payload) == "/a"


async def test_a_hook_beside_one_that_modifies_is_asked_again_about_what_goes_on() -> None:
    first, second, third = hook("a", append("1")), hook("b", append("2")), hook("c")
    decision = await decided(policy(first, second, third))
    assert path_of(decision.payload) == "/a12"
    assert [[path_of(op.payload) for op in asked(bound)] for bound in (first, second, third)] == [
        ["/a"],
        ["/a", "/a1"],
        ["/a", "/a12"],
    ]
    assert [outcome.guard for outcome in decision.outcomes] == ["a", "b", "c"]


async def test_native_guards_are_asked_again_about_what_a_hook_made() -> None:
    refuses = guard("native", lambda operation: DENY if path_of(operation.payload) == "/a1" else ALLOW, priority=1)
    watches = guard("shadow", mode=Mode.SHADOW, priority=1)
    later = guard("later", priority=300)

    decision = await decided(policy(refuses, watches, hook("a", append("1"), priority=200), later))

    assert (decision.verdict, decision.code, decision.guard) == ("deny", "access_denied", "native")
    assert [(outcome.guard, outcome.verdict) for outcome in decision.outcomes if outcome.guard == "native"] == [
        ("native", "allow"),
        ("native", "deny"),
    ]
    assert [len(asked(bound)) for bound in (refuses, watches, later)] == [2, 1, 0]


async def test_native_guards_are_not_asked_again_about_what_one_of_them_made_or_nobody_did() -> None:
    first, unchanged = guard("first", priority=1), hook("b", priority=3)
    decision = await decided(policy(first, guard("a", append("1"), priority=2), unchanged))
    assert (decision.verdict, len(asked(first))) == ("modify", 1)


async def test_a_hook_may_deny_when_it_is_asked_again_and_nobody_is_asked_after_that() -> None:
    denies_what_changed = hook("b", lambda operation: ALLOW if path_of(operation.payload) == "/a" else DENY)
    third = hook("c")
    decision = await decided(policy(hook("a", append("1")), denies_what_changed, third))
    assert (decision.verdict, decision.guard) == ("deny", "b")
    assert len(asked(third)) == 1


async def test_a_denial_stands_beside_a_modification_and_nobody_is_asked_again() -> None:
    met = asyncio.Barrier(2)

    async def meet_and_deny(_operation: Operation) -> Any:
        await met.wait()
        return DENY

    async def meet_and_modify(operation: Operation) -> Any:
        await met.wait()
        return append("1")(operation)

    denies = hook("b", meet_and_deny)
    decision = await decided(policy(hook("a", meet_and_modify), denies))
    assert (decision.verdict, decision.guard, decision.payload) == ("deny", "b", None)
    assert len(asked(denies)) == 1


@pytest.mark.parametrize("ending", [DENY, Pending(approval="x", message="")])
async def test_what_is_refused_after_a_modification_is_refused(ending: Any) -> None:
    decision = await decided(policy(guard("a", append("1")), guard("b", ending)))
    assert decision.verdict in ("deny", "pending")
    assert decision.payload is None


@pytest.mark.parametrize("payload", [None, {}, {"name": "read", "arguments": {"path": "/a", "n": [1, None, 2**70]}}])
async def test_a_modification_that_changes_nothing_is_an_allow(payload: Any) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(payload)) if payload != {} else {}
    operation = msgspec.structs.replace(CALL, payload=payload, subject=None)
    if payload and "arguments" in payload:
        copy["arguments"]["n"][2] = 2**70
    decision = await decided(
        policy(guard("g", Modify(payload=copy, findings=(finding("seen"),)))), operation, can_modify=False
    )
    assert (decision.verdict, decision.payload) == ("allow", None)
    assert [item.rule for item in decision.findings] == ["seen"]


@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (0, False), (1, 1.0), (2.0, 2), (0.0, -0.0)])
async def test_values_that_python_holds_equal_and_json_does_not_are_changes(before: Any, after: Any) -> None:
    operation = msgspec.structs.replace(CALL, payload={"name": "read", "arguments": {"x": before}})
    decision = await decided(policy(guard("g", Modify(payload={"name": "read", "arguments": {"x": after}}))), operation)
    assert decision.verdict == "modify"
    assert repr(decision.payload["arguments"]["x"]) == repr(after)


async def test_a_protocol_that_cannot_carry_a_modification_gets_a_denial() -> None:
    decision = await decided(policy(guard("a", append("1"))), can_modify=False)
    assert (decision.verdict, decision.code) == ("deny", "modification_unsupported")
    assert (decision.guard, decision.payload) == (None, None)
    assert [outcome.verdict for outcome in decision.outcomes] == ["modify"]


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def looped() -> dict[str, Any]:
    loop: dict[str, Any] = {"name": "read"}
    loop["arguments"] = loop
    return loop


LIMITS = InterpretationRules(limits=Limits(max_depth=8, max_keys=20, max_bytes=2_000))
BAD = {
    "not JSON": {"name": "read", "arguments": object()},
    "a set": {"name": "read", "arguments": {"x": {1}}},
    "bytes": {"name": "read", "arguments": {"x": b"x"}},
    "NaN": {"name": "read", "arguments": {"x": float("nan")}},
    "half a surrogate pair": {"name": "read", "arguments": {"x": "\ud800"}},
    "a key that is no string": {"name": "read", "arguments": {1: "x"}},
    "itself inside": looped(),
    "deeper than any interpreter": {"name": "read", "arguments": deep(100_000)},
    "deeper than the limit": {"name": "read", "arguments": {"x": deep(8)}},
    "more members than the limit": {"name": "read", "arguments": {str(n): n for n in range(30)}},
    "more bytes than the limit": {"name": "read", "arguments": {"x": "x" * 2_000}},
    "no object": ["read"],
    "null": None,
    "another tool": {"name": "write", "arguments": {}},
    "no tool": {"arguments": {}},
    "a tool that is no string": {"name": ["read"], "arguments": {}},
    "the tool in another case too": {"name": "read", "Name": "write"},
    "another revision": {"name": "read", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}},
    "answers that were not judged": {"name": "read", "inputResponses": {"q": {"action": "accept"}}},
}


@pytest.mark.parametrize("kind", [guard, hook])
@pytest.mark.parametrize("payload", BAD.values(), ids=BAD)
async def test_a_payload_that_must_not_go_on_is_a_bad_answer(payload: Any, kind: Any) -> None:
    decision = await decided(policy(kind("g", Modify(payload=payload)), rules=LIMITS))
    assert (decision.verdict, decision.code) == ("deny", "guard_bad_answer")
    assert decision.outcomes[0].error is ErrorKind.BAD_ANSWER


@pytest.mark.parametrize(
    ("kind", "phase", "method", "payload"),
    [
        (Kind.REQUEST, Phase.PROMPT_GET, "prompts/get", {"name": "other"}),
        (Kind.REQUEST, Phase.RESOURCE_READ, "resources/read", {"uri": "file:///b"}),
        (Kind.REQUEST, Phase.OTHER, "completion/complete", {"ref": {"type": "ref/prompt", "name": "other"}}),
        (Kind.RESULT, Phase.INPUT_RESPONSE, "", ["no object"]),
        (Kind.ERROR, Phase.INPUT_RESPONSE, "", "no object"),
    ],
)
async def test_every_kind_of_message_keeps_its_shape_and_subject(
    kind: Kind, phase: Phase, method: str, payload: Any
) -> None:
    before = {"name": "a", "uri": "file:///a", "ref": {"type": "ref/prompt", "name": "a"}}
    operation = msgspec.structs.replace(CALL, kind=kind, phase=phase, method=method, payload=before)
    decision = await decided(policy(guard("g", Modify(payload=payload))), operation)
    assert decision.code == "guard_bad_answer"


async def test_a_prefixed_name_may_stay_as_the_gateway_shows_it() -> None:
    """The subject is the server's own name, the payload has the gateway's."""
    operation = msgspec.structs.replace(CALL, payload={"name": "files_read"}, subject="read")
    changed = {"name": "files_read", "arguments": {}}
    assert (await decided(policy(guard("g", Modify(payload=changed))), operation)).payload == changed


@pytest.mark.parametrize("kind", [Kind.RESULT, Kind.ERROR])
async def test_results_and_errors_may_be_modified_within_their_shape(kind: Kind) -> None:
    operation = msgspec.structs.replace(CALL, kind=kind, phase=Phase.INPUT_RESPONSE, method="", payload={"a": 1})
    assert (await decided(policy(guard("g", Modify(payload={"a": 2}))), operation)).payload == {"a": 2}


async def test_a_bad_modification_of_a_fail_open_guard_is_dropped_and_the_others_stay() -> None:
    chain = policy(
        guard("a", append("1")), guard("bad", Modify(payload=5), failure_mode=FailureMode.FAIL_OPEN), guard("b")
    )
    assert path_of((await decided(chain)).payload) == "/a1"


async def test_a_shadow_modification_is_seen_by_nobody() -> None:
    later = guard("later", Allow())
    decision = await decided(policy(guard("a", append("1"), mode=Mode.SHADOW), later), can_modify=False)
    assert decision.verdict == "allow"
    assert path_of(asked(later)[0].payload) == "/a"


async def test_a_late_modification_is_a_failure() -> None:
    def slow(operation: Operation) -> Any:
        return busy(0.004, append("1")(operation))(operation)

    assert (await decided(policy(guard("a", slow, timeout=0.002)))).code == "guard_timeout"
