"""Host functions: what a guest may call, and how wasmtime comes to call it."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import current
from guardsvc.guards.wasm.host.kv import KvError
from guardsvc.guards.wasm.host.values import ArgumentLifter, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.guards.wasm.contract.types import Type
    from guardsvc.guards.wasm.host.host import HostCalls

__all__ = ["callback", "dropped", "function_of", "resource_kinds"]

MAX_ARGUMENT = 4 * 1_048_576
"""Bytes of text that a guest may hand to one host function."""
MAX_ITEMS = 256
"""Items of a list that a guest may hand to one host function, where it is none of bytes."""


def _log(calls: HostCalls, level: int, message: str) -> None:
    calls.log(level, message)


def _get_time(calls: HostCalls) -> int:
    return calls.get_time()


def _get_metadata(calls: HostCalls, key: str) -> str | None:
    return calls.get_metadata(key)


def _get_config(calls: HostCalls, key: str) -> str | None:
    return calls.get_config(key)


def _kv_get(calls: HostCalls, key: str) -> str | None:
    return calls.memory.get(key)


def _kv_set(calls: HostCalls, key: str, value: str, ttl_ms: int) -> tuple[str, Any]:
    try:
        calls.memory.set(key, value, ttl_ms)
    except KvError as error:
        return "err", error.name
    return "ok", None


def _kv_delete(calls: HostCalls, key: str) -> None:
    calls.memory.delete(key)


def _kv_increment(calls: HostCalls, key: str, by: int, ttl_ms: int) -> tuple[str, Any]:
    try:
        return "ok", calls.memory.increment(key, by, ttl_ms)
    except KvError as error:
        return "err", error.name


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("host", "log"): _log,
    ("host", "get-time"): _get_time,
    ("host", "get-metadata"): _get_metadata,
    ("host", "get-config"): _get_config,
    ("kv", "get"): _kv_get,
    ("kv", "set"): _kv_set,
    ("kv", "delete"): _kv_delete,
    ("kv", "increment"): _kv_increment,
}


@cache
def _http_functions() -> dict[tuple[str, str], Callable[..., Any]]:
    """Loaded when the first guard imports one of them."""
    from guardsvc.guards.wasm.http.calls import HTTP_FUNCTIONS  # noqa: PLC0415  without http no client is loaded
    from guardsvc.guards.wasm.http.wasi import WASI_HTTP_FUNCTIONS  # noqa: PLC0415  the same
    from guardsvc.guards.wasm.http.wasi_io import WASI_IO_FUNCTIONS  # noqa: PLC0415  the same

    return {**HTTP_FUNCTIONS, **WASI_HTTP_FUNCTIONS, **WASI_IO_FUNCTIONS}


def function_of(interface: str, name: str) -> Callable[..., Any] | None:
    """The host function, None where there is no such."""
    if interface in ("host", "kv"):
        return _FUNCTIONS.get((interface, name))
    return _http_functions().get((interface, name))


@cache
def resource_kinds() -> dict[str, tuple[int, type]]:
    """The resources that guests may have, by name: their number, and what the host has for them."""
    from guardsvc.guards.wasm.http.wasi import HTTP_RESOURCES  # noqa: PLC0415  without http no client is loaded
    from guardsvc.guards.wasm.http.wasi_io import IO_RESOURCES  # noqa: PLC0415  the same

    kinds = {**IO_RESOURCES, **HTTP_RESOURCES}
    return {name: (number, kind) for number, (name, kind) in enumerate(kinds.items(), 1)}


@cache
def _numbers() -> dict[type, int]:
    return {kind: number for number, kind in resource_kinds().values()}


@ffi.wasmtime_component_resource_destructor_t  # type: ignore[untyped-decorator]  # of ctypes
def dropped(_env: Any, _context: Any, number: int) -> int:
    """What wasmtime calls when a guest has a resource no more."""
    if (calls := current.calls) is not None:
        calls.drop(number)
    return 0


def callback(interface: str, name: str, answer: Type | None) -> Any:
    """The C function that wasmtime calls when a guest calls a host function.

    What it returns must be kept as long as a linker has it. wasmtime's own way of adding functions keeps an exception
    in one variable for all threads; here none leaves the function.

    Args:
        interface: ``host``, ``kv``, ``http``, or one of WASI's.
        name: of the function.
        answer: its type, as the guest declares it.
    """
    function = function_of(interface, name)

    def called(_env: Any, context: Any, _kind: Any, args: Any, count: int, results: Any, _number: int) -> int:
        try:
            calls = current.calls
            if calls is None or function is None:
                return _error("trap: no call runs")
            calls.count()
            lifter = ArgumentLifter(context, MAX_ARGUMENT, MAX_ITEMS)
            told = function(calls, *[lifter.lift(args[index]) for index in range(count)])
            if answer is not None:
                write(answer, told, results[0], lambda thing: _given(context, calls, thing))
        except WasmFailure as failure:
            return _error(str(failure))
        except BaseException as error:
            return _error(f"trap: host function {name} failed: {type(error).__name__}")
        return 0

    return ffi.wasmtime_component_func_callback_t(called)


def _given(context: Any, calls: HostCalls, thing: Any) -> Any:
    """The pointer of wasmtime to a resource that the guest is to own."""
    host = ffi.wasmtime_component_resource_host_new(True, calls.keep(thing), _numbers()[type(thing)])
    made = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)()
    error = ffi.wasmtime_component_resource_host_to_any(context, host, ctypes.byref(made))
    ffi.wasmtime_component_resource_host_delete(host)
    if error:  # type: ignore[truthy-bool]  # a null pointer is false
        raise WasmtimeError._from_ptr(error)  # noqa: SLF001  wasmtime's own way
    return made


def _error(message: str) -> int:
    made = WasmtimeError(message)
    return ctypes.cast(made._consume(), ctypes.c_void_p).value or 0  # noqa: SLF001  wasmtime takes it over
