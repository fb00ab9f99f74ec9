"""Read: a component from its place, in a thread of its own where that takes waiting."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from guardsvc.guards.wasm.loading.sources.artifact import Artifact, SourceError, component_of
from guardsvc.guards.wasm.loading.sources.files import read_path
from guardsvc.guards.wasm.loading.sources.layout import Layout, is_layout
from guardsvc.guards.wasm.loading.sources.oci import pull
from guardsvc.guards.wasm.loading.sources.place import Place, PlaceKind
from guardsvc.model import file_state

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from guardsvc.guards.wasm.loading.kept import Kept
    from guardsvc.guards.wasm.options import WasmOptions

__all__ = ["apart", "read"]

T = TypeVar("T")


def read(place: Place, options: WasmOptions, kept: Kept, *, signatures: bool = True) -> Artifact:
    """Read a component. Never to be called on the event loop.

    Args:
        place: where it is.
        options: say how registries are asked.
        kept: has what was pulled by its digest before.
        signatures: whether they are wanted.

    Raises:
        SourceError: it cannot be read.
    """
    if place.kind is PlaceKind.REGISTRY:
        return apart(_pulled(place, options, kept, signatures=signatures))
    if place.kind is PlaceKind.PATH:
        if not is_layout(place.path):
            return read_path(place.path)
        place = replace(place, kind=PlaceKind.LAYOUT)
    layout = Layout(place.path)
    state = file_state(layout.index)
    return replace(apart(pull(layout, place, signatures=signatures)), files={layout.index: state})


async def _pulled(place: Place, options: WasmOptions, kept: Kept, *, signatures: bool) -> Artifact:
    if place.digest is not None and not signatures:
        known = kept.pulled(place.digest)
        if known is not None:
            return Artifact(component_of(known[1], place), known[0], manifest=place.digest)
    from guardsvc.guards.wasm.loading.sources.registry import Registry  # noqa: PLC0415  HTTP only where it is needed

    async with Registry.open(place, options.registry(place.host), options.fetch_timeout_s) as registry:
        artifact = await pull(registry, place, signatures=signatures)
    if artifact.manifest is not None:
        kept.keep_pulled(artifact.manifest, artifact.digest, artifact.content)
    return artifact


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Do it in a thread and an event loop of its own, and wait for it.

    Raises:
        SourceError: it failed.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="wasm-source", daemon=True)
    thread.start()
    thread.join()
    if not failed:
        return done[0]
    if isinstance(failed[0], SourceError):
        raise failed[0]
    raise RuntimeError("a module could not be read") from failed[0]
