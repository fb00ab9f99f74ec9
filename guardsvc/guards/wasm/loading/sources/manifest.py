"""Manifest: OCI manifests of components and of their signatures, read and written.

A component's manifest has one layer of WebAssembly, as the CNCF's working group lays down and as older tools write it.
Signatures lie under a tag made of the digest they are for, as cosign's signature specification says, or are manifests
of their own that refer to the component's.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from guardsvc.guards.wasm.loading.sources.artifact import MAX_BYTES, MAX_SIGNATURES, SourceError
from guardsvc.guards.wasm.loading.sources.bundles import BUNDLE, MAX_BUNDLE
from guardsvc.guards.wasm.loading.sources.encoding import from_base64, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COMPONENT",
    "CONFIG",
    "INDEX",
    "MANIFEST",
    "MAX_MANIFEST",
    "MAX_PAYLOAD",
    "SIGNATURE",
    "SIMPLE_SIGNING",
    "Blob",
    "Signed",
    "bundle_blobs",
    "component_blob",
    "config_of",
    "manifest_of",
    "referrers_of",
    "referrers_tag",
    "signature_tag",
    "signed_blobs",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.wasm.config.v0+json"
COMPONENT = "application/wasm"
COMPONENTS = frozenset(
    {
        COMPONENT,
        "application/vnd.wasm.content.layer.v1+wasm",
        "application/vnd.module.wasm.content.layer.v1+wasm",
    }
)
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
REFERRERS = (BUNDLE, "application/vnd.dev.cosign.artifact.sig.", "application/vnd.oci.empty.", "None")
"""How types of manifests begin that may have signatures; some of cosign's releases leave the type of an index empty."""
MAX_MANIFEST = 4 * 1_048_576
"""Bytes of a manifest, as the distribution specification has it."""
MAX_PAYLOAD = 64 * 1024
"""Bytes of what a signature is made of."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Blob(NamedTuple):
    """A blob that a manifest names.

    Attributes:
        digest: of it.
        size: in bytes.
    """

    digest: str
    size: int


class Signed(NamedTuple):
    """A signature and the blob with its payload."""

    signature: bytes
    payload: Blob


def component_blob(manifest: bytes, name: object) -> Blob:
    """The component that a manifest names.

    Raises:
        SourceError: it names none, or several.
    """
    read = json_object(manifest, name)
    if "manifests" in read:
        raise SourceError(f"{name} is an index of several manifests; name one of them by its digest")
    found = [layer for layer in _layers(read, name) if layer.get("mediaType") in COMPONENTS]
    if len(found) != 1:
        kinds = sorted({str(layer.get("mediaType"))[:80] for layer in _layers(read, name)})[:5]
        raise SourceError(f"{name} must have one layer {COMPONENT} and has {', '.join(kinds) or 'no layer'}")
    return _blob(found[0], MAX_BYTES, name)


def signed_blobs(manifest: bytes, name: object) -> list[Signed]:
    """The signatures that a manifest of signatures names; those of other forms are passed over.

    Raises:
        SourceError: it is broken.
    """
    found = []
    for layer in _layers(json_object(manifest, name), name):
        notes = layer.get("annotations")
        signature = notes.get(SIGNATURE) if isinstance(notes, dict) else None
        if layer.get("mediaType") == SIMPLE_SIGNING and isinstance(signature, str):
            found.append(Signed(from_base64(signature, f"a signature of {name}"), _blob(layer, MAX_PAYLOAD, name)))
    return found[:MAX_SIGNATURES]


def bundle_blobs(manifest: bytes, name: object) -> list[Blob]:
    """The bundles that a manifest names.

    Raises:
        SourceError: it is broken.
    """
    layers = _layers(json_object(manifest, name), name)
    return [_blob(layer, MAX_BUNDLE, name) for layer in layers if str(layer.get("mediaType")).startswith(BUNDLE)]


def referrers_of(index: bytes, name: object) -> list[str]:
    """Digests of the manifests of an index of referrers that may have signatures.

    Raises:
        SourceError: it is broken.
    """
    entries = json_object(index, name).get("manifests")
    if not isinstance(entries, list):
        raise SourceError(f"{name} is no OCI index")
    found = [
        _blob(entry, MAX_MANIFEST, name).digest
        for entry in entries
        if isinstance(entry, dict) and str(entry.get("artifactType")).startswith(REFERRERS)
    ]
    return found[:MAX_SIGNATURES]


def referrers_tag(digest: str) -> str:
    """The tag of the index of a manifest's referrers, where a registry has no other way to tell them."""
    return digest.replace(":", "-")


def signature_tag(digest: str) -> str:
    """The tag under which the signatures of a manifest lie."""
    return f"{referrers_tag(digest)}.sig"


def config_of(component: str, exports: list[str], imports: list[str], created: str) -> bytes:
    """The configuration of a component's manifest.

    Args:
        component: its digest.
        exports: names of interfaces.
        imports: the same.
        created: RFC 3339.
    """
    value = {
        "created": created,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [component],
        "component": {"exports": exports, "imports": imports, "target": None},
    }
    return json.dumps(value, separators=(",", ":")).encode()


def manifest_of(config: bytes, component: bytes, annotations: Mapping[str, str]) -> bytes:
    """The manifest of a component."""
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, config),
        "layers": [_descriptor(COMPONENT, component)],
        "annotations": dict(annotations),
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _layers(manifest: Mapping[str, Any], name: object) -> list[dict[str, Any]]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise SourceError(f"{name} is no OCI manifest")
    return layers


def _blob(layer: Mapping[str, Any], most: int, name: object) -> Blob:
    digest, size = layer.get("digest"), layer.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
        raise SourceError(f"{name} has a layer without a sha256 digest and a size")
    if size > most:
        raise SourceError(f"{name} has a layer of {size} bytes; {most} are allowed")
    return Blob(digest, size)
