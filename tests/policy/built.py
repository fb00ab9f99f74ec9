"""Policies built from YAML with two types of guards that do nothing but say how they were built."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from guardsvc.config import Checker, ConfigError, Document
from guardsvc.model import (
    ALLOW,
    Caller,
    Direction,
    Facts,
    GatewayProtocol,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    Phase,
    Settings,
    SettingsError,
    Tier,
    Verdict,
)
from guardsvc.policy import Policy, build_policy, policy_model


class NativeSettings(Settings):
    words: tuple[str, ...] = ()


class RemoteSettings(Settings):
    url: str


class Built:
    def __init__(self, settings: Settings, context: GuardContext) -> None:
        self.settings = settings
        self.context = context

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:  # noqa: ARG002
        return ALLOW


def build_native(settings: NativeSettings, context: GuardContext) -> Built:
    for index, word in enumerate(settings.words):
        if word == "bad":
            raise SettingsError(("words", index), '"bad" is a bad word')
    return Built(settings, context)


NATIVE = GuardType(name="native_guard", settings=NativeSettings, build=build_native)
REMOTE = GuardType(
    name="remote",
    settings=RemoteSettings,
    build=Built,
    tier=Tier.HTTP,
    runs_on=frozenset({Phase.TOOL_RESULT, Phase.TOOLS_LIST}),
)
REGISTRY = {guard_type.name: guard_type for guard_type in (NATIVE, REMOTE)}


def build(text: str) -> Policy:
    document = Document.parse(dedent(text), "p.yaml")
    checker = Checker(document)
    settings: Any = checker.check(policy_model(REGISTRY), document.value.get("policy", {}), ("policy",))
    policy = None if settings is None else build_policy(settings, REGISTRY, checker)
    checker.raise_if_any()
    assert policy is not None
    return policy


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build(text)
    return [problem.text for problem in caught.value.problems]


def operation(**fields: Any) -> Operation:
    given: dict[str, Any] = {
        "protocol": GatewayProtocol.EXT_AUTHZ,
        "direction": Direction.REQUEST,
        "phase": Phase.TOOL_INVOKE,
        "kind": Kind.REQUEST,
        "method": "tools/call",
        "servers": ("files",),
        "subject": "read",
        "caller": Caller(tenant="acme", principal="ann"),
    }
    return Operation(**{**given, **fields})
