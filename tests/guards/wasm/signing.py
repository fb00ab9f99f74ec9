"""Signatures as cosign makes them, and keys to make them with."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardsvc.guards.wasm.loading.sources.manifest import MANIFEST, SIGNATURE, SIMPLE_SIGNING

__all__ = ["Signer", "ecdsa", "ed", "payload_of", "signatures_of"]


@dataclass
class Signer:
    """A key pair."""

    private: Any

    @property
    def public(self) -> str:
        written: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return written.decode()

    def sign(self, payload: bytes) -> bytes:
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(payload)
        signature: bytes = self.private.sign(payload, ec.ECDSA(hashes.SHA256()))
        return signature

    def sign_blob(self, content: bytes) -> bytes:
        """What ``cosign sign-blob`` writes."""
        return base64.b64encode(self.sign(content))


def ecdsa(curve: ec.EllipticCurve | None = None) -> Signer:
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()))


def ed() -> Signer:
    return Signer(ed25519.Ed25519PrivateKey.generate())


def payload_of(manifest: str, kind: str = "cosign container image signature") -> bytes:
    """What ``cosign sign`` signs of a manifest."""
    critical = {
        "identity": {"docker-reference": "registry.example/guards/scan"},
        "image": {"docker-manifest-digest": manifest},
        "type": kind,
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def signatures_of(payloads: list[tuple[bytes, bytes]]) -> bytes:
    """The manifest of signatures, of pairs of payload and signature."""

    def layer(payload: bytes, signature: bytes) -> dict[str, Any]:
        return {
            "mediaType": SIMPLE_SIGNING,
            "digest": f"sha256:{hashlib.sha256(payload).hexdigest()}",
            "size": len(payload),
            "annotations": {SIGNATURE: base64.b64encode(signature).decode()},
        }

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2},
        "layers": [layer(*pair) for pair in payloads],
    }
    return json.dumps(manifest).encode()
