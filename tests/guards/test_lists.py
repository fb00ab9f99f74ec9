"""Whose the entries of a list are, and what is left of a list that is filtered."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.config import Checker, Document
from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.statement import Statement, judge_statement
from guardsvc.guards.native.lists import MAX_TTL_MS, Prefixes, entries_of, private, without
from guardsvc.guards.registry import load_registry
from guardsvc.mcp.strict_json import encode
from guardsvc.model import (
    Caller,
    Direction,
    GatewayProtocol,
    GuardContext,
    Kind,
    Operation,
    Phase,
    ServerNames,
)
from guardsvc.policy import Policy, build_policy, policy_model
from guardsvc.state.pins import PinKind

NAMES = {
    "files": ServerNames(tool_prefixes=("files_", "files_x_"), uri_prefixes=("files+",)),
    "mail": ServerNames(tool_prefixes=("mail_",)),
    "plain": ServerNames(),
}
PREFIXES = Prefixes(GuardContext(guard_id="g", servers=frozenset(NAMES), names=NAMES))


@pytest.mark.parametrize(
    ("servers", "shown", "kind", "expected"),
    [
        (("files", "mail"), "files_read", PinKind.TOOL, (("files",), "read")),
        (("files", "mail"), "files_x_read", PinKind.TOOL, (("files",), "read")),
        (("files", "mail"), "read", PinKind.TOOL, (("files", "mail"), "read")),
        (("files",), "read", PinKind.TOOL, (("files",), "read")),
        (("files",), "files_", PinKind.TOOL, (("files",), "files_")),
        (("mail",), "files_read", PinKind.TOOL, (("mail",), "files_read")),
        ((), "files_read", PinKind.PROMPT, (("files",), "read")),
        ((), "read", PinKind.TOOL, ((), "read")),
        (("files", "mail"), "files+note://1", PinKind.RESOURCE, (("files",), "note://1")),
        (("files", "mail"), "files_note://1", PinKind.RESOURCE, (("files", "mail"), "files_note://1")),
    ],
)
def test_a_prefix_tells_the_server(servers: tuple[str, ...], shown: str, kind: PinKind, expected: Any) -> None:
    assert PREFIXES.own(servers, shown, kind) == expected


def test_entries_without_a_name_are_nobodys() -> None:
    operation = Operation(
        protocol=GatewayProtocol.EXT_PROC,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        servers=("files", "mail"),
        payload={"tools": [{"name": "mail_send"}, 7, {"name": 7}]},
    )
    found = [(entry.server, entry.name) for entry in entries_of(operation, PinKind.TOOL, PREFIXES)]
    assert found == [("mail", "send"), (None, None), (None, None)]


@given(
    st.lists(st.integers(), max_size=8),
    st.sets(st.integers(0, 8)),
    st.sampled_from([{}, {"cacheScope": "public"}, {"cacheScope": "private", "ttlMs": 5}, {"ttlMs": 10**9}]),
)
def test_what_is_kept_stays_in_order_and_in_no_shared_cache(
    tools: list[int], dropped: set[int], more: dict[str, Any]
) -> None:
    payload = {"tools": tools, "nextCursor": "c", **more}
    left = without(payload, "tools", dropped)
    assert left["tools"] == [tool for index, tool in enumerate(tools) if index not in dropped]
    assert left.get("cacheScope", "private") == "private"
    assert left.get("ttlMs", 0) <= MAX_TTL_MS
    assert left.keys() == payload.keys()
    assert left["nextCursor"] == "c"


@pytest.mark.parametrize("ttl", [-1, 1.5, True, "long", MAX_TTL_MS + 1])
def test_a_time_that_is_none_or_too_long_is_bounded(ttl: Any) -> None:
    assert private({"ttlMs": ttl}) == {"ttlMs": MAX_TTL_MS}


POLICY = """
policy:
  default: allow
  servers: {files: {}}
  guards:
    - type: access_list
      settings: {default: deny, rules: [{action: allow, methods: ["@list"]}, {action: allow, tools: [read]}]}
"""


def policy() -> Policy:
    registry, document = load_registry(), Document.parse(POLICY, "p.yaml")
    checker = Checker(document)
    checked: Any = checker.check(policy_model(registry), document.value["policy"], ("policy",))
    built = build_policy(checked, registry, checker)
    assert built is not None
    return built


@pytest.mark.parametrize("can_modify", [True, False])
async def test_a_protocol_that_cannot_carry_a_filtered_list_denies_it(*, can_modify: bool) -> None:
    statement = Statement(
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        id=1,
        servers=("files",),
        payload=encode({"tools": [{"name": "read"}, {"name": "drop"}]}),
    )
    asker = Asker(protocol=GatewayProtocol.EXT_PROC, caller=Caller(), can_modify=can_modify)
    deadline = perf_counter() + 20
    exchange = await judge_statement(policy(), statement, asker, deadline=deadline, sources={})
    decision = exchange.leading
    if can_modify:
        assert decision.payload == {"tools": [{"name": "read"}]}
    else:
        assert (decision.verdict, decision.code) == ("deny", "modification_unsupported")
