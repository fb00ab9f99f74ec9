"""Definitions: the digest of everything a server says of a tool, a prompt or a resource, the same wherever it is made.

SHA-256 over JCS (RFC 8785), so that any other program can make it, too. JCS has no integers beyond 2^53. Where a
definition has one, each stands as ``{"$integer": "digits"}``, every other name that begins with ``$`` has one more of
them in front, and the digest says so.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import msgspec
import re2
import rfc8785

__all__ = ["canonical", "digest_of"]

_latin = re2.Options()
_latin.encoding = re2.Options.Encoding.LATIN1
JCS = "sha256:"
LARGE = "sha256-large-integers:"
_SAFE = 2**53 - 1
_encode = msgspec.json.Encoder(order="deterministic").encode
_TWO_WAYS = re2.compile(rb"[0-9][.eE]|[0-9]{15}|[\xf0-\xff\x7f]", _latin)
"""What may be a fraction, an integer beyond 2^53 or a character beyond the BMP, in a string or not."""


def canonical(value: Any) -> tuple[str, bytes]:
    """The digest of a decoded JSON value, and the value as sorted JSON that is read back as the same.

    That is JCS but for numbers which JCS writes as others: large integers, and floats without a fraction.

    Raises:
        ValueError: it is no JSON value. A NaN, which no JSON text has, is not told from null.
    """
    data = _written_in_one_way(value)
    if data is not None:
        return JCS + sha256(data).hexdigest(), data
    try:
        try:
            digest = JCS + sha256(rfc8785.dumps(value)).hexdigest()
        except rfc8785.IntegerDomainError:
            digest = LARGE + sha256(rfc8785.dumps(_spelt(value))).hexdigest()
        return digest, json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise ValueError(f"no JSON: {error}") from error


def digest_of(value: Any) -> str:
    """The digest of a decoded JSON value.

    Raises:
        ValueError: it is no JSON value.
    """
    return canonical(value)[0]


def _written_in_one_way(value: Any) -> bytes | None:
    """JCS by an encoder that is ten times as fast, where nothing in the value can be written in two ways.

    Of names without characters beyond the BMP, the order by UTF-8 is that by UTF-16.
    """
    try:
        data = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    return data if _TWO_WAYS.search(data) is None else None


def _spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"${key}" if key.startswith("$") else key: _spelt(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spelt(inner) for inner in value]
    if type(value) is int and not -_SAFE <= value <= _SAFE:
        return {"$integer": str(value)}
    return value
