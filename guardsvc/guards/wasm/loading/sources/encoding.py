"""Encoding: base64 and JSON of others, read strictly."""

from __future__ import annotations

import base64
import json
from typing import Any

from guardsvc.guards.wasm.loading.sources.artifact import SourceError

__all__ = ["from_base64", "json_object"]


def from_base64(text: str | bytes, name: object) -> bytes:
    """The bytes of base64.

    Raises:
        SourceError: it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SourceError(f"{name} is no base64") from None


def json_object(content: bytes, name: object) -> dict[str, Any]:
    """A JSON object.

    Raises:
        SourceError: it is none.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SourceError(f"{name} is no JSON object")
    return value
