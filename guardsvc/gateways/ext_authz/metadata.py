"""Metadata: ``dynamic_metadata`` of a CheckResponse, written as bytes.

Every answer has it, and filling a ``google.protobuf.Struct`` through the protobuf runtime costs several times
what its bytes do. The encoding is protobuf's own: a field is a tag, a length and its content; fields of one
message may stand in any order, so these bytes are put behind a message that the runtime wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["dynamic_metadata"]

# Field numbers: CheckResponse.dynamic_metadata 4, Struct.fields 1, key 1 and value 2 of a map, Value.string_value 3.
_METADATA = b"\x22"
_FIELD = b"\x0a"
_KEY = b"\x0a"
_VALUE = b"\x12"
_STRING = b"\x1a"


def dynamic_metadata(texts: Iterable[tuple[str, str | None]]) -> bytes:
    """The field of a CheckResponse that holds these texts by name; those that are empty or None are left out."""
    fields = b"".join([_field(name, text) for name, text in texts if text])
    return _METADATA + _sized(fields)


def _field(name: str, text: str) -> bytes:
    content = text.encode("utf-8", "replace")
    size = len(content)
    begin = _BEGINS.get(name) or _begin(name)
    if len(begin) + size + 4 < 128:  # noqa: PLR2004  every length is one byte
        return bytes((10, len(begin) + size + 4)) + begin + bytes((18, size + 2, 26, size)) + content
    value = _STRING + _sized(content)
    return _FIELD + _sized(begin + _VALUE + _sized(value))


def _begin(name: str) -> bytes:
    return _BEGINS.setdefault(name, _KEY + _sized(name.encode()))


def _sized(content: bytes) -> bytes:
    """The content behind its length."""
    size = len(content)
    length = bytearray()
    while size > 127:  # noqa: PLR2004  seven bits a byte
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + content


_BEGINS: dict[str, bytes] = {}
"""The encoded key of each name, of which there are a handful."""
