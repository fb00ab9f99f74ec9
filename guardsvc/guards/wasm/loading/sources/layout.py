"""Layout: a folder in the form of the OCI image layout, as ``oras``, ``skopeo`` and ``cosign save`` write it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from guardsvc.guards.wasm.loading.sources.artifact import SourceError, digest_of
from guardsvc.guards.wasm.loading.sources.encoding import json_object
from guardsvc.guards.wasm.loading.sources.files import read_bounded
from guardsvc.guards.wasm.loading.sources.manifest import MANIFEST, MAX_MANIFEST, Blob, referrers_tag

__all__ = ["Layout", "is_layout"]

REF_NAME = "org.opencontainers.image.ref.name"
KIND = "kind"
SIGNATURES = "dev.cosignproject.cosign/sigs"
"""The kind that ``cosign save`` gives a manifest of signatures."""
_OF_ANOTHER = re.compile(r"sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?")


def is_layout(folder: Path) -> bool:
    """Whether a folder is an OCI layout."""
    return (folder / "oci-layout").is_file() and (folder / "index.json").is_file()


class Layout:
    """A layout, as ``oci.Repository``; what is written to it is there at once.

    Args:
        folder: of the layout.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.index = folder / "index.json"

    async def manifest(self, reference: str) -> bytes | None:
        """A manifest by tag or digest, or the only one without either.

        Raises:
            SourceError: the layout is broken.
        """
        if reference.endswith(".sig"):
            return self._signatures(reference)
        entries = [entry for entry in self._entries() if _kind(entry) != SIGNATURES and not _is_signature(entry)]
        if reference.startswith("sha256:"):
            return self._blob(reference, MAX_MANIFEST)
        if reference:
            entries = [entry for entry in entries if _tag(entry) == reference]
        elif len(entries) > 1:
            tags = ", ".join(sorted(_tag(entry) or str(entry["digest"]) for entry in entries)[:5])
            raise SourceError(f"{self._folder} has several manifests; name one of {tags}")
        return self._blob(str(entries[0]["digest"]), MAX_MANIFEST) if entries else None

    async def referrers(self, digest: str) -> bytes | None:
        """The index of manifests that refer to one, by its tag.

        Raises:
            SourceError: the layout is broken.
        """
        found = [entry for entry in self._entries() if _tag(entry) == referrers_tag(digest)]
        return self._blob(str(found[0]["digest"]), MAX_MANIFEST) if found else None

    async def blob(self, blob: Blob) -> bytes:
        """A blob.

        Raises:
            SourceError: it cannot be read.
        """
        return self._read(blob.digest, blob.size)

    def put_blob(self, content: bytes) -> None:
        """Write a blob."""
        path = self._path(digest_of(content))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)

    def put_manifest(self, content: bytes, tag: str) -> None:
        """Write a manifest under a tag, which names no other any more."""
        self.put_blob(content)
        entries = self._entries() if self.index.is_file() else []
        entry = {
            "mediaType": MANIFEST,
            "digest": digest_of(content),
            "size": len(content),
            "annotations": {REF_NAME: tag},
        }
        kept = [other for other in entries if _tag(other) != tag]
        _write(self._folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [*kept, entry],
        }
        _write(self.index, json.dumps(index, indent=1).encode())

    def _signatures(self, tag: str) -> bytes | None:
        """The manifest of signatures under its tag, or the only one that ``cosign save`` wrote."""
        entries = self._entries()
        found = [entry for entry in entries if _tag(entry) == tag]
        found = found or [entry for entry in entries if _kind(entry) == SIGNATURES]
        return self._blob(str(found[0]["digest"]), MAX_MANIFEST) if len(found) == 1 else None

    def _entries(self) -> list[dict[str, Any]]:
        entries = json_object(read_bounded(self.index, MAX_MANIFEST), self.index).get("manifests")
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("digest"), str) for entry in entries
        ):
            raise SourceError(f"{self.index} is no OCI index")
        return entries

    def _blob(self, digest: str, most: int) -> bytes | None:
        return self._read(digest, most) if self._path(digest).is_file() else None

    def _read(self, digest: str, most: int) -> bytes:
        content = read_bounded(self._path(digest), most)
        if digest_of(content) != digest:
            raise SourceError(f"{self._path(digest)} is not what its name says")
        return content

    def _path(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or not hexadecimal.isalnum():
            raise SourceError(f"{self._folder} names a blob by {digest[:100]}, no sha256 digest")
        return self._folder / "blobs" / algorithm / hexadecimal


def _notes(entry: dict[str, Any]) -> dict[str, Any]:
    notes = entry.get("annotations")
    return notes if isinstance(notes, dict) else {}


def _tag(entry: dict[str, Any]) -> str | None:
    return _notes(entry).get(REF_NAME)


def _kind(entry: dict[str, Any]) -> str | None:
    return _notes(entry).get(KIND)


def _is_signature(entry: dict[str, Any]) -> bool:
    tag = _tag(entry)
    return isinstance(tag, str) and _OF_ANOTHER.fullmatch(tag) is not None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)
