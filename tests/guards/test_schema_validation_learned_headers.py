"""``Mcp-Param-*`` header fields of calls, by the schema that a tool is pinned with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc.guards.native.schema_validation.guard import SchemaValidation
from guardsvc.guards.native.schema_validation.param_headers import LearnedHeaders
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings
from guardsvc.model import Deny, Direction, GatewayProtocol, GuardContext, Headers, Kind, Operation, Phase
from guardsvc.state.catalog import CATALOG

SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
PINNED = {"sha256:1": json.dumps({"name": "t", "inputSchema": SCHEMA}).encode()}


def call(headers: dict[str, str], arguments: Any = None, **more: Any) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=1,
        server="files",
        servers=("files",),
        subject="t",
        payload={"name": "t", "arguments": {"region": "eu"} if arguments is None else arguments},
        headers=Headers(headers.items()),
        **{"revision": "2026-07-28", "http_method": "POST", **more},
    )


@pytest.mark.parametrize(
    ("headers", "arguments", "fine"),
    [
        ({"mcp-param-region": "eu"}, None, True),
        ({"mcp-param-region": "us"}, None, False),
        ({}, None, False),
        ({}, {}, True),
        ({"mcp-param-region": "eu"}, {}, False),
    ],
)
def test_header_fields_mirror_the_pinned_schema(headers: dict[str, str], arguments: Any, fine: bool) -> None:
    guard = SchemaValidation(SchemaValidationSettings(learned_from="rug_pull"), GuardContext(guard_id="g"))
    verdict = guard.evaluate(call(headers, arguments), {CATALOG: PINNED})
    assert isinstance(verdict, Deny) is not fine
    if isinstance(verdict, Deny):
        assert (verdict.code, verdict.findings[0].rule) == ("header_mismatch", "param_header")


@pytest.mark.parametrize("more", [{"revision": "2025-11-25"}, {"http_method": ""}])
def test_what_carries_no_such_fields_is_not_judged(more: dict[str, Any]) -> None:
    assert LearnedHeaders().problem(call({}, **more), PINNED) is None


def test_a_declaration_that_breaks_the_rules_asks_for_nothing() -> None:
    broken = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
    pinned = {"sha256:2": json.dumps({"name": "t", "inputSchema": broken}).encode()}
    assert LearnedHeaders().problem(call({}), pinned) is None
