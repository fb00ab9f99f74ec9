"""What ``rate_limit`` refuses to be built of, and how a chain consumes it; what it refuses is in its cases."""

from __future__ import annotations

import json
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pydantic import ValidationError

from guardsvc.config import ConfigError
from guardsvc.engine import decide
from guardsvc.guards.native.rate_limit import RateLimit, RateLimitSettings
from guardsvc.model import Allow, Caller, Decision, Finding, GatewayProtocol, GuardContext, SettingsError, Severity
from guardsvc.server.configuration import load_configuration
from guardsvc.state import RATE_LIMITS, RateFact, Sources
from tests.engine.scripted import CALL

if TYPE_CHECKING:
    from pathlib import Path

    from guardsvc.policy import Policy

LIMIT: dict[str, Any] = {"key": ["principal"], "windows": ["2/hour"]}
CONTEXT = GuardContext(guard_id="rate_limit")


def build(context: GuardContext = CONTEXT, **settings: Any) -> RateLimit:
    return RateLimit(RateLimitSettings.model_validate({"limits": [LIMIT], **settings}), context)


def refused(path: tuple[str | int, ...], context: GuardContext = CONTEXT, **settings: Any) -> str:
    with pytest.raises(SettingsError) as error:
        build(context, **settings)
    assert error.value.path == path
    return str(error.value)


def loaded(folder: Path, *guards: dict[str, Any], workers: int = 1, **policy: Any) -> Policy:
    """The policy of a file with these guards; the first is a rate limit of two an hour unless it says otherwise."""
    entries = [
        {"type": "rate_limit", "timeout_ms": 60_000, "settings": {"limits": [LIMIT]}, **guard}
        for guard in guards or ({},)
    ]
    file = folder / "policy.json"
    service = {"workers": workers, "listeners": {"default": {"address": "127.0.0.1:0"}}}
    file.write_text(json.dumps({"service": service, "policy": {"deadline_ms": 60_000, "guards": entries, **policy}}))
    return load_configuration(file).policy


async def decided(policy: Policy, sources: Sources, **operation: Any) -> Decision:
    asked = msgspec.structs.replace(CALL, **operation)
    return await decide(policy, asked, deadline=perf_counter() + 60, can_modify=False, sources=sources.facts)


async def verdicts(policy: Policy, sources: Sources, count: int = 3, **operation: Any) -> list[str]:
    return [(await decided(policy, sources, **operation)).verdict for _ in range(count)]


async def test_a_refusal_says_which_limit_and_when_to_come_again(tmp_path: Path) -> None:
    policy = loaded(tmp_path)
    async with Sources() as sources:
        assert await verdicts(policy, sources, 2) == ["allow", "allow"]
        decision = await decided(policy, sources)
    assert (decision.code, decision.message, decision.guard) == ("rate_limited", "Too many requests.", "rate_limit")
    assert decision.details["limit"] == "limits[0]"
    assert 0 < decision.details["retry_after_ms"] <= 7_200_001
    assert [finding.rule for finding in decision.findings] == ["limits[0]"]


async def test_counters_outlive_the_policy(tmp_path: Path) -> None:
    async with Sources() as sources:
        assert await verdicts(loaded(tmp_path), sources) == ["allow", "allow", "deny"]
        assert await verdicts(loaded(tmp_path, name="another", deadline_ms=100), sources, 1) == ["deny"]
        more = {"settings": {"limits": [{**LIMIT, "cost": {"ping": 0}, "name": "limits[0]"}], "max_keys": 99}}
        assert await verdicts(loaded(tmp_path, more), sources, 1) == ["deny"]
        wider = {"settings": {"limits": [{**LIMIT, "windows": ["3/hour"]}]}}
        assert await verdicts(loaded(tmp_path, wider), sources, 1) == ["allow"]


@pytest.mark.parametrize("shadow", [{"mode": "shadow"}, {}])
async def test_shadow_says_what_would_be_and_takes_nothing(tmp_path: Path, shadow: dict[str, str]) -> None:
    whole: dict[str, Any] = {} if shadow else {"mode": "shadow"}
    async with Sources() as sources:
        policy = loaded(tmp_path, shadow, default="allow", **whole)
        outcomes = [(await decided(policy, sources)).outcomes[0] for _ in range(3)]
        assert [outcome.verdict for outcome in outcomes] == ["allow", "allow", "deny"]
        assert await verdicts(loaded(tmp_path), sources) == ["allow", "allow", "deny"]


async def test_the_command_line_takes_nothing(tmp_path: Path) -> None:
    policy = loaded(tmp_path)
    async with Sources() as sources:
        assert await verdicts(policy, sources, 9, protocol=GatewayProtocol.CLI) == ["allow"] * 9
        assert await verdicts(policy, sources) == ["allow", "allow", "deny"]
        assert await verdicts(policy, sources, 1, protocol=GatewayProtocol.CLI) == ["deny"]


