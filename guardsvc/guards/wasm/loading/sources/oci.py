"""OCI: a component by its manifest, with its signatures, from wherever manifests and blobs are."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from guardsvc.guards.wasm.loading.sources.artifact import (
    MAX_SIGNATURES,
    Artifact,
    Evidence,
    SourceError,
    component_of,
    digest_of,
)
from guardsvc.guards.wasm.loading.sources.bundles import of_manifest
from guardsvc.guards.wasm.loading.sources.manifest import (
    Blob,
    Signed,
    bundle_blobs,
    component_blob,
    referrers_of,
    signature_tag,
    signed_blobs,
)

if TYPE_CHECKING:
    from guardsvc.guards.wasm.loading.sources.place import Place

__all__ = ["Repository", "checked", "pull"]


class Repository(Protocol):
    """Where manifests and blobs are. What comes out of it need not be right."""

    async def manifest(self, reference: str) -> bytes | None:
        """A manifest by tag or digest, None where there is none."""

    async def referrers(self, digest: str) -> bytes | None:
        """The index of manifests that refer to one, None where there is none."""

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
    found: list[Evidence] = []
    manifest = await repository.manifest(signature_tag(digest))
    if manifest is not None:
        found += await _signatures(repository, signed_blobs(manifest, f"the manifest of signatures of {place}"), place)
    index = await repository.referrers(digest)
    for referrer in [] if index is None else referrers_of(index, f"the index of referrers of {place}"):
        found += await _referrer(repository, referrer, place)
    return tuple(found[:MAX_SIGNATURES])


async def _referrer(repository: Repository, digest: str, place: Place) -> list[Evidence]:
    """The signatures of a manifest that refers to another; what else it may be, as how it was built, is passed over."""
    manifest = await repository.manifest(digest)
    if manifest is None or digest_of(manifest) != digest:
        return []
    try:
        signed, bundles = signed_blobs(manifest, place), bundle_blobs(manifest, place)
    except SourceError:
        return []
    found = await _signatures(repository, signed, place)
    for blob in bundles:
        content = checked(await repository.blob(blob), blob, place)
        with suppress(SourceError):
            found += of_manifest(content, place)
    return found


async def _signatures(repository: Repository, signed: list[Signed], place: Place) -> list[Evidence]:
    """Signatures in the form of simple signing, with what was signed."""
    return [
        Evidence(each.signature, checked(await repository.blob(each.payload), each.payload, place)) for each in signed
    ]


def checked(content: bytes, blob: Blob, name: object) -> bytes:
    """The content, where it is what was asked for.

    Raises:
        SourceError: it is another one.
    """
    if len(content) != blob.size or digest_of(content) != blob.digest:
        raise SourceError(f"{name} has a blob that is not {blob.digest}")
    return content
