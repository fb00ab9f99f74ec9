"""Revisions: the tables agree with the types of the SDK, except for tasks, which it leaves out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from mcp_types import methods as sdk
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

from guardsvc.mcp.revisions import (
    KNOWN_METHODS,
    REVISIONS,
    allows_batches,
    is_at_least,
    methods,
    phase_of,
    response_phase_of,
)
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import RESPONSE_PHASES, Phase


def without_tasks(names: Iterable[str]) -> set[str]:
    return {name for name in names if "tasks/" not in name and name != "notifications/tasks"}


def test_revisions_are_those_of_the_sdk() -> None:
    assert REVISIONS == KNOWN_PROTOCOL_VERSIONS


@pytest.mark.parametrize("revision", REVISIONS)
def test_methods_are_those_of_the_sdk(revision: str) -> None:
    table = methods(revision)
    assert table is not None
    for ours, theirs in (
        (table.requests, sdk.CLIENT_REQUESTS),
        (table.notifications, sdk.CLIENT_NOTIFICATIONS),
        (table.server_requests, sdk.SERVER_REQUESTS),
        (table.server_notifications, sdk.SERVER_NOTIFICATIONS),
    ):
        expected = {method for method, version in theirs if version == revision}
        assert without_tasks(ours) == expected
        assert ours <= KNOWN_METHODS


def test_tasks() -> None:
    by_revision = {
        revision: {name for name in table.requests if name.startswith("tasks/")}
        for revision in REVISIONS
        if (table := methods(revision))
    }
    assert by_revision == {
        "2024-11-05": set(),
        "2025-03-26": set(),
        "2025-06-18": set(),
        "2025-11-25": {"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"},
        "2026-07-28": {"tasks/get", "tasks/update", "tasks/cancel"},
    }


def test_unknown_revision() -> None:
    assert methods("2099-01-01") is None
    assert not is_at_least("2099-01-01", "2024-11-05")


def test_order_and_features() -> None:
    assert is_at_least("2025-06-18", "2025-06-18")
    assert is_at_least("2026-07-28", "2025-11-25")
    assert not is_at_least("2025-03-26", "2025-06-18")
    assert [revision for revision in REVISIONS if allows_batches(revision)] == ["2025-03-26"]


@pytest.mark.parametrize("kind", TransportKind)
def test_transport_is_connection(kind: TransportKind) -> None:
    assert phase_of(kind) is Phase.CONNECTION
    assert kind in KNOWN_METHODS


def test_an_unknown_method_has_the_other_phase() -> None:
    assert phase_of("vendor/own") is Phase.OTHER
    assert response_phase_of("vendor/own") is Phase.OTHER


@pytest.mark.parametrize("method", sorted(KNOWN_METHODS | {"", "vendor/own"}))
def test_every_answer_has_a_phase_of_responses(method: str) -> None:
    assert response_phase_of(method) in RESPONSE_PHASES


def test_phases_of_answers() -> None:
    assert {
        method: response_phase_of(method) for method in ("tools/list", "initialize", "server/discover", "ping")
    } == {
        "tools/list": Phase.TOOLS_LIST,
        "initialize": Phase.CONNECTION,
        "server/discover": Phase.CONNECTION,
        "ping": Phase.CONNECTION,
    }
    assert {response_phase_of(method) for method in ("tools/call", "tasks/result")} == {Phase.TOOL_RESULT}
    assert response_phase_of("prompts/get") is Phase.PROMPT_RESULT
    assert response_phase_of("resources/read") is Phase.RESOURCE_RESULT
    assert response_phase_of("resources/subscribe") is Phase.OTHER