async def test_two_guards_of_the_type_count_apart(tmp_path: Path) -> None:
    policy = loaded(tmp_path, {"id": "one"}, {"id": "two", "match": {"tools": ["read"]}})
    async with Sources() as sources:
        assert await verdicts(policy, sources) == ["allow", "allow", "deny"]
        assert await verdicts(policy, sources, 1, subject="write") == ["deny"]
        assert await verdicts(policy, sources, 1, caller=Caller(principal="bob", verified=True)) == ["allow"]


async def test_an_operation_that_an_earlier_guard_refuses_is_not_counted(tmp_path: Path) -> None:
    rules = [{"action": "allow", "tools": ["read"]}]
    access = {"type": "access_list", "priority": 1, "settings": {"default": "deny", "rules": rules}}
    policy = loaded(tmp_path, access, {"priority": 2}, servers={"files": {}})
    async with Sources() as sources:
        assert await verdicts(policy, sources, 9, subject="write") == ["deny"] * 9
        assert await verdicts(policy, sources) == ["allow", "allow", "deny"]


@pytest.mark.parametrize(("failure_mode", "verdict"), [("fail_closed", "deny"), ("fail_open", "allow")])
async def test_without_redis_the_failure_mode_decides(tmp_path: Path, failure_mode: str, verdict: str) -> None:
    settings = {"limits": [LIMIT], "storage": "redis://127.0.0.1:1"}
    policy = loaded(tmp_path, {"failure_mode": failure_mode, "settings": settings})
    async with Sources() as sources:
        decision = await decided(policy, sources)
    assert decision.verdict == verdict
    assert decision.outcomes[0].error == "state_unavailable"
    assert decision.code == ("state_unavailable" if verdict == "deny" else None)


def test_keys_counted_together_are_a_finding() -> None:
    verdict = build().evaluate(CALL, {RATE_LIMITS: RateFact(crowded=("calls",))})
    together = Finding(rule="counted_together", severity=Severity.LOW, excerpt="calls")
    assert verdict == Allow(findings=(together,))


def test_memory_and_several_workers() -> None:
    several = GuardContext(guard_id="rate_limit", workers=4)
    assert "each of the 4 workers would count for itself" in refused(("per_worker",), several)
    build(several, per_worker=True)
    build(several, storage="redis://localhost")
    build(GuardContext(guard_id="rate_limit", workers=1))


def test_memory_and_several_workers_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.guards\[0\]\.settings\.per_worker: each of the 2 workers"):
        loaded(tmp_path, workers=2)
    loaded(tmp_path, {"settings": {"limits": [LIMIT], "per_worker": True}}, workers=2)


@pytest.mark.parametrize("window", ["10", "0/second", "10/year", "ten/second"])
def test_a_window_that_is_none(window: str) -> None:
    limits = [LIMIT, {**LIMIT, "name": "second", "windows": ["1/second", window]}]
    assert "is not of the form 10/second" in refused(("limits", 1, "windows", 1), limits=limits)


def test_a_window_that_is_there_already() -> None:
    limits = [{**LIMIT, "windows": ["60/minute", "60 per 1 minute"]}]
    assert refused(("limits", 0, "windows", 1), limits=limits) == '"60 per 1 minute" is there already'


def test_a_name_that_is_there_already() -> None:
    limits = [LIMIT, {**LIMIT, "name": "limits[0]"}]
    assert refused(("limits", 1, "name"), limits=limits) == '"limits[0]" is the name of limits[0] too'


def test_a_cost_that_never_fits() -> None:
    limits = [{**LIMIT, "windows": ["9/minute", "3/second"], "cost": {"ping": 3, "tools/call": 4}}]
    assert refused(("limits", 0, "cost", "tools/call"), limits=limits) == '4 never fits "3/second"'


def test_moving_windows_that_would_fill_the_memory() -> None:
    moving = [{**LIMIT, "windows": ["5000/day"], "strategy": "moving_window"}]
    assert "would keep 50000000 entries in memory" in refused(("max_keys",), limits=moving)
    build(limits=moving, max_keys=2000)
    build(limits=moving, storage="redis://localhost")


def test_a_url_that_cannot_be_used_is_not_shown() -> None:
    assert "secret" not in refused(("storage",), storage="http://:secret@localhost")


def test_a_url_may_come_from_the_environment_and_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATES", "redis://:secret@localhost")
    policy = loaded(tmp_path, {"settings": {"limits": [LIMIT], "storage": "${env:RATES}"}})
    (entry,) = policy.settings.guards
    assert isinstance(entry.settings, RateLimitSettings)
    assert "secret" not in repr(policy.settings)
    assert policy.settings.model_dump(mode="json")["guards"][0]["settings"]["storage"] == "********"


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": []},
        {"limits": [{"windows": ["1/second"]}]},
        {"limits": [{"key": [], "windows": ["1/second"]}]},
        {"limits": [{"key": ["caller"], "windows": ["1/second"]}]},
        {"limits": [{"key": ["tool"], "windows": []}]},
        {"limits": [{**LIMIT, "strategy": "leaky_bucket"}]},
        {"limits": [{**LIMIT, "cost": {"ping": -1}}]},
        {"limits": [LIMIT], "max_keys": 1},
        {"limits": [LIMIT], "storage": ""},
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RateLimitSettings.model_validate(settings)
