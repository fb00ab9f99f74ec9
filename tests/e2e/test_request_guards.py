"""One hostile call per request guard, from the SDK's client through Envoy: what the client, the audit and metrics say.

A guard is added by its entry in ``policies/request_guards.yaml`` and a row of ``HOSTILE``.
"""

from __future__ import annotations

import json
import time
import urllib.request
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from mcp import MCPError

from deploy.demo.bootstrap import GUARDSVC
from deploy.demo.stack import Stack
from deploy.demo.wire import Wire
from guardsvc.guards.native import NATIVE
from guardsvc.model import REASONS, Direction, Phase
from tests.e2e.ask import at_the_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

POLICY = Path(__file__).parent / "policies" / "request_guards.yaml"
WRITTEN_WITHIN = 60.0
LEARNED = {"rug_pull"}
"""Guards that refuse calls by what lists have shown before: see ``test_both_directions``."""


class Hostile(NamedTuple):
    """A call that a guard refuses, and a harmless one beside it.

    Attributes:
        harmless_tool: of the harmless call; None where it is the same.
        accept: what the hostile call accepts, None where it is what the SDK says.
        again: whether the guard lets a first such call be.
    """

    guard: str
    tool: str
    arguments: dict[str, Any]
    reason: str
    rule: str
    where: str
    harmless: dict[str, Any]
    harmless_tool: str | None = None
    accept: str | None = None
    again: bool = False


BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def github_token() -> str:
    """A token with the form and the checksum of GitHub's, which nobody was ever given."""
    body = "".join(BASE62[zlib.crc32(bytes((7, index))) % 62] for index in range(30))
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return f"ghp_{body}{digits}"


HOSTILE = [
    Hostile(
        guard="protocol_compliance",
        tool="search",
        arguments={"query": "x"},
        accept="application/json",
        reason="invalid_header",
        rule="accept",
        where="",
        harmless={"query": "x"},
    ),
    Hostile(
        guard="access_list",
        tool="delete_everything",
        arguments={},
        reason="access_denied",
        rule="no_deleting",
        where="",
        harmless_tool="search",
        harmless={"query": "delete_everything"},
    ),
    Hostile(
        guard="rate_limit",
        tool="export_orders",
        arguments={"order": "7"},
        again=True,
        reason="rate_limited",
        rule="exports",
        where="",
        harmless_tool="refund",
        harmless={"order": "7"},
    ),
    Hostile(
        guard="auth_bypass",
        tool="translate",
        arguments={"text": "see https://api.example/v1?access_token=0123456789abcdef"},
        reason="auth_bypass_detected",
        rule="token_in_arguments",
        where="/arguments/text",
        harmless={"text": "see https://api.example/v1?page=2"},
    ),
    Hostile(
        guard="schema_validation",
        tool="search",
        arguments={"query": "x", "limit": 100_000},
        reason="invalid_arguments",
        rule="maximum",
        where="/arguments/limit",
        harmless={"query": "x", "limit": 100},
    ),
    Hostile(
        guard="argument_limits",
        tool="read_file",
        arguments={"path": "notes.txt\0.png"},
        reason="argument_limit",
        rule="nul",
        where="/arguments/path",
        harmless={"path": "notes.txt"},
    ),
    Hostile(
        guard="secrets",
        tool="notes.add",
        arguments={"text": f"the token is {github_token()}, keep it"},
        reason="secret_detected",
        rule="github_token",
        where="/arguments/text",
        harmless={"text": f"the token is ghp_{'x' * 36}, keep it"},
    ),
    Hostile(
        guard="sandbox_escape",
        tool="read_file",
        arguments={"path": "notes/../../../../root/.profile"},
        reason="sandbox_escape_detected",
        rule="path_traversal",
        where="/arguments/path",
        harmless={"path": "notes/../README.md"},
    ),
]


