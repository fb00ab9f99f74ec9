"""Slots: addresses that are reserved once and that calls take in turn for the memories and tables of their guests.

Asking the system for them anew takes longer than most calls do. What a guest wrote is given back to the system when its
call ends, so that slots hold nothing between calls.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from wasmtime import _ffi as ffi

from guardsvc.guards.wasm.settings import LimitSettings

if TYPE_CHECKING:
    import wasmtime

__all__ = ["fits", "reserve"]

MIB = 1_048_576
OF_A_CALL = LimitSettings()
"""What one call may take of the slots: what the limits allow by default."""
BOUNDED = ("memories", "tables", "table_elements", "instances")
MEMORY = 4096 * MIB
"""Addresses of the largest memory that a limit allows."""
BESIDE = 2
"""Times as many addresses must be free as memories take: for what lies between them, and for all else."""
BOOKKEEPING = 16 * MIB
"""Largest instance, beside its memories and tables; it is taken as it is needed."""
_NORESERVE = 0x4000


def fits(limits: LimitSettings) -> bool:
    """Whether slots are large enough for what a call may take."""
    return all(getattr(limits, name) <= getattr(OF_A_CALL, name) for name in BOUNDED)


def reserve(config: wasmtime.Config, calls: int) -> None:
    """Have an engine reserve slots; where the process may not have the addresses, it asks for them at each call.

    Args:
        config: of the engine.
        calls: how many there are at once, at most.
    """
    memories = calls * OF_A_CALL.memories
    if not _free(memories * MEMORY * BESIDE):
        return
    pool = ffi.wasmtime_pooling_allocation_config_new()
    for name, value in {
        "total_memories": memories,
        "total_tables": calls * OF_A_CALL.tables,
        "total_core_instances": calls * OF_A_CALL.instances,
        "total_component_instances": calls,
        "total_stacks": calls,
        "total_gc_heaps": 0,
        "max_memories_per_module": OF_A_CALL.memories,
        "max_memories_per_component": OF_A_CALL.memories,
        "max_tables_per_module": OF_A_CALL.tables,
        "max_tables_per_component": OF_A_CALL.tables,
        "max_core_instances_per_component": OF_A_CALL.instances,
        "max_memory_size": MEMORY,
        "table_elements": OF_A_CALL.table_elements,
        "max_core_instance_size": BOOKKEEPING,
        "max_component_instance_size": BOOKKEEPING,
    }.items():
        getattr(ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    ffi.wasmtime_pooling_allocation_config_delete(pool)


def _free(size: int) -> bool:
    """Whether so many addresses can be reserved: wasmtime ends the process where they cannot."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE, prot=0).close()
    except OSError:
        return False
    return True
