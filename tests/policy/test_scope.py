"""Whether a guard is asked: ``match`` and ``active``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from guardsvc.model import Caller, Direction, Kind, Phase
from guardsvc.policy import BoundGuard
from tests.policy.built import build, operation


def bound(entry: str) -> BoundGuard:
    (guard,) = build(
        f"policy: {{servers: {{files: {{}}, mail: {{}}}}, guards: [{{type: native_guard, {entry}}}]}}"
    ).guards
    return guard


SAID: dict[str, Any] = {
    "direction": Direction.RESPONSE,
    "phase": Phase.OTHER,
    "kind": Kind.NOTIFICATION,
    "method": "notifications/message",
}
"""What a server says while the tool runs."""


@pytest.mark.parametrize(
    ("match", "fields", "judged"),
    [
        ("{}", {}, True),
        ("{tools: [read]}", {}, True),
        ("{tools: [write]}", {}, False),
        ("{tools: [write, 're*']}", {}, True),
        ("{tools: [Read]}", {}, False),
        ("{tools: [read]}", {"phase": Phase.TOOL_RESULT}, True),
        ("{tools: ['*']}", {"phase": Phase.PROMPT_GET, "method": "prompts/get"}, False),
        ("{tools: ['*']}", {"phase": Phase.TOOLS_LIST, "subject": None}, False),
        ("{tools: ['*']}", {"subject": None}, False),
        ("{tools: [read]}", SAID, True),
        ("{tools: [read]}", SAID | {"kind": Kind.REQUEST, "method": "sampling/createMessage"}, True),
        ("{tools: [write]}", SAID, False),
        ("{tools: ['*']}", SAID | {"subject": None}, False),
        ("{tenants: [acme]}", {}, True),
        ("{tenants: ['a*', other]}", {}, True),
        ("{tenants: [other]}", {}, False),
        ("{tenants: ['*']}", {"caller": Caller(principal="ann")}, False),
        ("{principals: [ann]}", {}, True),
        ("{principals: ['spiffe://*']}", {"caller": Caller(principal="spiffe://acme/a")}, True),
        ("{principals: ['spiffe://*']}", {}, False),
        ("{principals: ['*']}", {"caller": Caller(tenant="acme")}, False),
        ("{methods: ['tools/*']}", {}, True),
        ("{methods: [tools/list]}", {}, False),
        ("{methods: ['*']}", {"method": ""}, True),
        ("{servers: [files]}", {}, True),
        ("{servers: ['*ail']}", {}, False),
        ("{servers: [mail]}", {"servers": ("files", "mail")}, True),
        ("{servers: ['*']}", {"servers": ()}, False),
        ("{tools: [read], tenants: [acme], servers: [files], methods: [tools/call]}", {}, True),
        ("{tools: [read], tenants: [other]}", {}, False),
        ("{tools: [write], tenants: [acme]}", {}, False),
    ],
)
def test_match(match: str, fields: dict[str, Any], *, judged: bool) -> None:
    assert bound(f"match: {match}").judges(operation(**fields), 0.0) is judged


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("active", "now", "judged"),
    [
        ("{}", "1971-01-01T00:00:00", True),
        ("{from: 2026-03-01T12:00:00Z}", "2026-03-01T11:59:59.999", False),
        ("{from: 2026-03-01T12:00:00Z}", "2026-03-01T12:00:00", True),
        ("{from: '2026-03-01T12:00:00+02:00'}", "2026-03-01T10:00:00", True),
        ("{from: '2026-03-01T12:00:00+02:00'}", "2026-03-01T09:59:59", False),
        ("{until: 2026-03-01T12:00:00Z}", "2026-03-01T11:59:59.999", True),
        ("{until: 2026-03-01T12:00:00Z}", "2026-03-01T12:00:00", False),
        ("{from: 2026-03-01T00:00:00Z, until: 2026-03-02T00:00:00Z}", "2026-03-01T23:59:59", True),
        ("{from: 2026-03-01T00:00:00Z, until: 2026-03-02T00:00:00Z}", "2026-02-28T23:59:59", False),
        ("{from: 2026-03-01T00:00:00Z, until: 2026-03-02T00:00:00Z}", "2026-03-02T00:00:00", False),
    ],
)
def test_a_window_opens_with_its_first_instant_and_ends_before_its_last(active: str, now: str, *, judged: bool) -> None:
    assert bound(f"active: {active}").judges(operation(), at(now)) is judged


def test_match_and_window_must_both_hold() -> None:
    guard = bound("match: {tools: [read]}, active: {from: 2026-03-01T00:00:00Z}")
    assert guard.judges(operation(), at("2026-03-01T00:00:00"))
    assert not guard.judges(operation(subject="write"), at("2026-03-01T00:00:00"))
    assert not guard.judges(operation(), at("2026-02-01T00:00:00"))
