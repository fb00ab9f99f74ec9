"""Runtime: what the WASM guards of a process share. It is made when the first of them is built."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING

from guardsvc.guards.wasm.host.kv import Memory
from guardsvc.guards.wasm.loading.compiled import CompiledCache
from guardsvc.guards.wasm.loading.engines import Engines
from guardsvc.guards.wasm.loading.kept import Kept
from guardsvc.guards.wasm.loading.module import Modules
from guardsvc.guards.wasm.options import cache_folder, options
from guardsvc.guards.wasm.pool import Pool
from guardsvc.guards.wasm.quarantine import Quarantine
from guardsvc.guards.wasm.reports import report

if TYPE_CHECKING:
    from guardsvc.guards.wasm.settings import KvSettings, QuarantineSettings

__all__ = ["Runtime", "runtime"]

KEPT = 1000
"""Guards whose quarantine and memory outlive a reload."""
BESIDE = 1
"""Threads for calls that are only compared."""


class Runtime:
    """Engines, modules and threads, and what outlives a reload.

    Attributes:
        pool: threads for calls that decisions wait for.
        beside: one of lower priority, with a shorter line, for calls that are only compared.
    """

    def __init__(self) -> None:
        settled = options()
        self.engines = Engines(settled.threads + BESIDE)
        self.kept = Kept(cache_folder())
        self.modules = Modules(self.engines, CompiledCache(cache_folder()))
        self.pool = Pool(
            threads=settled.threads,
            queue=settled.queue,
            nice=settled.nice,
        )
        self.beside = Pool(threads=BESIDE, queue=max(1, settled.queue // 8), nice=min(19, settled.nice + 5))
        self._quarantines: OrderedDict[tuple[str, str, QuarantineSettings], Quarantine] = OrderedDict()
        self._memories: OrderedDict[tuple[str, KvSettings], Memory] = OrderedDict()
        self._lock = threading.Lock()

    def quarantine(self, guard: str, digest: str, settings: QuarantineSettings) -> Quarantine:
        """That of a guard. Another module begins anew, the same one after a reload does not."""
        with self._lock:
            key = (guard, digest, settings)
            if key not in self._quarantines:
                self._quarantines[key] = Quarantine(guard, settings, lambda *told: report().quarantined(*told))
                report().quarantined(guard, 0)
            self._quarantines.move_to_end(key)
            while len(self._quarantines) > KEPT:
                self._quarantines.popitem(last=False)
            return self._quarantines[key]

    def memory(self, guard: str, settings: KvSettings) -> Memory:
        """What a guard remembers, whichever its module is."""
        with self._lock:
            key = (guard, settings)
            memory = self._memories.setdefault(key, Memory(settings))
            self._memories.move_to_end(key)
            while len(self._memories) > KEPT:
                self._memories.popitem(last=False)
            return memory


@cache
def runtime() -> Runtime:
    """The runtime of this process."""
    return Runtime()
