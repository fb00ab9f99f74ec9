"""Module: a component, read once, compiled once, and ready to be instantiated for each call."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime import component as wasm

from guardsvc.guards.wasm.contract.shape import RESOURCE_ALIASES, Exported, Shape, ShapeError, shape_of
from guardsvc.guards.wasm.host.functions import callback, dropped, resource_kinds

if TYPE_CHECKING:
    import wasmtime

    from guardsvc.guards.wasm.calls.sandbox import Sandbox
    from guardsvc.guards.wasm.loading.compiled import CompiledCache
    from guardsvc.guards.wasm.loading.engines import EngineKind, Engines

__all__ = ["Module", "ModuleError", "Modules"]


class ModuleError(ValueError):
    """A file is no component that can be a guard."""


class Module:
    """A component with everything it imports, for one kind of engine.

    Args:
        digest: of the component.
        kind: of the engine.
        engine: it was compiled for.
        component: compiled.
        size: bytes of the component, or of what was compiled of it where that is more.

    Raises:
        ShapeError: it is no guard.
    """

    def __init__(
        self, digest: str, kind: EngineKind, engine: wasmtime.Engine, component: wasm.Component, *, size: int
    ) -> None:
        self.digest = digest
        self.size = size
        self.kind = kind
        self.engine = engine
        self.shape: Shape = shape_of(component, engine)
        self._component = component
        self._linker = wasm.Linker(engine)
        self._callbacks: list[Any] = []
        self._link()
        exported: list[Exported] = [*self.shape.functions.values(), *self.shape.settings.values()]
        self._indexes = {each: self._index(each) for each in exported}

    def instantiate(self, store: Sandbox) -> wasm.Instance:
        """A fresh instance; raises what wasmtime does."""
        return self._linker.instantiate(cast("wasmtime.Store", store), self._component)

    def function(self, instance: wasm.Instance, store: Sandbox, exported: Exported) -> Any:
        """A function of an instance, as wasmtime's C API has it."""
        function = store.function(instance, self._indexes[exported])
        if function is None:
            raise ShapeError(f"{exported.interface} {exported.name} is not there")
        return function

    def _index(self, exported: Exported) -> wasm.ExportIndex:
        inside = self._component.get_export_index(exported.interface)
        index = self._component.get_export_index(exported.name, inside)
        if index is None:
            raise ShapeError(f"{exported.interface} {exported.name} is not there")
        return index

    def _link(self) -> None:
        instances: dict[str, list[Any]] = {}
        for each in self.shape.imports:
            instances.setdefault(each.instance, []).append(each)
        for instance_name, resource in self.shape.resources:
            instances.setdefault(instance_name, []).append(resource)
        with self._linker.root() as root:
            for name, functions in instances.items():
                with root.add_instance(name) as instance:
                    for each in functions:
                        if isinstance(each, str):
                            self._add_resource(instance, each)
                            continue
                        self._add(instance, each.name, callback(each.interface, each.name, each.answer))

    def _add(self, instance: wasm.LinkerInstance, name: str, function: Any) -> None:
        self._callbacks.append(function)
        encoded = name.encode()
        error = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), function, None, _NO_FINALIZER
        )
        if error:  # type: ignore[truthy-bool]  # a null pointer is false
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001  wasmtime's own way

    def _add_resource(self, instance: wasm.LinkerInstance, name: str) -> None:
        number, _ = resource_kinds()[RESOURCE_ALIASES.get(name, name)]
        kind, encoded = wasm.ResourceType.host(number), name.encode()
        error = ffi.wasmtime_component_linker_instance_add_resource(
            instance.ptr(),
            ctypes.create_string_buffer(encoded),
            len(encoded),
            kind.ptr(),
            dropped,
            None,
            _NO_FINALIZER,
        )
        if error:  # type: ignore[truthy-bool]  # a null pointer is false
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001  wasmtime's own way


_NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)


class Modules:
    """The modules of a process, each compiled once however many guards and reloads use it.

    Args:
        engines: to compile for.
        cache: keeps what was compiled.
    """

    def __init__(self, engines: Engines, cache: CompiledCache) -> None:
        self._engines = engines
        self._cache = cache
        self._known: WeakValueDictionary[tuple[str, EngineKind], Module] = WeakValueDictionary()
        self._lock = threading.Lock()

    def load(self, content: bytes, digest: str, kind: EngineKind) -> Module:
        """The module of a component.

        Args:
            content: of the component, the same that the digest was made of.
            digest: see ``sources.digest_of``.
            kind: of the engine.

        Raises:
            ModuleError: it is no component, or none that can be a guard.
        """
        with self._lock:
            known = self._known.get((digest, kind))
            if known is None:
                known = self._known[digest, kind] = self._make(content, digest, kind)
            return known

    def _make(self, content: bytes, digest: str, kind: EngineKind) -> Module:
        engine = self._engines.engine(kind)
        try:
            component, size = self._compiled(content, digest, kind, engine)
            return Module(digest, kind, engine, component, size=max(len(content), size))
        except ShapeError as error:
            raise ModuleError(str(error)) from None
        except WasmtimeError as error:
            if kind.slots:
                return self._make(content, digest, kind._replace(slots=False))  # it may be too large for a slot
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ModuleError(f"it is no component that can be used: {': '.join(lines)[:300]}") from None

    def _compiled(
        self, content: bytes, digest: str, kind: EngineKind, engine: wasmtime.Engine
    ) -> tuple[wasm.Component, int]:
        """What is compiled of a component, and how many bytes that is."""
        kept = self._cache.load(digest, kind)
        if kept is not None:
            try:
                return wasm.Component.deserialize(engine, kept), len(kept)
            except WasmtimeError:
                pass  # of another version: it is compiled anew and replaced
        component = wasm.Component(engine, content)
        made = bytes(component.serialize())
        self._cache.keep(digest, kind, made)
        return component, len(made)
