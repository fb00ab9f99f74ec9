"""Engines: wasmtime's, one for each way of compiling, and the clock that ends calls which run too long."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import wasmtime

from guardsvc.guards.wasm.loading.slots import fits, reserve

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.guards.wasm.settings import LimitSettings

__all__ = ["Clock", "EngineKind", "Engines"]

KIB = 1024
TICK = 0.001
"""Seconds of one epoch."""
PERIOD = 0.05
"""Seconds after which the epochs are advanced at the latest while calls run."""
IDLE = 1.0
"""Seconds without a call after which the clock's thread waits for the next."""
TRIALS = 4
"""Calls at once beside those of threads: of guards that are only being loaded."""


class EngineKind(NamedTuple):
    """What a module is compiled for; one compiled for another kind cannot be used.

    Attributes:
        fuel: whether instructions are counted.
        stack: bytes of the guest's stack.
        slots: whether instances take slots in turn, where the process may have as many addresses.
    """

    fuel: bool
    stack: int
    slots: bool = False

    @classmethod
    def of(cls, limits: LimitSettings) -> EngineKind:
        """The kind for what calls may use up."""
        return cls(fuel=limits.fuel is not None, stack=limits.stack_kib * KIB, slots=fits(limits))

    def make(self, calls: int) -> wasmtime.Engine:
        """An engine of this kind. What no guard needs is off: threads, 64-bit memories, garbage collection.

        Args:
            calls: how many there are at once, at most.
        """
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.consume_fuel = self.fuel
        config.max_wasm_stack = self.stack
        config.parallel_compilation = False
        config.wasm_component_model = True
        config.wasm_threads = False
        config.shared_memory = False
        config.wasm_memory64 = False
        config.wasm_gc = False
        config.wasm_relaxed_simd_deterministic = True
        config.cranelift_nan_canonicalization = True
        if self.slots:
            reserve(config, calls)
        return wasmtime.Engine(config)


class Engines:
    """The engines of a process. They last as long as it does.

    Args:
        threads: how many call guests.
    """

    def __init__(self, threads: int = 1) -> None:
        self._calls = threads + TRIALS
        self._engines: dict[EngineKind, wasmtime.Engine] = {}
        self._lock = threading.Lock()
        self.clock = Clock(self._advance)

    def engine(self, kind: EngineKind) -> wasmtime.Engine:
        """The engine of a kind."""
        with self._lock:
            if kind not in self._engines:
                self._engines = {**self._engines, kind: kind.make(self._calls)}
            return self._engines[kind]

    def _advance(self) -> None:
        for engine in self._engines.values():
            engine.increment_epoch()


class Clock:
    """Advances the epochs of all engines by one each millisecond, in bursts: when a call's time is over, or soon.

    Args:
        advance: advances them by one.
    """

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance
        self._changed = threading.Condition()
        self._deadlines: dict[int, float] = {}
        self._number = 0
        self._shown = 0.0
        self._wakes = 0.0
        self._thread: threading.Thread | None = None

    def start(self, deadline: float) -> tuple[int, int]:
        """A call begins that must end by ``deadline``, on the clock of ``time.perf_counter``.

        Returns:
            Its number, and after how many epochs it is to be ended.
        """
        with self._changed:
            now = perf_counter()
            if not self._deadlines:
                self._shown = now  # nothing ran meanwhile: no call minds that the epochs stood still
            self._number += 1
            self._deadlines[self._number] = deadline
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="wasm-clock", daemon=True)
                self._wakes = now + PERIOD
                self._thread.start()
            elif deadline < self._wakes:
                self._changed.notify()
            return self._number, max(1, int((deadline - self._shown) / TICK) + 1)

    def end(self, number: int) -> None:
        """A call has ended."""
        with self._changed:
            self._deadlines.pop(number, None)

    def _run(self) -> None:
        last = perf_counter()
        with self._changed:
            while True:
                now = perf_counter()
                if self._deadlines:
                    last = now
                    earliest = min(self._deadlines.values())
                    if now >= earliest or now - self._shown >= PERIOD:
                        self._show(now)
                        earliest = max(earliest, now + TICK)
                    self._wakes = min(earliest + TICK, now + PERIOD)
                elif now - last > IDLE:
                    self._thread = None
                    return
                else:
                    self._wakes = now + PERIOD
                self._changed.wait(self._wakes - now)

    def _show(self, now: float) -> None:
        for _ in range(int((now - self._shown) / TICK)):
            self._advance()
            self._shown += TICK
