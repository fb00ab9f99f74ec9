"""Keys: HMAC-SHA256 (RFC 2104) under named keys, one derived key for each purpose.

Digests of arguments and sessions can be compared but not guessed by who reads the record, and the chain
cannot be made anew by who can write the file.
"""

from __future__ import annotations

import hashlib
import hmac
import re

__all__ = ["KEY_ID", "MIN_KEY", "AuditKey", "Mac"]

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MIN_KEY = 16
"""Characters of a key at least."""

BLOCK = 64


class Mac:
    """HMAC-SHA256 under one key: the hash of the padded key is kept, half the time of a call anew.

    Args:
        key: of any length up to a block of 64 bytes.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def hex(self, data: bytes) -> str:
        """The code of the data, 64 hexadecimal digits."""
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


class AuditKey:
    """A key and its id.

    Args:
        key_id: stands in every record; says which key to verify it with.
        secret: the key itself, from which one is derived for each purpose.
    """

    __slots__ = ("argument", "id", "line", "session")

    def __init__(self, key_id: str, secret: bytes) -> None:
        self.id = key_id
        self.line = _derived(secret, "line")
        self.argument = _derived(secret, "argument")
        self.session = _derived(secret, "session")


def _derived(secret: bytes, purpose: str) -> Mac:
    return Mac(hmac.digest(secret, f"guardsvc audit {purpose}".encode(), "sha256"))
