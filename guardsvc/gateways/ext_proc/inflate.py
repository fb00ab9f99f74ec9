"""Inflate: gzip bodies as plain bytes (RFC 1952), one member, up to a bound."""

from __future__ import annotations

import zlib

from guardsvc.mcp import Refusal

__all__ = ["Inflater"]

_GZIP = 16 + zlib.MAX_WBITS


class Inflater:
    """Inflates one gzip stream piece by piece.

    Args:
        most: bytes that one piece may become.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._stream = zlib.decompressobj(_GZIP)
        self._any = False

    def inflate(self, data: bytes) -> bytes:
        """What these bytes stand for.

        Raises:
            Refusal: they are not gzip, go on after its end, or become too many.
        """
        self._any = self._any or bool(data)
        if not data:
            return b""
        if self._stream.eof:
            raise Refusal("content_encoding", "bytes after the gzip stream")
        try:
            plain = self._stream.decompress(data, self._most + 1)
        except zlib.error:
            raise Refusal("content_encoding", "not gzip") from None
        if len(plain) > self._most:
            raise Refusal("too_large", f"more than {self._most} bytes after decompression")
        if self._stream.unused_data:
            raise Refusal("content_encoding", "bytes after the gzip stream")
        return plain

    def check_end(self) -> None:
        """The stream is over.

        Raises:
            Refusal: it is cut.
        """
        if self._any and not self._stream.eof:
            raise Refusal("content_encoding", "a gzip stream that is cut")
