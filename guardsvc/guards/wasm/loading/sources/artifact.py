"""Artifact: a component as it was read, with the signatures that lay beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from guardsvc.model import FileState

__all__ = ["MAX_BYTES", "MAX_SIGNATURES", "Artifact", "Evidence", "SourceError", "component_of", "digest_of"]

MAX_BYTES = 64 * 1_048_576
"""Largest component, in bytes."""
MAX_SIGNATURES = 32
"""Signatures of a component that are looked at."""


class SourceError(ValueError):
    """A component cannot be read from where it should be."""


class Evidence(NamedTuple):
    """A signature.

    Attributes:
        signature: of the payload.
        payload: what was signed, in the form of simple signing; None where it is the component itself.
    """

    signature: bytes
    payload: bytes | None = None


@dataclass(frozen=True)
class Artifact:
    """A component and what came with it.

    Attributes:
        content: of the component.
        digest: of the content.
        manifest: digest of the OCI manifest that names it, None where there is none.
        evidence: signatures, unchecked.
        files: what it was read from, each with its state of then.
    """

    content: bytes
    digest: str
    manifest: str | None = None
    evidence: tuple[Evidence, ...] = ()
    files: Mapping[Path, FileState] = field(default_factory=dict)


def digest_of(content: bytes) -> str:
    """The digest of a component, as a policy names it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def component_of(content: bytes, name: object) -> bytes:
    """The content, where it may be a component.

    Raises:
        SourceError: it is too large, or no WebAssembly.
    """
    if len(content) > MAX_BYTES:
        raise SourceError(f"{name} has more than {MAX_BYTES} bytes")
    if not content.startswith(b"\0asm"):
        raise SourceError(f"{name} is no WebAssembly")
    return content
