"""Any traffic passes under what is suggested from it, its limits included."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from guardsvc.engine import decide
from guardsvc.model import Caller, GatewayProtocol, Kind, Operation, Phase
from guardsvc.server.configuration import load_configuration
from guardsvc.state import RATE_LIMITS, RateLimits
from guardsvc.suggestion import Evidence, Seen, Wishes, suggest

NAMES = st.sampled_from(["a", "get_x", "get_y", "get_z", "list-all", "no", "ÿ", "a b", "x" * 1100])
CALLERS = st.builds(
    Caller,
    tenant=st.none() | st.sampled_from(["acme", "other"]),
    principal=st.none() | st.sampled_from(["ada", "bob", "eve"]),
    verified=st.booleans(),
    address=st.none() | st.sampled_from(["192.0.2.1", "2001:db8::1"]),
)
WHAT: tuple[tuple[str, Phase, bool], ...] = (
    ("tools/call", Phase.TOOL_INVOKE, True),
    ("prompts/get", Phase.PROMPT_GET, True),
    ("resources/read", Phase.RESOURCE_READ, True),
    ("resources/subscribe", Phase.RESOURCE_READ, True),
    ("tools/list", Phase.TOOLS_LIST, False),
    ("ping", Phase.CONNECTION, False),
)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    method, phase, has_subject = draw(st.sampled_from(WHAT))
    servers = draw(st.sampled_from([(), ("files",), ("web",), ("files", "web")]))
    return Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction="request",  # type: ignore[arg-type]
        phase=phase,
        kind=Kind.REQUEST,
        method=method,
        id=1,
        server=servers[0] if len(servers) == 1 else None,
        servers=servers,
        subject=draw(NAMES) if has_subject else None,
        caller=draw(CALLERS),
    )


class Clock:
    now = 0.0


async def verdicts(text: str, seen: list[Seen]) -> list[Any]:
    suggested = yaml.safe_load(text)
    for guard in suggested["policy"]["guards"]:
        guard["timeout_ms"] = 60_000
    policy = load_configuration(Path("suggested"), content=yaml.safe_dump(suggested).encode()).policy
    clock = Clock()
    sources = {RATE_LIMITS: RateLimits(lambda: clock.now)}
    found = []
    for each in sorted(seen, key=lambda each: each.at or 0):
        clock.now = each.at or 0
        decision = await decide(policy, each.operation, deadline=perf_counter() + 60, can_modify=True, sources=sources)
        found.append((decision.verdict, decision.code))
    return found


@settings(deadline=None)
@given(
    st.lists(st.tuples(operations(), st.floats(0, 200_000)), min_size=1, max_size=60),
    st.sampled_from([0, 2, 3]),
)
def test_what_was_seen_passes(given_operations: list[tuple[Operation, float]], glob_from: int) -> None:
    seen = [Seen(operation, at) for operation, at in given_operations]
    text = suggest(Evidence(seen=seen, sources=["x"], checked=False), Wishes(glob_from=glob_from, preset=None))

    assert set(asyncio.run(verdicts(text, seen))) == {("allow", None)}


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 400), min_size=30, max_size=200), operations())
def test_bursts_pass(times: list[float], operation: Operation) -> None:
    seen = [Seen(operation, at) for at in times]
    text = suggest(Evidence(seen=seen, sources=["x"], checked=False), Wishes(preset=None))

    assert set(asyncio.run(verdicts(text, seen))) == {("allow", None)}
