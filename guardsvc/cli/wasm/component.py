"""Component: compiled without a policy, to be looked at."""

from __future__ import annotations

import json
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

__all__ = ["compiled", "least_memory_mib", "schema_of"]

KIB = 1024
PATIENCE = 2.0
"""Seconds that it may take to say what its settings are."""
SIZES = tuple((1 << power) / 16 for power in range(17))
"""Sizes of memory that are tried, in MiB: a page of 64 KiB, and twice as much each time."""


def compiled(artifact: Artifact) -> Module:
    """The module of a component; ends the process where it can be no guard."""
    kind = EngineKind(fuel=False, stack=LimitSettings().stack_kib * KIB)
    try:
        return runtime().modules.load(artifact.content, artifact.digest, kind)
    except ModuleError as error:
        end(str(error), ExitCode.REFUSED)


def least_memory_mib(module: Module) -> float | None:
    """The ``memory_mib`` it can be instantiated with, None where none is enough."""
    for size in SIZES:
        try:
            _run(module, None, LimitSettings(memory_mib=size))
        except WasmFailure:
            continue
        return size
    return None


def schema_of(module: Module, memory_mib: float) -> Any:
    """The schema of its settings, None where it has none."""
    exported = module.shape.settings.get("schema")
    if exported is None:
        return None
    try:
        text = _run(module, exported, LimitSettings(memory_mib=max(memory_mib * 4, 16)))
        return json.loads(text) if text.strip() else None
    except (WasmFailure, ValueError, RecursionError) as error:
        end(f"the schema of its settings cannot be used: {error}", ExitCode.REFUSED)


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
