"""Components for tests, as text: a guard of version 1.0.0 that judges calls of tools, of which the core is given.

The core imports its memory as ``env memory`` and host functions as ``host …`` and ``kv …``, and exports ``evaluate``,
which takes the address of its arguments and gives the address of its answer. Memory is zero where nothing was written,
and an answer of zeros is an allow.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

import wasmtime

from guardsvc.guards.wasm.guard import WasmGuard
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import Caller, Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase, Verdict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ANSWER", "CALL", "PATIENCE", "answer_of", "ask", "build", "call_of", "component", "guard", "text_of"]

PATIENCE = 60.0
"""Seconds in which a guard that answers has answered, on any machine."""

ANSWER = 1024
"""Address at which ``answer_of`` is put."""
TEXTS = 2048

_CONTEXT = """
    (type $maybe (option string))
    (type $context_ (record (field "server-name" string) (field "tenant" $maybe) (field "identity" $maybe)
      (field "verified" bool) (field "method" string) (field "metadata" string)))
    (export "guard-context" (type $context (eq $context_)))
    (type $reason_ (record (field "code" string) (field "message" string) (field "details" $maybe)))
    (export "deny-reason" (type $reason (eq $reason_)))
    (type $texts (list string))
    (type $decision_ (variant (case "allow") (case "deny" $reason) (case "modify" string) (case "warn" $texts)))
    (export "decision" (type $decision (eq $decision_)))
