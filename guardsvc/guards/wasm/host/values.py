"""Values: what passes between guests and host functions, of every type that one of them takes or gives."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

from guardsvc.guards.wasm.calls.lifting import Lifter
from guardsvc.guards.wasm.failures import WasmFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.guards.wasm.contract.types import Type

__all__ = ["ArgumentLifter", "write"]

_U8 = ffi.WASMTIME_COMPONENT_U8.value
_U16 = ffi.WASMTIME_COMPONENT_U16.value
_U32 = ffi.WASMTIME_COMPONENT_U32.value
_LIST = ffi.WASMTIME_COMPONENT_LIST.value
_TUPLE = ffi.WASMTIME_COMPONENT_TUPLE.value
_RESOURCE = ffi.WASMTIME_COMPONENT_RESOURCE.value
_SIZE = ctypes.sizeof(ffi.wasmtime_component_val)
_PAYLOAD = ffi.wasmtime_component_val.of.offset

_NUMBERS = {
    "bool": ("BOOL", "boolean"),
    "u8": ("U8", "u8"),
    "u16": ("U16", "u16"),
    "u32": ("U32", "u32"),
    "u64": ("U64", "u64"),
    "s64": ("S64", "s64"),
}


class ArgumentLifter(Lifter):
    """Reads the arguments of one host function: resources as the numbers that the host knows them by, bytes as bytes.

    Args:
        context: of the store, as the callback is given it.
        most_bytes: of all text and bytes.
        most_items: of a list that is none of bytes.
    """

    def __init__(self, context: Any, most_bytes: int, most_items: int) -> None:
        super().__init__(most_bytes, most_items)
        self._context = context

    def lift(self, value: Any) -> Any:
        """See ``Lifter.lift``."""
        kind, of = value.kind, value.of
        if kind == _RESOURCE:
            return self._number_of(of.resource)
        if kind == _TUPLE:
            items = of.tuple.data
            return tuple(self.lift(items[index]) for index in range(of.tuple.size))
        if kind == _LIST and of.list.size and of.list.data[0].kind == _U8:
            return self._bytes(of.list)
        if kind == _U16:
            return int(of.u16)
        if kind == _U32:
            return int(of.u32)
        return super().lift(value)

    def _bytes(self, items: Any) -> bytes:
        self._left -= items.size
        if self._left < 0:
            raise WasmFailure("output", "more bytes than are allowed")
        return ctypes.string_at(items.data, items.size * _SIZE)[_PAYLOAD::_SIZE]

    def _number_of(self, resource: Any) -> int:
        host = ctypes.POINTER(ffi.wasmtime_component_resource_host_t)()
        error = ffi.wasmtime_component_resource_any_to_host(self._context, resource, ctypes.byref(host))
        if error:  # type: ignore[truthy-bool]  # a null pointer is false
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001  wasmtime's own way
        try:
            return int(ffi.wasmtime_component_resource_host_rep(host))
        finally:
            ffi.wasmtime_component_resource_host_delete(host)


def write(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    """Write an answer where wasmtime looks for it; wasmtime frees what is made here.

    Args:
        kind: the type that the guest declares.
        told: the answer.
        value: where.
        give: makes a resource of what is told for one, and gives wasmtime's pointer to it.

    Raises:
        TypeError: no host function answers with such a type.
    """
    if isinstance(kind, tuple) and kind[0] in _WRITERS:
        _WRITERS[kind[0]](kind, told, value, give)
    elif kind == "string":
        value.kind = ffi.WASMTIME_COMPONENT_STRING
        value.of.string = ffi.str_to_capi(told or "")
    elif kind in _NUMBERS:
        name, member = _NUMBERS[kind]
        value.kind = getattr(ffi, f"WASMTIME_COMPONENT_{name}")
        setattr(value.of, member, told)
    elif kind == "owntype":
        value.kind = ffi.WASMTIME_COMPONENT_RESOURCE
        value.of.resource = give(told)
    else:
        raise TypeError(f"no answer of type {kind}")


def _write_option(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    value.kind = ffi.WASMTIME_COMPONENT_OPTION
    value.of.option = _boxed(kind[1], told, give) if told is not None else None


def _write_result(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    _, ok, err = kind
    which, payload = told
    value.kind = ffi.WASMTIME_COMPONENT_RESULT
    value.of.result.is_ok = which == "ok"
    inner = ok if which == "ok" else err
    value.of.result.val = _boxed(inner, payload, give) if inner is not None else None


def _write_variant(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    case, payload = told if isinstance(told, tuple) else (told, None)
    inner = dict(kind[1])[case]
    value.kind = ffi.WASMTIME_COMPONENT_VARIANT
    value.of.variant.discriminant = ffi.str_to_capi(case)
    value.of.variant.val = None if inner is None else _boxed(inner, payload, give)


def _write_list(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    value.kind = ffi.WASMTIME_COMPONENT_LIST
    if kind[1] == "u8":
        _write_bytes(told, value.of.list)
        return
    made = ffi.wasmtime_component_vallist_t()
    ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(made), len(told))
    _write_all([kind[1]] * len(told), told, made.data, give)
    value.of.list = made


def _write_tuple(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    value.kind = ffi.WASMTIME_COMPONENT_TUPLE
    made = ffi.wasmtime_component_valtuple_t()
    ffi.wasmtime_component_valtuple_new_uninit(ctypes.byref(made), len(kind[1]))
    _write_all(kind[1], told, made.data, give)
    value.of.tuple = made


def _write_record(kind: Type, told: Any, value: Any, give: Callable[[Any], Any]) -> None:
    value.kind = ffi.WASMTIME_COMPONENT_RECORD
    made = ffi.wasmtime_component_valrecord_t()
    ffi.wasmtime_component_valrecord_new_uninit(ctypes.byref(made), len(kind[1]))
    for index, (name, inner) in enumerate(kind[1]):
        made.data[index].name = ffi.str_to_capi(name)
        _clear(made.data[index].val)
        write(inner, told[name], made.data[index].val, give)
    value.of.record = made


_WRITERS = {
    "option": _write_option,
    "result": _write_result,
    "variant": _write_variant,
    "list": _write_list,
    "tuple": _write_tuple,
    "record": _write_record,
}


def _clear(value: Any) -> None:
    ctypes.memset(ctypes.byref(value), 0, _SIZE)


def _write_all(kinds: Any, told: Any, values: Any, give: Callable[[Any], Any]) -> None:
    for index, (kind, each) in enumerate(zip(kinds, told, strict=True)):
        _clear(values[index])
        write(kind, each, values[index], give)


def _write_bytes(content: bytes, made: Any) -> None:
    ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(made), len(content))
    packed = bytearray(len(content) * _SIZE)
    packed[::_SIZE] = bytes([_U8]) * len(content)
    packed[_PAYLOAD::_SIZE] = content
    ctypes.memmove(made.data, bytes(packed), len(packed))


def _boxed(kind: Type, told: Any, give: Callable[[Any], Any]) -> Any:
    raw = ffi.wasmtime_component_val()
    write(kind, told, raw, give)
    return ffi.wasmtime_component_val_new(ctypes.byref(raw))