class Guarded(NamedTuple):
    """What runs, and the file of its audit."""

    stack: Stack
    audit: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The demo under a policy with every guard of the table."""
    folder = tmp_path_factory.mktemp("request_guards")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.read_text().replace("{folder}", str(folder)))
    with Stack({GUARDSVC: policy}) as running:
        yield Guarded(running, folder / "audit.jsonl")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.guard)
async def test_a_hostile_call_is_refused_and_everybody_is_told(guarded: Guarded, hostile: Hostile, mode: str) -> None:
    async with Wire(tamper=accepting(hostile)) as wire, wire.client(guarded.stack.url(), mode) as client:
        if hostile.again:
            with suppress(MCPError):
                await client.call_tool(hostile.tool, hostile.arguments)
        refused, denials = metrics(guarded.stack, hostile)
        with pytest.raises(MCPError) as caught:
            await client.call_tool(hostile.tool, hostile.arguments)
        decision_id = wire.last_post.decision_id
        wire.tamper = None
        assert not (await client.call_tool(hostile.harmless_tool or hostile.tool, hostile.harmless)).is_error
    assert not at_the_server(guarded.stack, decision_id)

    assert caught.value.code == REASONS[hostile.reason].jsonrpc
    assert caught.value.error.data["reason"] == hostile.reason
    assert caught.value.error.data["decision_id"] == decision_id

    record = written(guarded.audit, decision_id)
    assert (record["verdict"], record["reason"], record["guard"]) == ("deny", hostile.reason, hostile.guard)
    (part,) = [part for part in record["guards"] if part["guard"] == hostile.guard]
    assert [(finding["rule"], finding.get("where", "")) for finding in part["findings"]] == [
        (hostile.rule, hostile.where)
    ]

    assert metrics(guarded.stack, hostile) == (refused + 1, denials + 1)


def test_every_guard_that_looks_into_requests_has_a_row() -> None:
    asked = {guard.name for guard in NATIVE if guard.runs_on & {Direction.REQUEST, Phase.TOOL_INVOKE}}
    rows = [hostile.guard for hostile in HOSTILE]
    assert sorted(rows) == sorted(asked - LEARNED)
    policy = yaml.safe_load(POLICY.read_text())
    assert {guard["type"] for guard in policy["policy"]["guards"]} == set(rows)


def accepting(hostile: Hostile) -> Callable[[httpx2.Request], None] | None:
    """What changes the ``Accept`` of the hostile call, and of no other message."""
    accept = hostile.accept
    if accept is None:
        return None

    def tamper(request: httpx2.Request) -> None:
        if b'"tools/call"' in request.content:
            request.headers["accept"] = accept

    return tamper


def written(audit: Path, decision_id: str | None) -> dict[str, Any]:
    """The record of a decision, waited for."""
    end = time.monotonic() + WRITTEN_WITHIN
    while time.monotonic() < end:
        for line in audit.read_text().splitlines(keepends=True):
            if line.endswith("\n") and (record := json.loads(line)).get("decision_id") == decision_id:
                return dict(record)
        time.sleep(0.02)
    raise AssertionError(f"no record of {decision_id} in {audit}")


def metrics(stack: Stack, hostile: Hostile) -> tuple[float, float]:
    """How often the guard refused, and how often its reason was given."""
    address = next(event["metrics"] for event in stack.guardsvc.events() if event.get("event") == "ready")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return (
        _value(lines, f'guardsvc_guard_evaluations_total{{guard="{hostile.guard}",outcome="deny",tier="native"}}'),
        _value(lines, f'guardsvc_denials_total{{reason="{hostile.reason}"}}'),
    )


def _value(lines: list[str], series: str) -> float:
    """The value of a series, 0 where there is none; its labels may stand in any order."""
    name, labels = series.rstrip("}").split("{")
    wanted = set(labels.split(","))
    for line in lines:
        if line.startswith(f"{name}{{") and set(line[len(name) + 1 :].partition("}")[0].split(",")) == wanted:
            return float(line.split()[-1])
    return 0.0
