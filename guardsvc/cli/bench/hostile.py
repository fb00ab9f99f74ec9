"""``guardsvc bench --hostile``: what hostile messages cost the default policy, and how the cost grows with size.

Two policies judge each message in this process, from its bytes to the decision. One is preset ``default`` as it
comes, which ends at the first guard that refuses. In the other every guard is in shadow, so that all of them look
at the whole message, whatever the ones before them say: no message costs more than that.
"""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import yaml

from guardsvc.cli.bench.hostile_messages import MAX_HEADER, TOOL, Kind, hostile_kinds
from guardsvc.cli.bench.hostile_report import KIB, MAX_KEYS, SIZES_KIB, Cost, report_of, table_of
from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.gateways.statement import Statement, judge_response
from guardsvc.mcp.revisions import response_phase_of
from guardsvc.model import Direction, GatewayProtocol
from guardsvc.model import Kind as MessageKind
from guardsvc.policy.presets import preset_text
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from guardsvc.model import Facts, Guard, Operation
    from guardsvc.policy import Policy

__all__ = ["Bench", "hostile_policy", "run_hostile"]

PATIENCE = 60.0
SERVER = "hostile"

_ROW = {
    "anyOf": [
        {"type": "object", "properties": {"kind": {"const": kind}, "id": {"type": "string"}}, "required": ["kind"]}
        for kind in "abc"
    ]
}
SCHEMA = {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"anyOf": [_ROW, {"type": "array", "items": _ROW}]}},
        "unique": {"type": "array", "uniqueItems": True, "items": {"type": "array", "uniqueItems": True}},
        "repeated": {
            "anyOf": [
                {"type": "string", "pattern": "^(a+)+$"},
                {"type": "array", "items": {"type": "string", "pattern": "^(a|aa)+b$"}},
            ]
        },
    },
}
"""Of the tool that is called, so that ``schema_validation`` has something to judge by."""


def hostile_policy(*, shadow: bool) -> Policy:
    """Preset ``default`` that reads 1 MiB of whatever it is, and knows the schema of the tool.

    Args:
        shadow: have every guard look at every message.
    """
    names = [guard["type"] for guard in yaml.safe_load(preset_text("default"))["guards"]]
    guards: list[dict[str, Any]] = [{"type": name, **({"mode": "shadow"} if shadow else {})} for name in names]
    # What is measured again was never seen.
    next(guard for guard in guards if guard["type"] == "tool_poisoning")["settings"] = {"cache_entries": 0}
    policy = {
        "preset": "default",
        "integrity": {"max_keys": MAX_KEYS},
        "servers": {SERVER: {"hosts": ["localhost"], "tools": {TOOL: {"input_schema": SCHEMA}}}},
        "guards": guards,
    }
    content = json.dumps({"policy": policy}).encode()
    return load_configuration(Path("hostile.yaml"), content=content).policy.patient(PATIENCE)


class _Watched:
    """A guard, and the processor time that its judgements take."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guard, name)

    def evaluate(self, operation: Operation, facts: Facts) -> Any:
        """Judge as the guard does; those of the preset answer at once."""
        begun = process_time()
        try:
            return self._guard.evaluate(operation, facts)
        finally:
            self.seconds += process_time() - begun


class Bench:
    """Judges hostile messages by both policies."""

    def __init__(self) -> None:
        self._asker = Asker(protocol=GatewayProtocol.CLI)
        self._sources = Sources()
        self.shipped, asked = hostile_policy(shadow=False), hostile_policy(shadow=True)
        self._watched = {bound.id: _Watched(bound.guard) for bound in asked.guards}
        guards = tuple(replace(bound, guard=self._watched[bound.id]) for bound in asked.guards)
        self.asked = replace(asked, guards=guards, _chains={})

    def judging(self, kind: Kind, size: int) -> Callable[[Policy], Coroutine[Any, Any, Exchange]]:
        """What judges a message of a kind by a policy."""
        if not kind.is_list:
            request = kind.request(size)
            return lambda policy: judge(
                policy, request, self._asker, deadline=perf_counter() + PATIENCE, sources=self._sources.facts
            )
        body = kind.body(size)
        statement = Statement(
            direction=Direction.RESPONSE,
            phase=response_phase_of("tools/list"),
            kind=MessageKind.RESULT,
            method="tools/list",
            servers=(SERVER,),
        )
        return lambda policy: judge_response(
            policy, body, statement, self._asker, deadline=perf_counter() + PATIENCE, sources=self._sources.facts
        )

    def costs(self, kind: Kind, sizes: Sequence[int], repeats: int) -> list[Cost]:
        """The cost of a kind at each size in bytes, of which header fields have no more than Envoy lets pass."""
        return asyncio.run(self._costs(kind, sizes, repeats))

    async def _costs(self, kind: Kind, sizes: Sequence[int], repeats: int) -> list[Cost]:
        fitting = dict.fromkeys(min(size, MAX_HEADER) if kind.in_header else size for size in sizes)
        return [await self._cost(kind, size, repeats) for size in fitting]

    async def _cost(self, kind: Kind, size: int, repeats: int) -> Cost:
        judging = self.judging(kind, size)
        asked, guards = [], []
        for _ in range(repeats):
            for watched in self._watched.values():
                watched.seconds = 0.0
            asked.append(await _timed(judging, self.asked))
            guards.append({name: watched.seconds * 1e3 for name, watched in self._watched.items() if watched.seconds})
        if not guards[0]:
            raise RuntimeError(f"{kind.name}: not read at {size} bytes: {asked[0][1].leading.code}")
        shipped = [await _timed(judging, self.shipped) for _ in range(repeats)]
        leading = shipped[0][1].leading
        return Cost(
            size=size,
            ms=min(ms for ms, _ in asked),
            guards={name: min(each[name] for each in guards) for name in guards[0]},
            shipped_ms=min(ms for ms, _ in shipped),
            verdict=leading.code or leading.verdict,
        )


async def _timed(judging: Callable[[Policy], Coroutine[Any, Any, Exchange]], policy: Policy) -> tuple[float, Exchange]:
    gc.collect()
    begun = process_time()
    exchange = await judging(policy)
    return (process_time() - begun) * 1e3, exchange


def run_hostile(*, repeats: int, only: str, as_json: bool) -> None:
    """Measure every kind and print.

    Args:
        repeats: times each message is judged; the least counts.
        only: part of the name of the kinds or of the guard they are built against; all of them if empty.
        as_json: print one JSON object.
    """
    bench = Bench()
    # As the service does once it is warm: what is there to stay is not looked at by every collection.
    gc.collect()
    gc.freeze()
    sizes = [size * KIB for size in SIZES_KIB]
    report = report_of(
        {kind: bench.costs(kind, sizes, repeats) for kind in hostile_kinds() if only in kind.name or only == kind.guard}
    )
    print(json.dumps(report) if as_json else table_of(report))
