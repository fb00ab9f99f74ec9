"""Types of the Component Model as plain tuples, so that they can be compared and laid out without asking again.

``"string"``, ``"bool"``, ``"u8"`` … stand for themselves; ``("option", T)``, ``("list", T)``,
``("record", ((name, T), …))``, ``("tuple", (T, …))``, ``("variant", ((name, T or None), …))``, ``("enum", names)``,
``("result", T or None, T or None)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wasmtime import component as wasm

__all__ = ["Signature", "Type", "signature", "type_of"]

Type = Any


class Signature(NamedTuple):
    """What a function takes, with names, and what it gives."""

    params: tuple[tuple[str, Type], ...]
    result: Type | None

    @property
    def types(self) -> tuple[tuple[Type, ...], Type | None]:
        """The types without the names of the parameters, which nothing depends on."""
        return tuple(kind for _, kind in self.params), self.result


def signature(function: wasm.FuncType) -> Signature:
    """The signature of a function type."""
    result = function.result
    return Signature(
        tuple((name, type_of(kind)) for name, kind in function.params), None if result is None else type_of(result)
    )


def type_of(kind: Any) -> Type:
    """The type as tuples; a type that no guard of ours has is named by its class."""
    from wasmtime import component as wasm  # noqa: PLC0415  only where there is a component

    match kind:
        case wasm.RecordType():
            return ("record", tuple((name, type_of(inner)) for name, inner in kind.fields))
        case wasm.ListType():
            return ("list", type_of(kind.element))
        case wasm.OptionType():
            return ("option", type_of(kind.payload))
        case wasm.VariantType():
            return ("variant", tuple((name, inner and type_of(inner)) for name, inner in kind.cases))
        case wasm.TupleType():
            return ("tuple", tuple(type_of(inner) for inner in kind.elements))
        case wasm.EnumType():
            return ("enum", tuple(kind.names))
        case wasm.ResultType():
            return ("result", kind.ok and type_of(kind.ok), kind.err and type_of(kind.err))
        case _:
            return type(kind).__name__.lower()
