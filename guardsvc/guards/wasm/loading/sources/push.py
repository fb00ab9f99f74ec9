"""Push: puts a component where policies can load it from, an OCI layout or a registry, as a manifest with one layer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from guardsvc.guards.wasm.loading.sources.artifact import SourceError, component_of, digest_of
from guardsvc.guards.wasm.loading.sources.layout import Layout
from guardsvc.guards.wasm.loading.sources.manifest import config_of, manifest_of
from guardsvc.guards.wasm.loading.sources.place import Place, PlaceKind
from guardsvc.guards.wasm.loading.sources.read import apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.wasm.options import WasmOptions

__all__ = ["Pushed", "push"]

CREATED = "org.opencontainers.image.created"


class Pushed(NamedTuple):
    """What was put there.

    Attributes:
        digest: of the component.
        manifest: digest of the manifest that names it.
    """

    digest: str
    manifest: str


def push(
    content: bytes,
    place: Place,
    options: WasmOptions,
    *,
    exports: Sequence[str] = (),
    imports: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> Pushed:
    """Put a component into a layout or a registry, under the tag of the place.

    Args:
        content: of the component.
        place: with a tag, which names this component from now on.
        options: say how registries are reached.
        exports: names of interfaces.
        imports: the same.
        annotations: of the manifest; the time of making is among them.

    Raises:
        SourceError: it cannot be put there.
    """
    if place.kind is PlaceKind.PATH or place.tag is None or place.digest is not None:
        raise SourceError(f"{place} is no place to push to: oci-layout:PATH:TAG or oci://HOST/REPOSITORY:TAG")
    component_of(content, "the component")
    noted = {CREATED: datetime.now(UTC).isoformat(timespec="seconds"), **(annotations or {})}
    config = config_of(digest_of(content), list(exports), list(imports), noted[CREATED])
    manifest = manifest_of(config, content, noted)
    if place.kind is PlaceKind.LAYOUT:
        _write(Layout(place.path), (config, content), manifest, place.tag)
    else:
        apart(_upload(place, options, (config, content), manifest, place.tag))
    return Pushed(digest_of(content), digest_of(manifest))


def _write(layout: Layout, blobs: tuple[bytes, ...], manifest: bytes, tag: str) -> None:
    try:
        for blob in blobs:
            layout.put_blob(blob)
        layout.put_manifest(manifest, tag)
    except OSError as error:
        raise SourceError(f"{layout.index.parent} cannot be written: {error.strerror}") from None


async def _upload(place: Place, options: WasmOptions, blobs: tuple[bytes, ...], manifest: bytes, tag: str) -> None:
    from guardsvc.guards.wasm.loading.sources.registry import Registry  # noqa: PLC0415  HTTP only where it is needed

    async with Registry.open(place, options.registry(place.host), options.fetch_timeout_s) as registry:
        for blob in blobs:
            await registry.put_blob(blob)
        await registry.put_manifest(manifest, tag)
