"""Component: compiled without a policy, to be looked at."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm.options import end
from guardsvc.guards.wasm.calls.call import Arguments, run
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import HostCalls
from guardsvc.guards.wasm.loading.engines import EngineKind
from guardsvc.guards.wasm.loading.module import ModuleError
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.guards.wasm.settings import LimitSettings

if TYPE_CHECKING:
    from guardsvc.guards.wasm.contract.shape import Exported
    from guardsvc.guards.wasm.loading.module import Module
    from guardsvc.guards.wasm.loading.sources import Artifact

__all__ = ["compiled", "enough_limits", "least_limits", "raised", "schema_of"]

MIB = 1_048_576
PATIENCE = 2.0
"""Seconds that it may take to say what its settings are."""
ENOUGH_MIB = 64
ROOM: dict[str, Sequence[float]] = {
    "memory_mib": [(1 << power) / 16 for power in range(17)],
    "memories": range(1, 17),
    "table_elements": [0, *(1 << power for power in range(20)), 1_000_000],
    "tables": range(65),
    "instances": range(1, 257),
}
"""Limits that decide whether a component can be instantiated, and the values tried, up to the largest there are."""


def compiled(artifact: Artifact) -> Module:
    """The module of a component; ends the process where it can be no guard."""
    try:
        return runtime().modules.load(artifact.content, artifact.digest, EngineKind.of(LimitSettings()))
    except ModuleError as error:
        end(str(error), ExitCode.REFUSED)


def least_limits(module: Module) -> LimitSettings | None:
    """The least limits that it can be instantiated with, None where none are enough."""
    if not _fits(module, {}):
        return None
    least = {name: _least(module, name, values) for name, values in ROOM.items()}
    return LimitSettings.model_validate({"module_mib": math.ceil(module.size / MIB), **least})


def raised(least: LimitSettings) -> dict[str, float]:
    """Those of the least limits that are above the defaults."""
    return {
        name: value
        for name in ("module_mib", *ROOM)
        if (value := getattr(least, name)) > getattr(LimitSettings(), name)
    }


def enough_limits(least: LimitSettings) -> dict[str, float]:
    """Limits to try a component with: the defaults, raised where it needs that, and memory of ``ENOUGH_MIB``."""
    return raised(least) | {"memory_mib": max(least.memory_mib, ENOUGH_MIB)}


def schema_of(module: Module, least: LimitSettings) -> Any:
    """The schema of its settings, None where it has none."""
    exported = module.shape.settings.get("schema")
    if exported is None:
        return None
    try:
        text = _run(module, exported, LimitSettings.model_validate(enough_limits(least)))
        return json.loads(text) if text.strip() else None
    except (WasmFailure, ValueError, RecursionError) as error:
        end(f"the schema of its settings cannot be used: {error}", ExitCode.REFUSED)


def _least(module: Module, name: str, values: Sequence[float]) -> float:
    return values[bisect_left(values, x=True, key=lambda value: _fits(module, {name: value}))]


def _fits(module: Module, limits: dict[str, float]) -> bool:
    try:
        _run(module, None, LimitSettings.model_validate({name: values[-1] for name, values in ROOM.items()} | limits))
    except WasmFailure:
        return False
    return True


def _run(module: Module, exported: Exported | None, limits: LimitSettings) -> Any:
    return run(
        module,
        exported,
        Arguments((), {}, {}),
        limits=limits,
        calls=HostCalls("inspect", limits),
        clock=runtime().engines.clock,
        deadline=perf_counter() + PATIENCE,
    )
