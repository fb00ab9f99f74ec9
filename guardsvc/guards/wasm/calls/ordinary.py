"""The ordinary way of lowering, by wasmtime's own functions: slow, and for versions that ``layout`` does not know."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from wasmtime import _ffi as ffi
from wasmtime.component import Func, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.wasm.contract.types import Type

__all__ = ["lower_ordinarily"]


def lower_ordinarily(
    function: Any,
    store: Any,
    params: Sequence[tuple[str, Type]],
    values: Mapping[str, Any],
    rows: Mapping[str, tuple[int, Mapping[str, Sequence[bytes | None]]]],
) -> Any:
    """The arguments as an array of values, each to be deleted after the call. See ``layout.Frame.lower``."""
    types = Func._from_raw(function).type(store).params  # noqa: SLF001  wasmtime's own way
    lowered = (ffi.wasmtime_component_val * len(params))()
    for index, ((name, kind), (_, own)) in enumerate(zip(params, types, strict=True)):
        own.convert_to_c(store, _plain(kind, name, values, rows), ctypes.pointer(lowered[index]))
    return lowered


def _plain(kind: Type, name: str, values: Mapping[str, Any], rows: Mapping[str, Any]) -> Any:
    match kind:
        case ("record", fields):
            return _record((field, _plain(inner, f"{name}.{field}", values, rows)) for field, inner in fields)
        case ("list", ("record", fields)):
            count, columns = rows[name]
            return [
                _record((field, _text(columns[field][index], inner)) for field, inner in fields)
                for index in range(count)
            ]
        case "bool":
            return bool(values[name])
        case _:
            return _text(values[name], kind)


def _text(text: bytes | None, kind: Type) -> str | None:
    return (None if isinstance(kind, tuple) and kind[0] == "option" else "") if text is None else text.decode()


def _record(fields: Any) -> Record:
    record = Record()
    for name, value in fields:
        setattr(record, name, value)
    return record
