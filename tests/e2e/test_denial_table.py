"""Every reason of the table reaches a real client as an error it raises at once, and the client goes on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from mcp import Client, MCPError
from mcp.types import Implementation

from deploy.demo.wire import Wire
from guardsvc.model import REASONS
from tests.e2e.ask import send
from tests.e2e.told_guard import REFUSED_CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.stack import Stack

AT_ONCE = 30.0
"""Seconds; a client that got nothing would wait for 10 and tell of that."""

STREAM = ("accept", "text/event-stream")
PREFLIGHT = [("origin", "http://localhost"), ("access-control-request-method", "POST")]

both_statuses = pytest.mark.parametrize("status", [200, 403])
both_eras = pytest.mark.parametrize("mode", ["auto", "legacy"])


@both_eras
@both_statuses
async def test_a_client_raises_every_reason_and_goes_on(refusals: Stack, status: int, mode: str) -> None:
    raised, expected = {}, {}
    async with Wire() as wire, wire.client(_url(refusals, status), mode) as client:
        for code, reason in REASONS.items():
            async with asyncio.timeout(AT_ONCE):
                with pytest.raises(MCPError) as caught:
                    await client.call_tool("read_file", {"path": "README.md", "reason": code})
            error, post = caught.value.error, wire.last_post
            raised[code] = (error.code, error.message, error.data["reason"], post.status, post.decision_id)
            stateless = reason.stateless_status if mode == "auto" else None
            answered = reason.status or stateless or status
            expected[code] = (reason.jsonrpc, reason.text, code, answered, error.data["decision_id"])
            await client.list_tools()
    assert raised == expected


@both_eras
@both_statuses
async def test_a_reason_of_a_third_party_counts_as_a_denial_by_policy(refusals: Stack, status: int, mode: str) -> None:
    async with Wire() as wire, wire.client(_url(refusals, status), mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("read_file", {"path": "README.md", "reason": "full_moon"})
        assert (caught.value.code, caught.value.error.data["reason"]) == (-32001, "full_moon")
        assert wire.last_post.status == status


@both_eras
@both_statuses
async def test_a_client_that_may_not_connect_is_told_so(refusals: Stack, status: int, mode: str) -> None:
    info = Implementation(name=REFUSED_CLIENT, version="1")
    async with asyncio.timeout(AT_ONCE):
        with pytest.RaisesGroup(MCPError, flatten_subgroups=True) as caught:
            await Client(_url(refusals, status), mode=mode, client_info=info).__aenter__()
    (error,) = _flatten(caught.value)
    assert (error.code, error.error.data["reason"]) == (-32001, "access_denied")


@both_statuses
@pytest.mark.parametrize(
    ("reason", "method", "path", "headers"),
    [
        ("stream_not_allowed", "GET", "/mcp", [STREAM]),
        ("session_end_not_allowed", "DELETE", "/mcp", []),
        ("well_known_not_allowed", "GET", "/.well-known/oauth-protected-resource/mcp", []),
        ("preflight_not_allowed", "OPTIONS", "/mcp", PREFLIGHT),
        ("not_mcp", "PUT", "/mcp", []),
    ],
)
def test_requests_without_a_message(
    refusals: Stack, status: int, reason: str, method: str, path: str, headers: list[tuple[str, str]]
) -> None:
    answer = send(method, _url(refusals, status).replace("/mcp", path), headers=headers)
    assert answer.status == REASONS[reason].status
    assert answer.headers["content-type"] == "application/json"
    error = json.loads(answer.body)
    assert "id" not in error
    assert error["error"]["data"] == {"decision_id": answer.decision_id, "reason": reason}


@both_statuses
def test_a_message_that_awaits_no_answer(refusals: Stack, status: int) -> None:
    codes = {code: reason.status_without_id for code, reason in REASONS.items() if reason.status is None}
    answered = {}
    for code in codes:
        params = {"name": "read_file", "arguments": {"reason": code}}
        body = json.dumps({"jsonrpc": "2.0", "method": "tools/call", "params": params}).encode()
        answer = send("POST", _url(refusals, status), body, [("content-type", "application/json")])
        error = json.loads(answer.body)
        assert "id" not in error
        answered[error["error"]["data"]["reason"]] = answer.status
    assert answered == codes


def _flatten(group: BaseExceptionGroup[MCPError]) -> Iterator[MCPError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flatten(error)
        else:
            yield error


def _url(refusals: Stack, status: int) -> str:
    return refusals.url(None if status == 200 else "status_403")