"""
_HOST = {
    "log": '(func (param "level" u8) (param "message" string))',
    "get-time": "(func (result u64))",
    "get-metadata": '(func (param "key" string) (result (option string)))',
    "get-config": '(func (param "key" string) (result (option string)))',
}
_KV = {
    "get": '(func (param "key" string) (result (option string)))',
    "set": """(func (param "key" string) (param "value" string) (param "ttl-ms" u64)
      (result (result (error $error))))""",
    "increment": """(func (param "key" string) (param "by" s64) (param "ttl-ms" u64)
      (result (result s64 (error $error))))""",
}
_KV_ERROR = """(type $error_ (variant (case "too-large") (case "not-a-number")))
    (export "error" (type $error (eq $error_)))"""


_REALLOC = """
    (global $top (mut i32) (i32.const 16384))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (block $fits
        (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
      (local.get $at))
"""


def text_of(
    core: str,
    *,
    host: tuple[str, ...] = (),
    kv: tuple[str, ...] = (),
    memory: str = "4",
    realloc: str = _REALLOC,
    interface: str = "mcp:security-guard/tool-invoke@1.0.0",
    more: str = "",
) -> str:
    """The component as text.

    Args:
        core: fields of the core module, without its imports.
        host: host functions it imports.
        kv: functions of ``kv`` it imports.
        memory: its initial pages, and the most it asks for.
        realloc: fields of the module that has the memory.
        interface: what it exports.
        more: further fields of the component, first of all.
    """
    imports, lowered, wired = [], [], []
    for name, functions, known in (("host", host, _HOST), ("kv", kv, _KV)):
        if not functions:
            continue
        inside = " ".join(f'(export "{function}" {known[function]})' for function in functions)
        errors = _KV_ERROR if name == "kv" else ""
        imports.append(f'(import "mcp:security-guard/{name}@1.0.0" (instance ${name} {errors} {inside}))')
        lowered += [
            f'(alias export ${name} "{function}" (func $of_{name}_{function}))'
            f"(core func ${name}_{function} (canon lower (func $of_{name}_{function})"
            " (memory $memory) (realloc $realloc)))"
            for function in functions
        ]
        exported = " ".join(f'(export "{function}" (func ${name}_{function}))' for function in functions)
        wired.append(f'(with "{name}" (instance {exported}))')
    return f"""(component
  {more}
  (import "mcp:security-guard/types@1.0.0" (instance $types {_CONTEXT}))
  {" ".join(imports)}
  (core module $memory_ (memory (export "memory") {memory}) {realloc})
  (core instance $m (instantiate $memory_))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  {" ".join(lowered)}
  (core module $main_ (import "env" "memory" (memory {memory.split(maxsplit=1)[0]})) {core})
  (core instance $main (instantiate $main_
    (with "env" (instance (export "memory" (memory $memory)))) {" ".join(wired)}))
  (alias core export $main "evaluate" (core func $core_evaluate))
  (alias export $types "guard-context" (type $context))
  (alias export $types "deny-reason" (type $reason))
  (alias export $types "decision" (type $decision))
  (func $evaluate (param "tool-name" string) (param "arguments" string) (param "context" $context)
    (result (result $decision (error string)))
    (canon lift (core func $core_evaluate) (memory $memory) (realloc $realloc)))
  (component $exported_
    (type $maybe (option string))
    (type $context_ (record (field "server-name" string) (field "tenant" $maybe) (field "identity" $maybe)
      (field "verified" bool) (field "method" string) (field "metadata" string)))
    (import "context" (type $context (eq $context_)))
    (type $reason_ (record (field "code" string) (field "message" string) (field "details" $maybe)))
    (import "reason" (type $reason (eq $reason_)))
    (type $texts (list string))
    (type $decision_ (variant (case "allow") (case "deny" $reason) (case "modify" string) (case "warn" $texts)))
    (import "decision" (type $decision (eq $decision_)))
    (import "evaluate" (func $evaluate (param "tool-name" string) (param "arguments" string)
      (param "context" $context) (result (result $decision (error string)))))
    (export $c "guard-context" (type $context))
    (export $d "decision" (type $decision))
    (export "evaluate" (func $evaluate) (func (param "tool-name" string) (param "arguments" string)
      (param "context" $c) (result (result $d (error string))))))
  (instance $exported (instantiate $exported_ (with "context" (type $context)) (with "reason" (type $reason))
    (with "decision" (type $decision)) (with "evaluate" (func $evaluate))))
  (export "{interface}" (instance $exported)))"""


def component(core: str, **more: Any) -> bytes:
    """The component, see ``text_of``."""
    return bytes(wasmtime.wat2wasm(text_of(core, **more)))


def answer_of(case: str, *texts: str, error: str | None = None) -> str:
    """Data segments that hold an answer at ``ANSWER``: ``deny`` code message [details], ``modify`` json, ``warn`` …."""
    at, blob = TEXTS, b""
    places = []
    for text in texts if error is None else (error,):
        encoded = text.encode()
        places += [at + len(blob), len(encoded)]
        blob += encoded
    if error is not None:
        head = struct.pack("<BxxxII", 1, *places)
    elif case == "allow":
        head = bytes(8)
    elif case == "deny":
        details = struct.pack("<BxxxII", 1, *places[4:]) if len(texts) > 2 else bytes(12)
        head = struct.pack("<BxxxBxxxIIII", 0, 1, *places[:4]) + details
    elif case == "modify":
        head = struct.pack("<BxxxBxxxII", 0, 2, *places)
    else:
        table = struct.pack(f"<{len(places)}I", *places)
        head = struct.pack("<BxxxBxxxII", 0, 3, TEXTS - 512, len(texts))
        return _data(ANSWER, head) + _data(TEXTS - 512, table) + _data(at, blob)
    return _data(ANSWER, head) + _data(at, blob)


def _data(at: int, content: bytes) -> str:
    escaped = "".join(f"\\{byte:02x}" for byte in content)
    return f'(data (i32.const {at}) "{escaped}")'


def build(
    folder: Path,
    content: bytes,
    *,
    id_: str | None = None,
    timeout: float = PATIENCE,
    path: Path | None = None,
    **settings: Any,
) -> WasmGuard:
    """The guard that a component is.

    Args:
        folder: where its file is put.
        content: of the component.
        id_: of the guard; one of its own by default, so that no two share a quarantine.
        timeout: seconds it may take.
        path: of the file, one of its own by default.
    """
    path = path or folder / f"{abs(hash(content))}.wasm"
    path.write_bytes(content)
    given = {"allow_unsigned": True, "quarantine": {"failures": 1000, "timeouts": 1000}, **settings}
    context = GuardContext(guard_id=id_ or str(path), timeout=timeout)
    return WasmGuard(WasmSettings.model_validate({"module": str(path), **given}), context)


def guard(
    folder: Path, core: str, *, settings: dict[str, Any] | None = None, timeout: float = PATIENCE, **more: Any
) -> WasmGuard:
    """The guard of a core, see ``text_of``."""
    return build(folder, component(core, **more), timeout=timeout, **(settings or {}))


def call_of(tenant: str | None = None, **arguments: Any) -> Operation:
    """A call of a tool."""
    return Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=1,
        server="files",
        servers=("files",),
        subject="read",
        payload={"name": "read", "arguments": arguments},
        caller=Caller(tenant=tenant),
    )


CALL = call_of(path="/tmp/x")


def ask(guard: WasmGuard, operation: Operation = CALL) -> Verdict:
    """Have a guard judge."""

    async def asked() -> Verdict:
        return await guard.evaluate(operation, {})

    return asyncio.run(asked())
