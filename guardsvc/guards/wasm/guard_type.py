"""The guard type ``wasm``, which imports wasmtime only when a guard of it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import Direction, GuardType, Tier

if TYPE_CHECKING:
    from guardsvc.model import Guard, GuardContext

__all__ = ["WASM"]


def _build(settings: WasmSettings, context: GuardContext) -> Guard:
    from guardsvc.guards.wasm.guard import WasmGuard  # noqa: PLC0415  without such a guard wasmtime stays out of memory

    return WasmGuard(settings, context)


WASM = GuardType(
    name="wasm",
    settings=WasmSettings,
    build=_build,
    runs_on=frozenset({Direction.REQUEST, Direction.RESPONSE}),
    tier=Tier.WASM,
    summary="Asks a WebAssembly component, in a sandbox of its own for every call.",
)
