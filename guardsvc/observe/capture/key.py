"""Key: what captured operations are sealed with (AES-256-GCM), and what their digests are made under."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from functools import cached_property
from typing import TYPE_CHECKING

from guardsvc.observe.audit.keys import Mac

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_BYTES", "CaptureKey", "KeyTextError", "OpeningError", "new_key"]

KEY_BYTES = 32
NONCE = 12
"""Bytes of a nonce, random for each record: good for 2^32 records under one key (NIST SP 800-38D, 8.3)."""


class KeyTextError(ValueError):
    """A text is no key."""


class OpeningError(ValueError):
    """A record was not sealed with this key, or was changed since."""


def new_key() -> str:
    """A random key as text."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


class CaptureKey:
    """A key.

    Args:
        text: 32 bytes in base64, as ``new_key`` makes them.

    Attributes:
        id: names the key in records and tells nothing about it.

    Raises:
        KeyTextError: it is something else.
    """

    def __init__(self, text: str) -> None:
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise KeyTextError(f"not {KEY_BYTES} bytes in base64; guardsvc capture keygen makes a key")
        self._sealing = _derived(key, "sealing")
        self.id = _derived(key, "id").hex()[:16]
        self._digesting = Mac(_derived(key, "digest"))

    def seal(self, data: bytes, bound_to: str) -> str:
        """Encrypt.

        Args:
            data: what nobody else may read.
            bound_to: what stands beside it in the open, and cannot be exchanged for another.
        """
        nonce = secrets.token_bytes(NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, data, bound_to.encode())).decode()

    def open(self, sealed: str, bound_to: str) -> bytes:
        """Decrypt.

        Raises:
            OpeningError: it cannot be.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  not every service captures

        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:NONCE], data[NONCE:], bound_to.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise OpeningError("sealed with another key, or changed") from error

    def digest(self, data: bytes) -> str:
        """HMAC-SHA256, which can be compared but not guessed."""
        return self._digesting.hex(data)

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  the same

        return AESGCM(self._sealing)


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"guardsvc capture {purpose}".encode(), hashlib.sha256)
