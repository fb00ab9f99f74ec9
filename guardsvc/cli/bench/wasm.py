"""``guardsvc bench --wasm``: what a call of a WASM guard costs, each part of it apart, all in one run."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import TYPE_CHECKING, Any

import uvloop

from guardsvc.engine import decide
from guardsvc.guards.wasm.calls.arguments import arguments_of, metadata_of
from guardsvc.guards.wasm.calls.call import Times, run
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import HostCalls
from guardsvc.guards.wasm.loading.compiled import CompiledCache
from guardsvc.guards.wasm.loading.engines import EngineKind, Engines
from guardsvc.guards.wasm.loading.load import Loaded, load
from guardsvc.guards.wasm.loading.module import Modules
from guardsvc.guards.wasm.loading.sources import digest_of
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.guards.wasm.settings import LimitSettings
from guardsvc.model import Caller, Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.policy import Policy

__all__ = ["run_wasm"]

CALLS = 300
"""Calls of each kind in a round."""
TOOLS = 50
LIMITS = LimitSettings(memory_mib=64, module_mib=512)
KIND = EngineKind.of(LIMITS)
DESCRIPTION = "A perfectly ordinary description of a tool that does a thing. " * 3
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

POLICY = """
policy:
  default: allow
  deadline_ms: 5000
  guards:
    - type: wasm
      timeout_ms: 5000
      settings: {{module: {module}, digest: {digest}, config: {config}, limits: {limits}}}
"""


def run_wasm(module: str, config: Mapping[str, Any], *, rounds: int, as_json: bool, named: str | None = None) -> None:
    """Measure and print.

    Args:
        module: path of the component.
        config: its settings.
        rounds: times that everything is measured.
        as_json: print one JSON object.
        named: what to call it, in place of its path.
    """
    content = Path(module).read_bytes()
    with tempfile.TemporaryDirectory(prefix="guardsvc-bench-") as folder:
        report = _loading(content, Path(folder), rounds)
        written = Path(folder) / "guardsvc.yaml"
        text = POLICY.format(
            module=json.dumps(str(Path(module).resolve())),
            digest=digest_of(content),
            config=json.dumps(dict(config)),
            limits=LIMITS.model_dump_json(exclude_unset=True),
        )
        written.write_text(text, encoding="utf-8")
        policy = load_configuration(written).policy
        written.write_text("policy: {default: allow}", encoding="utf-8")
        bare = load_configuration(written).policy
    settings: Any = policy.settings.guards[0].settings
    loaded = load(settings, GuardContext(guard_id="bench"), runtime())
    report["calls"] = {
        operation.phase.value: _calls(operation, loaded, policy, bare, rounds)
        for operation in (_call(), _list())
        if (operation.direction, operation.phase) in loaded.module.shape.functions
    }
    report |= {"module": named or module, "kib": round(len(content) / 1024, 1), "wasmtime": version("wasmtime")}
    print(json.dumps(report) if as_json else _table(report))


def _loading(content: bytes, folder: Path, rounds: int) -> dict[str, Any]:
    digest = digest_of(content)
    compiled: list[float] = []
    loaded: list[float] = []
    for number in range(rounds):
        cache = CompiledCache(folder / f"cache{number}")
        for times in (compiled, loaded):
            begun = perf_counter()
            Modules(Engines(), cache).load(content, digest, KIND)
            times.append(perf_counter() - begun)
    return {"compile_ms": round(min(compiled) * 1e3, 2), "load_ms": round(min(loaded) * 1e3, 2)}


def _calls(operation: Operation, loaded: Loaded, policy: Policy, bare: Policy, rounds: int) -> dict[str, Any]:
    module = loaded.module
    function = module.shape.functions[operation.direction, operation.phase]
    clock = runtime().engines.clock

    def once(times: list[Times], *, ordinarily: bool = False) -> float:
        begun = perf_counter()
        metadata = metadata_of(operation, ())
        calls = HostCalls("bench", LIMITS, now=1, metadata=metadata, config=loaded.config)
        arguments = arguments_of(function, operation, metadata)
        run(
            module,
            function,
            arguments,
            limits=LIMITS,
            calls=calls,
            clock=clock,
            deadline=begun + 5,
            times=times,
            ordinarily=ordinarily,
        )
        return perf_counter() - begun

    packed: list[Times] = []
    ordinary: list[Times] = []
    whole: list[float] = []
    seen: list[float] = []
    base: list[float] = []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        whole += [once(packed) for _ in range(CALLS)]
        for _ in range(CALLS // 10):
            once(ordinary, ordinarily=True)
        seen += uvloop.run(_decisions(policy, operation))
        base += uvloop.run(_decisions(bare, operation))
    parts = {
        "instantiate": [each.instantiated - each.begun for each in packed],
        "lower": [each.lowered - each.instantiated for each in packed],
        "lower_ordinarily": [each.lowered - each.instantiated for each in ordinary],
        "call": [each.called - each.lowered for each in packed],
        "lift": [each.lifted - each.called for each in packed],
        "lower_to_lift": [each.lifted - each.instantiated for each in packed],
        "fresh_instance": whole,
        "decision": seen,
        "decision_without_guard": base,
    }
    return {name: _quantiles(times) for name, times in parts.items()}


async def _decisions(policy: Policy, operation: Operation) -> list[float]:
    taken = []
    for _ in range(CALLS):
        begun = perf_counter()
        decision = await decide(policy, operation, deadline=begun + 5, can_modify=False)
        taken.append(perf_counter() - begun)
        failed = next((outcome for outcome in decision.outcomes if outcome.error), None)
        if failed is not None:
            raise WasmFailure("trap", failed.message)
        await asyncio.sleep(0)
    return taken


def _quantiles(times: list[float]) -> dict[str, float]:
    cuts = quantiles(times, n=100)
    return {
        "p50_us": round(cuts[49] * 1e6, 1),
        "p99_us": round(cuts[98] * 1e6, 1),
        "min_us": round(min(times) * 1e6, 1),
    }


def _call() -> Operation:
    return Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        server="bench",
        subject="read",
        payload={"name": "read", "arguments": {"path": "/tmp/notes.txt", "limit": 20}},  # noqa: S108  only a text
        caller=Caller(tenant="acme", principal="alice", verified=True),
    )


def _list() -> Operation:
    tools = [{"name": f"tool{number}", "description": DESCRIPTION, "inputSchema": SCHEMA} for number in range(TOOLS)]
    return Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        server="bench",
        payload={"tools": tools},
        caller=Caller(tenant="acme", principal="alice", verified=True),
    )


def _table(report: dict[str, Any]) -> str:
    head = f"{report['module']}, {report['kib']} KiB, wasmtime {report['wasmtime']}, "
    lines = [
        head + f"Python {sys.version.partition(' ')[0]}; {TOOLS} tools in a list",
        f"compile {report['compile_ms']} ms, load what was compiled {report['load_ms']} ms",
        f"{'microseconds':28}" + "".join(f"{phase:>30}" for phase in report["calls"]),
        f"{'':28}" + f"{'p50':>12}{'p99':>9}{'min':>9}" * len(report["calls"]),
    ]
    for name in next(iter(report["calls"].values()), ()):
        cells = "".join(
            f"{of[name]['p50_us']:>12}{of[name]['p99_us']:>9}{of[name]['min_us']:>9}" for of in report["calls"].values()
        )
        lines.append(f"{name.replace('_', ' '):28}{cells}")
    lines += [
        "fresh instance is all that is done in the guard's thread, from the operation to the answer;",
        "a decision is as the chain sees it, with the way to that thread and back",
    ]
    return "\n".join(lines)
