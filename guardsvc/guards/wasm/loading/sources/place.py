"""Place: what a policy writes as ``module``, taken apart."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from guardsvc.guards.wasm.loading.sources.artifact import SourceError
from guardsvc.model.word import Word

__all__ = ["Place", "PlaceKind"]

LAYOUT = "oci-layout:"
REGISTRY = "oci://"
LATEST = "latest"
MAX_NAME = 255

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PART = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


class PlaceKind(Word):
    """Kinds of places."""

    PATH = "path"
    LAYOUT = "layout"
    REGISTRY = "registry"


@dataclass(frozen=True)
class Place:
    """Where a component is.

    Attributes:
        kind: of place.
        path: of a file, a folder or an OCI layout.
        host: of a registry, with its port where it has one.
        repository: of a registry.
        tag: of the manifest, None where there is none.
        digest: of the manifest, None where it is not pinned.
    """

    kind: PlaceKind
    path: Path = Path()
    host: str = ""
    repository: str = ""
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """A place: a path, ``oci-layout:PATH[:TAG|@DIGEST]`` or ``oci://HOST/REPOSITORY[:TAG][@DIGEST]``.

        Raises:
            SourceError: it is none.
        """
        if text.startswith(REGISTRY):
            return cls._registry(text)
        if text.startswith(LAYOUT):
            return cls._layout(text)
        if "://" in text:
            raise SourceError(
                f"{text[:200]} is no place of a module: a path, {LAYOUT}PATH or {REGISTRY}HOST/REPOSITORY"
            )
        return cls(PlaceKind.PATH, path=Path(text))

    @classmethod
    def _layout(cls, text: str) -> Place:
        rest, digest = _cut_digest(text.removeprefix(LAYOUT), text)
        head, colon, tag = rest.rpartition(":")
        if colon and "/" not in tag and digest is None:
            _check_tag(tag, text)
            return cls(PlaceKind.LAYOUT, path=Path(head), tag=tag)
        if not rest:
            raise SourceError(f"{text} names no folder")
        return cls(PlaceKind.LAYOUT, path=Path(rest), digest=digest)

    @classmethod
    def _registry(cls, text: str) -> Place:
        rest, digest = _cut_digest(text.removeprefix(REGISTRY), text)
        host, _, named = rest.partition("/")
        repository, colon, tag = named.partition(":")
        if colon:
            _check_tag(tag, text)
        parts = repository.split("/")
        if not _HOST.fullmatch(host) or len(repository) > MAX_NAME or not all(map(_PART.fullmatch, parts)):
            raise SourceError(f"{text[:200]} is no {REGISTRY}HOST/REPOSITORY[:TAG][@sha256:DIGEST], in lower case")
        chosen = tag or (LATEST if digest is None else None)
        return cls(PlaceKind.REGISTRY, host=host, repository=repository, tag=chosen, digest=digest)

    @property
    def name(self) -> str:
        """Where it is, without tag and digest: what globs of ``trust`` are compared with."""
        if self.kind is PlaceKind.REGISTRY:
            return f"{REGISTRY}{self.host}/{self.repository}"
        return f"{LAYOUT if self.kind is PlaceKind.LAYOUT else ''}{os.path.abspath(self.path)}"  # noqa: PTH100

    @property
    def reference(self) -> str:
        """What names the manifest: its digest, or its tag; empty in a layout that has one manifest only."""
        return self.digest or self.tag or ""

    def __str__(self) -> str:
        """As a policy writes it."""
        shown = self.name
        if self.kind is not PlaceKind.REGISTRY:
            shown = f"{LAYOUT if self.kind is PlaceKind.LAYOUT else ''}{self.path}"
        tag = f":{self.tag}" if self.tag else ""
        return f"{shown}{tag}{f'@{self.digest}' if self.digest else ''}"


def _cut_digest(text: str, whole: str) -> tuple[str, str | None]:
    head, at, digest = text.rpartition("@")
    if not at or (whole.startswith(LAYOUT) and "/" in digest):
        return text, None
    if not _DIGEST.fullmatch(digest):
        raise SourceError(f"{whole[:200]}: after @ stands sha256: and 64 hexadecimal digits")
    return head, digest


def _check_tag(tag: str, whole: str) -> None:
    if not _TAG.fullmatch(tag):
        raise SourceError(f'{whole[:200]}: "{tag[:80]}" is no tag')
