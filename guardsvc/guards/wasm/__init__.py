"""The WASM tier: guards that third parties write as components, in a sandbox of their own for every call.

Nothing here imports wasmtime before a policy has such a guard.
"""

from guardsvc.guards.wasm.guard_type import WASM
from guardsvc.guards.wasm.options import WasmOptions, configure
from guardsvc.guards.wasm.reports import Report, listen

__all__ = ["WASM", "Report", "WasmOptions", "configure", "listen"]
