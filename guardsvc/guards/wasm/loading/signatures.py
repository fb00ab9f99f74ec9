"""Signatures: cosign's, made by a key, checked without any service."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from guardsvc.guards.wasm.loading.sources.artifact import SourceError
from guardsvc.guards.wasm.loading.sources.bundles import DSSE
from guardsvc.guards.wasm.loading.sources.encoding import json_object
from guardsvc.guards.wasm.loading.sources.files import read_bounded

if TYPE_CHECKING:
    from guardsvc.guards.wasm.loading.sources import Artifact, Evidence

__all__ = ["Key", "KeyFault", "signed_by"]

PEM = "-----BEGIN"
MAX_PEM = 64 * 1024
SIGNED = "https://sigstore.dev/cosign/sign/v1"
TYPES = frozenset({"cosign container image signature", SIGNED})


class KeyFault(ValueError):
    """A key cannot be used."""


class Key:
    """A public key: ECDSA over P-256 with SHA-256, or Ed25519.

    Args:
        text: PEM, or the path of a file of it.

    Raises:
        KeyFault: it is none.
    """

    def __init__(self, text: str) -> None:
        try:
            pem = text.encode() if PEM in text else read_bounded(Path(text), MAX_PEM)
        except SourceError as error:
            raise KeyFault(str(error)) from None
        name = "it" if PEM in text else text
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFault(f"{name} is no public key in PEM") from None
        known = isinstance(key, ed25519.Ed25519PublicKey)
        if not known and not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
            raise KeyFault(f"{name} is a key of another kind than ECDSA P-256 and Ed25519")
        self._key: Any = key
        written = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.id = f"sha256:{hashlib.sha256(written).hexdigest()}"

    def made(self, signature: bytes, payload: bytes) -> bool:
        """Whether a signature of a payload was made by the key."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, payload)
            else:
                self._key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def signed_by(artifact: Artifact, keys: list[Key]) -> Key | None:
    """The first of these keys that signed an artifact, None where none did."""
    for evidence in artifact.evidence:
        payload = artifact.content if evidence.payload is None else evidence.payload
        for key in keys:
            if key.made(evidence.signature, payload) and _is_of(evidence, artifact):
                return key
    return None


def _is_of(evidence: Evidence, artifact: Artifact) -> bool:
    """Whether what was signed names the artifact. It is read after the signature was checked."""
    if evidence.payload is None:
        return True
    if artifact.manifest is None:
        return False
    try:
        if evidence.payload.startswith(DSSE.encode()):
            statement = evidence.payload[len(DSSE) :].partition(b" ")[2]
            return _states(json_object(statement, ""), artifact.manifest)
        critical = json_object(evidence.payload, "").get("critical")
    except SourceError:
        return False
    if not isinstance(critical, dict) or not isinstance(critical.get("image"), dict):
        return False
    return critical.get("type") in TYPES and critical["image"].get("docker-manifest-digest") == artifact.manifest


def _states(statement: dict[str, Any], manifest: str) -> bool:
    """Whether a statement of in-toto says that the manifest is signed, and not how it was made."""
    subjects = statement.get("subject")
    named = [each.get("digest") for each in subjects if isinstance(each, dict)] if isinstance(subjects, list) else []
    of_manifest = any(isinstance(digest, dict) and f"sha256:{digest.get('sha256')}" == manifest for digest in named)
    return of_manifest and statement.get("predicateType") == SIGNED
