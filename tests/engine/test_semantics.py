"""Any chain of guards against a plain model of what a chain means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guardsvc.model import ALLOW, Deny, FailureMode, Mode, Modify, Operation, Pending
from guardsvc.policy import BoundGuard
from tests.engine.scripted import CALL, decided, guard, hook, policy

SAYS = ("allow", "deny", "deny if changed", "append", "same", "pending", "raise", "nonsense")


@dataclass(frozen=True)
class Spec:
    says: str
    is_hook: bool
    priority: int
    failure_mode: FailureMode
    mode: Mode


specs = st.lists(
    st.builds(
        Spec,
        says=st.sampled_from(SAYS),
        is_hook=st.booleans(),
        priority=st.integers(0, 2),
        failure_mode=st.sampled_from(FailureMode),
        mode=st.sampled_from((Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW)),
    ),
    max_size=7,
)


def answer(spec: Spec, name: str) -> Any:
    def evaluate(operation: Operation) -> Any:
        path: str = operation.payload["arguments"]["path"]
        match spec.says:
            case "deny":
                return Deny(code="refused", message=name)
            case "deny if changed":
                return Deny(code="refused", message=name) if path else ALLOW
            case "append":
                return Modify(payload={"name": "read", "arguments": {"path": path + name}})
            case "same":
                return Modify(payload={"arguments": {"path": path}, "name": "read"})
            case "pending":
                return Pending(approval=name, message="")
            case "raise":
                raise ValueError
            case "nonsense":
                return 5
            case _:
                return ALLOW

    return evaluate


@dataclass
class Expected:
    """What the chain should come to: the path as changed so far, the record, and how it ended."""

    path: str = ""
    judged: bool = False
    end: tuple[str, str | None, str | None] | None = None
    record: list[tuple[str, str]] | None = None


def verdict_of(spec: Spec, name: str, path: str) -> tuple[str, str | None, str]:
    """Verdict, reason code and the path that goes on."""
    if spec.says in ("raise", "nonsense"):
        if spec.failure_mode is FailureMode.FAIL_OPEN:
            return "allow", None, path
        return "deny", "guard_error" if spec.says == "raise" else "guard_bad_answer", path
    if spec.says == "deny" or (spec.says == "deny if changed" and path):
        return "deny", "refused", path
    if spec.says == "append":
        return "modify", None, path + name
    if spec.says == "pending":
        return "pending", "approval_required", path
    return "allow", None, path


def expected(chain: list[tuple[str, Spec]]) -> Expected:
    result = Expected(record=[])
    natives: list[tuple[str, Spec]] = []
    for _, step in groupby(sorted(chain, key=lambda item: item[1].priority), key=lambda item: item[1].priority):
        members = list(step)
        for name, spec in members:
            if not spec.is_hook:
                natives.append((name, spec))
                take(result, name, spec, verdict_of(spec, name, result.path))
                if result.end:
                    return result
        hooks = [(name, spec) for name, spec in members if spec.is_hook]
        asked_with = result.path
        first = {name: verdict_of(spec, name, asked_with) for name, spec in hooks}
        refused = any(first[name][0] in ("deny", "pending") and spec.mode is Mode.ENFORCE for name, spec in hooks)
        for name, spec in hooks:
            again = result.path != asked_with and not refused and not result.end
            take(result, name, spec, verdict_of(spec, name, result.path) if again else first[name])
        if result.path != asked_with:
            for name, spec in natives:
                said = verdict_of(spec, name, result.path)
                if spec.mode is Mode.ENFORCE and not result.end and said[0] != "allow":
                    take(result, name, spec, said)
        if result.end:
            return result
    return result


def take(result: Expected, name: str, spec: Spec, said: tuple[str, str | None, str]) -> None:
    verdict, code, path = said
    assert result.record is not None
    result.record.append((name, verdict))
    if spec.mode is Mode.SHADOW or result.end:
        return
    result.judged = True
    if verdict in ("deny", "pending"):
        result.end = (verdict, code, name)
    else:
        result.path = path


def conclusion(result: Expected, default: str, *, can_modify: bool) -> tuple[str, str | None, str | None]:
    if result.end:
        return result.end
    if not result.judged and default == "deny":
        return "deny", "default_deny", None
    if not result.path:
        return "allow", None, None
    return ("modify", None, None) if can_modify else ("deny", "modification_unsupported", None)


def bind(name: str, spec: Spec) -> BoundGuard:
    make = hook if spec.is_hook else guard
    return make(name, answer(spec, name), priority=spec.priority, failure_mode=spec.failure_mode, mode=spec.mode)


@given(chosen=specs, default=st.sampled_from(["allow", "deny"]), can_modify=st.booleans())
def test_a_chain_means_what_the_model_says(chosen: list[Spec], default: str, *, can_modify: bool) -> None:
    chain = [("abcdefg"[index], spec) for index, spec in enumerate(chosen)]
    start: dict[str, Any] = {"name": "read", "arguments": {"path": ""}}
    operation = Operation(**{name: getattr(CALL, name) for name in CALL.__struct_fields__} | {"payload": start})
    guards = [bind(name, spec) for name, spec in chain]

    async def run() -> Any:
        return await decided(policy(*guards, default=default), operation, can_modify=can_modify)

    decision = asyncio.run(run())

    result = expected(chain)
    assert (decision.verdict, decision.code, decision.guard) == conclusion(result, default, can_modify=can_modify)
    assert [(outcome.guard, outcome.verdict) for outcome in decision.outcomes] == result.record
    changed = {"name": "read", "arguments": {"path": result.path}}
    assert decision.payload == (changed if decision.verdict == "modify" else None)
    assert start == {"name": "read", "arguments": {"path": ""}}
