"""Files: a component that is a file, or the only one in a folder, with detached signatures beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.guards.wasm.loading.sources.artifact import (
    MAX_BYTES,
    Artifact,
    Evidence,
    SourceError,
    component_of,
    digest_of,
)
from guardsvc.guards.wasm.loading.sources.bundles import MAX_BUNDLE, of_file
from guardsvc.guards.wasm.loading.sources.encoding import from_base64
from guardsvc.model import file_state

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_bounded", "read_path"]

MAX_SIGNATURE = 16 * 1024
"""Bytes of a detached signature's file."""


def read_path(path: Path) -> Artifact:
    """Read a component from a file, or from a folder with one ``*.wasm``.

    Signatures are ``FILE.sig``, in base64, and ``FILE.sigstore.json``, a bundle, as ``cosign sign-blob`` writes them.

    Raises:
        SourceError: it cannot be read.
    """
    files = {}
    if path.is_dir():
        files[path] = file_state(path)
        path = _only_one(path)
    signature, bundle = (path.with_name(f"{path.name}.{kind}") for kind in ("sig", "sigstore.json"))
    files |= {each: file_state(each) for each in (path, signature, bundle)}
    content = component_of(read_bounded(path, MAX_BYTES), path)
    evidence = []
    if signature.exists():
        text = read_bounded(signature, MAX_SIGNATURE)
        evidence.append(Evidence(from_base64(text.strip(), signature)))
    if bundle.exists():
        evidence.append(of_file(read_bounded(bundle, MAX_BUNDLE), bundle))
    return Artifact(content, digest_of(content), evidence=tuple(evidence), files=files)


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a file, one byte more than allowed where it is too long.

    Raises:
        SourceError: it cannot be read, or is too long.
    """
    try:
        if not path.is_file():
            raise SourceError(f"{path} is no file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise SourceError(f"{path} has more than {most} bytes")
    return content


def _only_one(folder: Path) -> Path:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".wasm" and path.is_file())
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror}") from None
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise SourceError(f"{folder} must have one file *.wasm and has {names}")
    return found[0]
