"""Sandbox: the store that one call has to itself.

Foreign functions give Python's lock away, and whoever wants it back waits for the event loop. So the short ones, which
run no code of a guest, keep it.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

if TYPE_CHECKING:
    import wasmtime
    from wasmtime import component as wasm

    from guardsvc.guards.wasm.settings import LimitSettings

__all__ = ["Sandbox", "delete_value"]

MIB = 1_048_576

_LIBRARY: Any = ffi.dll
_KEEPING = ctypes.PyDLL(_LIBRARY._name)  # noqa: SLF001  the same library
_NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)


def _short(name: str) -> Any:
    function, known = getattr(_KEEPING, name), getattr(_LIBRARY, name)
    function.argtypes, function.restype = known.argtypes, known.restype
    return function


_new = _short("wasmtime_store_new")
_context = _short("wasmtime_store_context")
_delete = _short("wasmtime_store_delete")
_limit = _short("wasmtime_store_limiter")
_set_epoch_deadline = _short("wasmtime_context_set_epoch_deadline")
_set_fuel = _short("wasmtime_context_set_fuel")
_get_func = _short("wasmtime_component_instance_get_func")
_delete_value = _short("wasmtime_component_val_delete")


def delete_value(value: Any) -> None:
    """Free what a value holds."""
    _delete_value(ctypes.byref(value))


class Sandbox:
    """A store with its limits. To be closed in the thread that made it.

    Args:
        engine: of the module.
        limits: what the call may use up.
        epochs: after how many epochs it is ended.
    """

    __slots__ = ("_of", "_store")

    def __init__(self, engine: wasmtime.Engine, limits: LimitSettings, epochs: int) -> None:
        self._store = _new(engine.ptr(), None, _NO_FINALIZER)
        self._of = _context(self._store)
        _limit(
            self._store,
            int(limits.memory_mib * MIB),
            limits.table_elements,
            limits.instances,
            limits.tables,
            limits.memories,
        )
        _set_epoch_deadline(self._of, epochs)
        if limits.fuel is not None and (error := _set_fuel(self._of, limits.fuel)):
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001  wasmtime's own way

    def _context(self) -> Any:
        """What wasmtime's own functions ask a store for."""
        return self._of

    def function(self, instance: wasm.Instance, index: wasm.ExportIndex) -> Any:
        """A function of an instance, None where it is not there."""
        found = ffi.wasmtime_component_func_t()
        there = _get_func(ctypes.byref(instance._instance), self._of, index.ptr(), ctypes.byref(found))  # noqa: SLF001
        return found if there else None

    def close(self) -> None:
        """Free everything that the call had."""
        _delete(self._store)
