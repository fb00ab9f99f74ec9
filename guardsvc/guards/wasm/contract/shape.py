"""Shape: which guard a component is, by the names and types of what it exports and imports.

Version 1.0.0 has an interface for each kind of operation. Before it there was one interface ``guard``: unversioned
with one function, and as 0.1.0 with two or with six. They are told apart by name and type, never by trying.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature as signature_of
from typing import TYPE_CHECKING, Any

from wasmtime import component as wasm

from guardsvc.guards.wasm.contract.interface import (
    EVALUATIONS,
    HOST,
    HTTP,
    KV,
    OLD_EVALUATIONS,
    PACKAGE,
    Evaluation,
    fits_old,
    is_answer,
)
from guardsvc.guards.wasm.contract.types import Signature, Type, signature
from guardsvc.guards.wasm.host.functions import function_of, resource_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import wasmtime

    from guardsvc.model import Direction, Phase

__all__ = ["RESOURCE_ALIASES", "WASI", "Exported", "Function", "Import", "Shape", "ShapeError", "shape_of"]

WASI = frozenset({"wasi:http/types", "wasi:http/outgoing-handler", "wasi:io/error", "wasi:io/poll", "wasi:io/streams"})
"""What of WASI 0.2 there is, where ``http`` is granted."""
RESOURCE_ALIASES = {"io-error": "error", "headers": "fields", "trailers": "fields"}
"""Other names that resources have."""
SHOWN = 5
"""How many names an error lists."""


class ShapeError(ValueError):
    """A component is no guard, or wants what guards cannot have."""


class Exported:
    """A function that a component exports.

    Args:
        interface: name of the exported instance.
        name: of the function.
        types: its signature.
    """

    def __init__(self, interface: str, name: str, types: Signature) -> None:
        self.interface = interface
        self.name = name
        self.signature = types


class Function(Exported):
    """One that judges.

    Args:
        evaluation: what it judges.
        exact: whether it is of version 1.0.0.
    """

    def __init__(self, interface: str, name: str, types: Signature, evaluation: Evaluation, *, exact: bool) -> None:
        super().__init__(interface, name, types)
        self.evaluation = evaluation
        self.exact = exact
        self.params: tuple[tuple[str, Type], ...] = tuple(
            (named, kind) for (named, _), (_, kind) in zip(evaluation.params, types.params, strict=True)
        )

    @property
    def kind(self) -> str:
        """What it judges, by the name of the interface of version 1.0.0."""
        return self.evaluation.kind


@dataclass(frozen=True)
class Import:
    """A host function that a component asks for, and the form of the answer it expects."""

    instance: str
    interface: str
    name: str
    answer: Type | None


@dataclass(frozen=True)
class Shape:
    """What a component is.

    Attributes:
        version: of the interface: ``1.0.0``, ``0.1.0``, or ``0`` where it has none.
        functions: what judges, by direction and phase.
        settings: functions about settings, by their names in version 1.0.0.
        imports: what it asks of the host.
        resources: instances and names of the resources that these functions are about.
    """

    version: str
    functions: Mapping[tuple[Direction, Phase], Function]
    settings: Mapping[str, Exported]
    imports: tuple[Import, ...]
    resources: tuple[tuple[str, str], ...]

    def wants(self, grant: str) -> bool:
        """Whether it cannot be loaded without a grant, ``kv`` or ``http``."""
        return any(each.interface == grant or (grant == "http" and each.interface in WASI) for each in self.imports)

    @property
    def kinds(self) -> list[str]:
        """What it judges."""
        return sorted({function.kind for function in self.functions.values()})


def shape_of(component: wasm.Component, engine: wasmtime.Engine) -> Shape:
    """What a component is.

    Raises:
        ShapeError: it is no guard, or asks for what is not there.
    """
    asked = component.type.imports(engine)
    imports, resources = tuple(_imports(asked, engine)), tuple(_resources(asked, engine))
    exports = component.type.exports(engine)
    instances = {name: extern.ty for name, extern in exports.items() if name.startswith(f"{PACKAGE}/")}
    functions: dict[tuple[Direction, Phase], Function] = {}
    settings: dict[str, Exported] = {}
    versions = set()
    for name, kind in instances.items():
        inside = _functions(kind, engine)
        interface, _, version = name.removeprefix(f"{PACKAGE}/").partition("@")
        if version == "1.0.0" and interface in EVALUATIONS:
            found = [_exact(name, interface, inside)]
        elif version == "1.0.0" and interface == "settings":
            settings |= _settings(name, inside, {"schema": "schema", "validate": "validate"})
            continue
        elif interface == "guard" and version in ("", "0.1.0"):
            found = list(_old(name, inside))
            settings |= _settings(name, inside, {"get-settings-schema": "schema", "get-default-config": "defaults"})
        else:
            continue
        versions.add(version or "0")
        for function in found:
            functions |= dict.fromkeys(function.evaluation.points, function)
    if not functions:
        raise ShapeError(f"it exports nothing that judges; {_told('exports', exports)}")
    if len(versions) > 1:
        raise ShapeError(f"it exports guards of several versions: {', '.join(sorted(versions))}")
    return Shape(versions.pop(), functions, settings, imports, resources)


def _exact(name: str, interface: str, inside: Mapping[str, Signature]) -> Function:
    evaluation = EVALUATIONS[interface]
    types = inside.get("evaluate")
    if types is None:
        raise ShapeError(f"{name} has no function evaluate")
    if types.types[0] != tuple(kind for _, kind in evaluation.params) or not is_answer(types.result, exact=True):
        raise ShapeError(f"{name} evaluate has other types than {PACKAGE}@1.0.0")
    return Function(name, "evaluate", types, evaluation, exact=True)


def _old(name: str, inside: Mapping[str, Signature]) -> Iterator[Function]:
    for function, evaluation in OLD_EVALUATIONS.items():
        types = inside.get(function)
        if types is None:
            continue
        if not fits_old(types.types[0], evaluation) or not is_answer(types.result, exact=False):
            raise ShapeError(f"{name} {function} has types that no version of {PACKAGE} has")
        yield Function(name, function, types, evaluation, exact=False)


SETTINGS_TYPES = {
    "schema": ((), "string"),
    "defaults": ((), "string"),
    "validate": (("string",), ("result", None, "string")),
}


def _settings(name: str, inside: Mapping[str, Signature], wanted: Mapping[str, str]) -> dict[str, Exported]:
    found = {}
    for function, known_as in wanted.items():
        types = inside.get(function)
        if types is None:
            continue
        if types.types != SETTINGS_TYPES[known_as]:
            raise ShapeError(f"{name} {function} has other types than {PACKAGE} has")
        found[known_as] = Exported(name, function, types)
    return found


def _imports(imports: Mapping[str, Any], engine: wasmtime.Engine) -> Iterator[Import]:
    unknown = []
    for name, extern in imports.items():
        interface = _interface(name)
        kind = extern.ty
        inside = _functions(kind, engine)
        if not isinstance(kind, wasm.ComponentInstanceType) or (interface is None and inside):
            unknown.append(name)
            continue
        for function, types in inside.items():
            answers = _answers(interface, function, types)
            if answers is None:
                unknown.append(f"{name} {function}")
                continue
            if not answers:
                raise ShapeError(f"it imports {name} {function} with other types than the host has")
            yield Import(name, interface or "", function, types.result)
    if unknown:
        raise ShapeError(f"it imports what no guard can have: {_listed(unknown)}")


def _interface(name: str) -> str | None:
    """The interface of the host that an import is, without our package and without version; None where it is none."""
    full, _, version = name.partition("@")
    if full.startswith(f"{PACKAGE}/"):
        return full.removeprefix(f"{PACKAGE}/") if version in ("", "0.1.0", "1.0.0") else None
    return full if full in WASI and version.startswith("0.2.") else None


def _answers(interface: str | None, function: str, types: Signature) -> bool | None:
    """Whether a host function takes and gives what a component says; None where there is no such function."""
    if interface in WASI:
        known = function_of(interface, function)
        return None if known is None else len(signature_of(known).parameters) - 1 == len(types.params)
    described = {"host": HOST, "kv": KV, "http": HTTP}.get(interface or "", {})
    if function not in described:
        return None
    takes, answers = described[function]
    return types.types[0] == takes and types.result in answers


def _resources(imports: Mapping[str, Any], engine: wasmtime.Engine) -> Iterator[tuple[str, str]]:
    for name, extern in imports.items():
        if isinstance(extern.ty, wasm.ComponentInstanceType):
            for inner, each in extern.ty.exports(engine).items():
                if isinstance(each.ty, wasm.ResourceType):
                    if _interface(name) not in WASI or RESOURCE_ALIASES.get(inner, inner) not in resource_kinds():
                        raise ShapeError(f"it imports what no guard can have: {_listed([f'{name} {inner}'])}")
                    yield name, inner


def _functions(kind: Any, engine: wasmtime.Engine) -> dict[str, Signature]:
    if not isinstance(kind, wasm.ComponentInstanceType):
        return {}
    inside = {name: extern.ty for name, extern in kind.exports(engine).items()}
    return {name: signature(item) for name, item in inside.items() if isinstance(item, wasm.FuncType)}


def _told(what: str, names: Mapping[str, Any]) -> str:
    return f"it {what} {_listed(sorted(names))}" if names else f"it {what} nothing"


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
