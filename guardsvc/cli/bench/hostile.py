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
from guardsvc.gateways.server_message import Origin, ServerMessage, judge_server_message
from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.model import Direction, FactRequest, FactUse, GatewayProtocol, Operation, Phase
from guardsvc.model import Kind as MessageKind
from guardsvc.policy.presets import preset_text
from guardsvc.server.configuration import load_configuration
from guardsvc.server.warm_up import settle
from guardsvc.state import Sources
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.listed import LISTED, NoteNeed
from guardsvc.state.pins import PinKind, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from guardsvc.model import Facts, Guard
    from guardsvc.policy import Policy

__all__ = ["Bench", "hostile_policy", "run_hostile"]

PATIENCE = 60.0
SERVER, OTHER = "hostile", "other"
SHOWN = 2000
"""Tools that each server has shown before, as many as are remembered."""
TOO_MANY = "too_many_containers"
"""The only refusal of the reading that a kind may meet, as it is the answer to what many brackets cost."""

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

_LISTED = Operation(
    protocol=GatewayProtocol.CLI,
    direction=Direction.RESPONSE,
    phase=Phase.TOOLS_LIST,
    kind=MessageKind.RESULT,
    method="tools/list",
)


def hostile_policy(*, shadow: bool) -> Policy:
    """Preset ``default`` that reads 1 MiB of whatever it is, knows the schema of the tool and hides some tools.

    Args:
        shadow: have every guard look at every message.
    """
    names = [guard["type"] for guard in yaml.safe_load(preset_text("default"))["guards"]]
    guards: list[dict[str, Any]] = [{"type": name, **({"mode": "shadow"} if shadow else {})} for name in names]
    by_type = {guard["type"]: guard for guard in guards}
    by_type["access_list"]["settings"] = {
        "default": "allow",
        "unknown_server": "allow",
        "rules": [{"action": "deny", "tools": ["*_none_*", "delete_*_x"]}],
    }
    policy = {
        "preset": "default",
        "integrity": {"max_keys": MAX_KEYS},
        "servers": {
            SERVER: {"hosts": ["localhost"], "tools": {TOOL: {"input_schema": SCHEMA}}},
            OTHER: {"hosts": ["elsewhere"]},
        },
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
        held = (vars(bound.guard).values() for bound in (*self.shipped.guards, *asked.guards))
        self._caches = [value for values in held for value in values if isinstance(value, DigestCache)]
        self._watched = {bound.id: _Watched(bound.guard) for bound in asked.guards}
        guards = tuple(replace(bound, guard=self._watched[bound.id]) for bound in asked.guards)
        self.asked = replace(asked, guards=guards, _chains={})
        asyncio.run(self._remember())

    def judging(self, kind: Kind, size: int) -> Callable[[Policy], Coroutine[Any, Any, Exchange]]:
        """What judges a message of a kind by a policy, as one that was never seen."""
        if not kind.answers:
            request = kind.request(size)
            return lambda policy: self._unseen(
                judge(policy, request, self._asker, deadline=perf_counter() + PATIENCE, sources=self._sources.facts)
            )
        body = kind.body(size)
        origin = Origin(decision_id="", method=kind.answers, id=1, servers=(SERVER,))
        message = ServerMessage(body=body, origin=origin)
        return lambda policy: self._unseen(
            judge_server_message(
                policy, message, self._asker, deadline=perf_counter() + PATIENCE, sources=self._sources.facts
            )
        )

    async def _unseen(self, judging: Coroutine[Any, Any, Exchange]) -> Exchange:
        for cache in self._caches:
            cache.clear()
        return await judging

    def costs(self, kind: Kind, sizes: Sequence[int], repeats: int) -> list[Cost]:
        """The cost of a kind at each size in bytes, of which header fields have no more than Envoy lets pass."""
        return asyncio.run(self._costs(kind, sizes, repeats))

    async def _remember(self) -> None:
        """Take it that the servers have shown tools before."""
        shown = {"tool_shadowing": (OTHER, "read_thing_"), "catalog_anomaly": (SERVER, "was_")}
        for guard, (server, prefix) in shown.items():
            names = {place_of(self._asker.caller, server): {f"{prefix}{number}": "0" for number in range(SHOWN)}}
            need = NoteNeed(store=CatalogStore(), kind=PinKind.TOOL, names=names, most=SHOWN)
            request = FactRequest(operation=_LISTED, guard=guard, need=need, use=FactUse.APPLY, seconds=PATIENCE)
            await self._sources.facts[LISTED].fetch(request)

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
        refusal = asked[0][1].leading.code
        if not guards[0] and refusal != TOO_MANY:
            raise RuntimeError(f"{kind.name}: not read at {size} bytes: {refusal}")
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
    # As the service does once it is warm.
    settle()
    sizes = [size * KIB for size in SIZES_KIB]
    report = report_of(
        {kind: bench.costs(kind, sizes, repeats) for kind in hostile_kinds() if only in kind.name or only == kind.guard}
    )
    print(json.dumps(report) if as_json else table_of(report))
