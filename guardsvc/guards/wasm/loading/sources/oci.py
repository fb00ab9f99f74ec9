"""OCI: a component by its manifest, with its signatures, from wherever manifests and blobs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from guardsvc.guards.wasm.loading.sources.artifact import (
    Artifact,
    Evidence,
    SourceError,
    component_of,
    digest_of,
)
from guardsvc.guards.wasm.loading.sources.manifest import Blob, component_blob, signature_tag, signed_blobs

if TYPE_CHECKING:
    from guardsvc.guards.wasm.loading.sources.place import Place

__all__ = ["Repository", "checked", "pull"]


class Repository(Protocol):
    """Where manifests and blobs are. What comes out of it need not be right."""

    async def manifest(self, reference: str) -> bytes | None:
        """A manifest by tag or digest, None where there is none."""

    async def blob(self, blob: Blob) -> bytes:
        """A blob."""


async def pull(repository: Repository, place: Place, *, signatures: bool) -> Artifact:
    """A component and its signatures.

    Args:
        repository: has it.
        place: names it.
        signatures: whether they are wanted.

    Raises:
        SourceError: it is not there, or not what its digest says.
    """
    manifest = await repository.manifest(place.reference)
    if manifest is None:
        raise SourceError(f"{place} is not there")
    digest = digest_of(manifest)
    if place.digest not in (None, digest):
        raise SourceError(f"{place} has a manifest of another digest, {digest}")
    blob = component_blob(manifest, place)
    content = component_of(checked(await repository.blob(blob), blob, place), place)
    evidence = await _evidence(repository, digest, place) if signatures else ()
    return Artifact(content, blob.digest, manifest=digest, evidence=evidence)


async def _evidence(repository: Repository, digest: str, place: Place) -> tuple[Evidence, ...]:
    manifest = await repository.manifest(signature_tag(digest))
    if manifest is None:
        return ()
    found = []
    for signed in signed_blobs(manifest, f"the manifest of signatures of {place}"):
        payload = checked(await repository.blob(signed.payload), signed.payload, place)
        found.append(Evidence(signed.signature, payload))
    return tuple(found)


def checked(content: bytes, blob: Blob, name: object) -> bytes:
    """The content, where it is what was asked for.

    Raises:
        SourceError: it is another one.
    """
    if len(content) != blob.size or digest_of(content) != blob.digest:
        raise SourceError(f"{name} has a blob that is not {blob.digest}")
    return content
