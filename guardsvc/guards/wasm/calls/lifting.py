"""Lifting: what a guest answered, read from wasmtime's values, no more of it than is allowed."""

from __future__ import annotations

import ctypes
from typing import Any

from wasmtime import _ffi as ffi

from guardsvc.guards.wasm.failures import WasmFailure

__all__ = ["Lifter", "allowed_text"]

_BOOL = ffi.WASMTIME_COMPONENT_BOOL.value
_U8 = ffi.WASMTIME_COMPONENT_U8.value
_S64 = ffi.WASMTIME_COMPONENT_S64.value
_U64 = ffi.WASMTIME_COMPONENT_U64.value
_STRING = ffi.WASMTIME_COMPONENT_STRING.value
_LIST = ffi.WASMTIME_COMPONENT_LIST.value
_RECORD = ffi.WASMTIME_COMPONENT_RECORD.value
_VARIANT = ffi.WASMTIME_COMPONENT_VARIANT.value
_ENUM = ffi.WASMTIME_COMPONENT_ENUM.value
_OPTION = ffi.WASMTIME_COMPONENT_OPTION.value
_RESULT = ffi.WASMTIME_COMPONENT_RESULT.value
_TEXTS = (_STRING, _ENUM)


class Lifter:
    """Reads one answer.

    Args:
        most_bytes: of all its text.
        most_items: of a list.
    """

    def __init__(self, most_bytes: int, most_items: int) -> None:
        self._left = most_bytes
        self._most_items = most_items

    def lift(self, value: Any) -> Any:
        """The value: text, a flag, a number, a list, a record as a dict, a variant or result as name and value.

        Raises:
            WasmFailure: it is larger than allowed, or of a kind that no answer has.
        """
        kind, of = value.kind, value.of
        if kind in _TEXTS:
            return self._text(of.string)
        if kind == _VARIANT:
            payload = of.variant.val
            return self._text(of.variant.discriminant), (self.lift(payload.contents) if payload else None)
        if kind == _RESULT:
            payload = of.result.val
            return "ok" if of.result.is_ok else "err", (self.lift(payload.contents) if payload else None)
        if kind == _RECORD:
            entries = of.record.data
            return {self._text(entries[index].name): self.lift(entries[index].val) for index in range(of.record.size)}
        if kind == _LIST:
            if of.list.size > self._most_items:
                raise WasmFailure("output", f"a list of {of.list.size}")
            items = of.list.data
            return [self.lift(items[index]) for index in range(of.list.size)]
        if kind == _OPTION:
            return self.lift(of.option.contents) if of.option else None
        return self._scalar(kind, of)

    def _scalar(self, kind: int, of: Any) -> Any:
        if kind == _BOOL:
            return bool(of.boolean)
        if kind == _U8:
            return int(of.u8)
        if kind == _U64:
            return int(of.u64)
        if kind == _S64:
            return int(of.s64)
        raise WasmFailure("bad_answer", f"a value of kind {kind}")

    def _text(self, name: Any) -> str:
        size = name.size
        self._left -= size
        if self._left < 0:
            raise WasmFailure("output", "more text than is allowed")
        return allowed_text(name.data, size)


def allowed_text(data: Any, size: int) -> str:
    """Text of a guest; that it is UTF-8 wasmtime has seen to."""
    return ctypes.string_at(data, size).decode("utf-8", "replace") if size else ""
