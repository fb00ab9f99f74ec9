"""Call: one function of a guest, run once in an instance of its own that nothing survives."""

from __future__ import annotations

import ctypes
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

from guardsvc.guards.wasm.calls.layout import Frame, Lowered, supported
from guardsvc.guards.wasm.calls.lifting import Lifter
from guardsvc.guards.wasm.calls.ordinary import lower_ordinarily
from guardsvc.guards.wasm.calls.sandbox import Sandbox, delete_value
from guardsvc.guards.wasm.failures import WasmFailure, kind_of_error
from guardsvc.guards.wasm.host.host import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.wasm.contract.shape import Exported
    from guardsvc.guards.wasm.contract.types import Type
    from guardsvc.guards.wasm.host.host import HostCalls
    from guardsvc.guards.wasm.loading.engines import Clock
    from guardsvc.guards.wasm.loading.module import Module
    from guardsvc.guards.wasm.settings import LimitSettings

__all__ = ["Arguments", "Times", "run"]

KIB = 1024


class Arguments(NamedTuple):
    """What a function is called with.

    Attributes:
        params: name and type of each parameter.
        values: texts in UTF-8, None where an option is absent, and flags, by dotted name.
        rows: for each list of records how many there are, and their fields as columns.
    """

    params: tuple[tuple[str, Type], ...]
    values: Mapping[str, bytes | bool | None]
    rows: Mapping[str, tuple[int, Mapping[str, Sequence[bytes | None]]]]


class Times(NamedTuple):
    """When each part of a call was over, on the clock of ``time.perf_counter``."""

    begun: float
    instantiated: float
    lowered: float
    called: float
    lifted: float
    dropped: float


class _Frames(threading.local):
    def __init__(self) -> None:
        self.of: WeakKeyDictionary[Exported, Frame] = WeakKeyDictionary()


_frames = _Frames()


def run(  # noqa: PLR0913  all that a call needs
    module: Module,
    exported: Exported | None,
    arguments: Arguments,
    *,
    limits: LimitSettings,
    calls: HostCalls,
    clock: Clock,
    deadline: float,
    times: list[Times] | None = None,
    ordinarily: bool = False,
) -> Any:
    """Call a function in a fresh instance and read its answer; see ``Lifter.lift`` for its form.

    Args:
        module: the guest.
        exported: the function; None only instantiates.
        arguments: what it is called with.
        limits: what it may use up.
        calls: what the host functions work on.
        clock: ends it.
        deadline: when it must end, on the clock of ``time.perf_counter``.
        times: where to note how long each part took, for a benchmark.
        ordinarily: lower as wasmtime does, for comparison.

    Raises:
        WasmFailure: it ended without an answer.
    """
    begun = perf_counter()
    if deadline <= begun:
        raise WasmFailure("queue", "no time was left")
    number, epochs = clock.start(deadline)
    store = Sandbox(module.engine, limits, epochs)
    current.calls = calls
    try:
        try:
            instance = module.instantiate(store)
            if exported is None:
                return None
            function = module.function(instance, store, exported)
            instantiated = perf_counter()
            answer = _call(exported, function, store, arguments, limits, packed=supported() and not ordinarily)
        except WasmtimeError as error:
            raise _failure(error) from None
        if times is not None:
            times.append(Times(begun, instantiated, *answer[1:], perf_counter()))
        return answer[0]
    finally:
        current.calls = None
        store.close()
        clock.end(number)
        calls.end()


def _call(
    exported: Exported,
    function: Any,
    store: Sandbox,
    arguments: Arguments,
    limits: LimitSettings,
    *,
    packed: bool,
) -> tuple[Any, float, float, float]:
    if packed:
        frame = _frames.of.get(exported)
        if frame is None:
            frame = _frames.of[exported] = Frame(arguments.params)
        lowered = frame.lower(arguments.values, arguments.rows)
        values: Any = ctypes.cast(lowered.address, ctypes.POINTER(ffi.wasmtime_component_val))
        alive: Lowered | None = lowered
        count, owned = lowered.count, 0
    else:
        values = lower_ordinarily(function, store, arguments.params, arguments.values, arguments.rows)
        alive, count = None, len(arguments.params)
        owned = count
    lowered_at = perf_counter()
    result = ffi.wasmtime_component_val()
    try:
        error = ffi.wasmtime_component_func_call(
            ctypes.byref(function),
            store._context(),  # noqa: SLF001  wasmtime's own way
            values,
            count,
            ctypes.byref(result),
            1 if exported.signature.result is not None else 0,
        )
    finally:
        for index in range(owned):
            delete_value(values[index])
    called_at = perf_counter()
    del alive  # the arguments were needed until here
    if error:  # type: ignore[truthy-bool]  # a null pointer is false
        raise WasmtimeError._from_ptr(error)  # noqa: SLF001  the same
    try:
        answer = Lifter(limits.output_kib * KIB, limits.findings).lift(result)
    finally:
        delete_value(result)
    return answer, lowered_at, called_at, perf_counter()


def _failure(error: WasmtimeError) -> WasmFailure:
    text = str(error)
    cause = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    kind = kind_of_error(text)
    return WasmFailure(kind, cause.removeprefix("0: ")[:160])
