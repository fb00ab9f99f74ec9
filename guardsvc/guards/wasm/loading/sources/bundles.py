"""Bundles: signatures as cosign writes them into one file, beside a component or as a referrer of its manifest.

Certificates, timestamps and entries of logs that they may hold are passed over.
"""

from __future__ import annotations

from typing import Any

from guardsvc.guards.wasm.loading.sources.artifact import Evidence, SourceError
from guardsvc.guards.wasm.loading.sources.encoding import from_base64, json_object

__all__ = ["BUNDLE", "DSSE", "MAX_BUNDLE", "of_file", "of_manifest"]

BUNDLE = "application/vnd.dev.sigstore.bundle"
"""How media types of bundles begin; the version comes after."""
MAX_BUNDLE = 1_048_576
"""Bytes of a bundle."""
IN_TOTO = "application/vnd.in-toto+json"
DSSE = f"DSSEv1 {len(IN_TOTO)} {IN_TOTO} "
"""How what the envelope of a statement signs begins (DSSE, protocol)."""


def of_file(content: bytes, name: object) -> Evidence:
    """The signature of a file, in Sigstore's form or in that of cosign before 3.

    Raises:
        SourceError: there is none.
    """
    bundle = json_object(content, name)
    signed = bundle.get("messageSignature")
    signature = signed.get("signature") if isinstance(signed, dict) else bundle.get("base64Signature")
    if not isinstance(signature, str):
        raise SourceError(f"{name} is no bundle with the signature of a file")
    return Evidence(from_base64(signature, name))


def of_manifest(content: bytes, name: object) -> list[Evidence]:
    """The signatures of a manifest, which stand in an envelope around a statement about it.

    Raises:
        SourceError: it is no such bundle.
    """
    envelope = json_object(content, name).get("dsseEnvelope")
    told: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    payload, signatures = told.get("payload"), told.get("signatures")
    if told.get("payloadType") != IN_TOTO or not isinstance(payload, str) or not isinstance(signatures, list):
        raise SourceError(f"{name} is no bundle with the signature of a manifest")
    statement = from_base64(payload, name)
    signed = f"{DSSE}{len(statement)} ".encode() + statement
    found = [each.get("sig") for each in signatures if isinstance(each, dict)]
    return [Evidence(from_base64(text, name), signed) for text in found if isinstance(text, str)]
