"""``guardsvc bench --hostile``: every kind is read and judged, and the work grows with the size and no faster."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.cli.bench.hostile import Bench
from guardsvc.cli.bench.hostile_messages import Kind, hostile_kinds
from guardsvc.cli.bench.hostile_report import SIZES_KIB
from guardsvc.model import Direction, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

KINDS = hostile_kinds()
SIZES = (8_192, 16_384, 32_768)
MORE_POINTS = {
    "answers": (Direction.REQUEST, Phase.INPUT_RESPONSE),
    "sampling": (Direction.RESPONSE, Phase.INPUT_REQUEST),
    "form": (Direction.RESPONSE, Phase.INPUT_REQUEST),
}
"""Where guards are asked about messages of some shapes a second time."""
GROWTH = 2.6
"""Times that the work of the second half may be that of the first: twice where it is linear, four times where it
is quadratic."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A bench whose collections of garbage do not go through everything that other tests have left behind."""
    gc.collect()
    gc.freeze()
    yield Bench()
    gc.unfreeze()


def steps(bench: Bench, kind: Kind, size: int) -> int:
    """Bytecode instructions that judging takes, the same each time."""
    judging = bench.judging(kind, size)
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    async def counted() -> None:
        await judging(bench.asked)
        sys.settrace(trace)
        try:
            await judging(bench.asked)
        finally:
            sys.settrace(None)

    asyncio.run(counted())
    return count


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_work_is_linear(bench: Bench, kind: Kind) -> None:
    small, medium, large = (steps(bench, kind, size) for size in SIZES)
    assert large - medium <= GROWTH * max(medium - small, small)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("size", [12_288, 70_000])
def test_messages_are_as_large_as_asked(kind: Kind, size: int) -> None:
    if kind.in_header:
        request = kind.request(size)
        value = request.path if kind.shape == "path" else request.headers.get("authorization") or ""
        assert size - 64 <= len(value) <= size + 16
    else:
        body = kind.body(size)
        assert size * 0.9 <= len(body) <= size
        json.loads(body)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_guard_is_asked(bench: Bench, kind: Kind) -> None:
    (cost,) = bench.costs(kind, [4_096], repeats=1)
    answered = {"tools/list": Phase.TOOLS_LIST, "tools/call": Phase.TOOL_RESULT}.get(kind.answers)
    point = (Direction.RESPONSE, answered) if answered else (Direction.REQUEST, Phase.TOOL_INVOKE)
    points = {point, *([MORE_POINTS[kind.shape]] if kind.shape in MORE_POINTS else [])}
    assert set(cost.guards) == {bound.id for bound in bench.asked.guards if points & set(bound.points)}
    assert 0 < sum(cost.guards.values()) <= cost.ms * 1.01
    assert cost.shipped_ms > 0


def test_each_guard_that_looks_at_text_has_kinds() -> None:
    requests = {"schema_validation", "argument_limits", "auth_bypass", "secrets", "sandbox_escape"}
    lists = {"tool_poisoning", "tool_shadowing", "catalog_anomaly", "access_list"}
    results = {"result_injection", "data_leak", "input_request"}
    assert requests | lists | results <= {kind.guard for kind in KINDS}
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("name", "guard"),
    [
        ("names that look like others", "tool_shadowing"),
        ("tools that name others", "tool_shadowing"),
        ("tools that nobody may call", "access_list"),
    ],
)
def test_lists_are_held_against_what_is_known(bench: Bench, name: str, guard: str) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    exchange = asyncio.run(bench.judging(kind, 4_096)(bench.asked))
    (outcome,) = (each for each in exchange.decisions[0].outcomes if each.guard == guard)
    assert outcome.findings


@pytest.mark.parametrize("output", ["human", "json"])
def test_the_report(output: str) -> None:
    command = [sys.executable, "-m", "guardsvc", "bench", "--hostile", "--rounds", "1", "--only", "JWT-like Auth"]
    ended = subprocess.run([*command, "-o", output], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    if output == "human":
        assert "JWT-like Authorization" in ended.stdout
        assert all(f"{size} KiB" in ended.stdout for size in SIZES_KIB)
        return
    row = json.loads(ended.stdout)["kinds"]["JWT-like Authorization"]
    assert row["guard"] == "auth_bypass"
    assert [cost["bytes"] for cost in row["sizes"]] == [16_384, 61_440]
    assert [cost["verdict"] for cost in row["sizes"]] == ["allow", "authorization_invalid"]
    assert row["within_target"] is True
