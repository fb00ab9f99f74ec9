"""Params and results as clients' libraries read them: what is right for each type, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.mcp.method_types import find_params_fault, find_result_fault

TEXT = {"type": "text", "text": "x"}
RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"content": [], "structuredContent": [1], "_meta": {}}),
    ("tools/call", {"content": [TEXT, {"type": "image", "data": "", "mimeType": "image/png"}], "isError": True}),
    ("tools/call", {"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": ""}}]}),
    ("tools/call", {"content": [{"type": "resource_link", "uri": "a:b", "name": "n"}, {"type": "newer", "x": 1}]}),
    ("tools/call", {"task": {"taskId": "1"}}),
    ("tools/call", {"resultType": "input_required", "inputRequests": {"a": {}}, "requestState": "s"}),
    ("tools/call", {"resultType": "complete", "content": [TEXT]}),
    ("tools/list", {"tools": [{"name": "a", "inputSchema": {"type": "object"}, "icons": []}], "nextCursor": "c"}),
    ("prompts/list", {"prompts": [{"name": "a", "arguments": [{"name": "x"}]}]}),
    ("resources/list", {"resources": [{"uri": "a:b", "name": ""}], "ttlMs": 5, "cacheScope": "private"}),
    ("resources/templates/list", {"resourceTemplates": [{"uriTemplate": "a:{b}", "name": "n"}]}),
    ("prompts/get", {"messages": [{"role": "user", "content": TEXT}], "description": "d"}),
    ("resources/read", {"contents": [{"uri": "a:b", "text": ""}]}),
    ("completion/complete", {"completion": {"values": ["a"], "total": 1}}),
    ("initialize", {"protocolVersion": "x", "capabilities": {}, "serverInfo": {"name": "n", "version": "1"}}),
    ("server/discover", {"supportedVersions": ["x"], "capabilities": {}}),
    ("ping", {}),
    ("x/y", {"anything": [1]}),
]
WRONG: list[tuple[str, Any]] = [
    ("tools/call", {}),
    ("tools/call", {"content": "x"}),
    ("tools/call", {"content": [{"type": "text"}]}),
    ("tools/call", {"content": [{"text": "x"}]}),
    ("tools/call", {"content": [{"type": "image", "data": ""}]}),
    ("tools/call", {"content": [{"type": "resource", "resource": {"uri": "a:b"}}]}),
    ("tools/call", {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "", "blob": ""}}]}),
    ("tools/call", {"content": [TEXT], "isError": "no"}),
    ("tools/call", {"resultType": "input_required", "inputRequests": []}),
    ("tools/list", {"tools": [{"name": "a"}]}),
    ("tools/list", {"tools": [{"name": "", "inputSchema": {}}]}),
    ("tools/list", {"tools": {}}),
    ("tools/list", {"task": {}}),
    ("prompts/list", {"prompts": [{}]}),
    ("resources/list", {"resources": [{"uri": "a:b"}]}),
    ("resources/templates/list", {"resourceTemplates": [{"name": "n"}]}),
    ("prompts/get", {"messages": [{"role": "system", "content": TEXT}]}),
    ("prompts/get", {"messages": [{"role": "user", "content": "x"}]}),
    ("resources/read", {"contents": [{"text": "x"}]}),
    ("completion/complete", {"completion": {}}),
    ("initialize", {"protocolVersion": "x", "capabilities": {}}),
    ("server/discover", {"capabilities": {}}),
    ("ping", []),
    ("x/y", None),
]


@pytest.mark.parametrize(("method", "result"), RIGHT)
def test_results_that_are_right(method: str, result: Any) -> None:
    assert find_result_fault(method, result) is None


@pytest.mark.parametrize(("method", "result"), WRONG)
def test_results_that_are_none(method: str, result: Any) -> None:
    assert find_result_fault(method, result) is not None


@pytest.mark.parametrize(
    ("method", "params", "right"),
    [
        ("tools/call", {"name": "a", "arguments": {"x": 1}, "requestState": "s"}, True),
        ("tools/call", {"name": ""}, False),
        ("tools/call", {"arguments": {}}, False),
        ("tools/call", {"name": "a", "arguments": []}, False),
        ("prompts/get", {"name": "a", "arguments": {"x": "1"}}, True),
        ("prompts/get", {"name": "a", "arguments": {"x": 1}}, False),
        ("resources/read", {"uri": "a:b"}, True),
        ("resources/read", {"name": "a"}, False),
        ("x/y", {}, True),
        ("x/y", [], False),
    ],
)
def test_params(method: str, params: Any, right: bool) -> None:
    assert (find_params_fault(method, params) is None) is right
