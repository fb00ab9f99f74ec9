"""Masking: a payload of the same shape in which credentials are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.guards.native.secrets.scanner import Hit

__all__ = ["mask", "masked"]


def mask(text: str, hits: Iterable[Hit], offset: int) -> str:
    """The text with its credentials replaced by the names of their rules.

    Args:
        text: one value.
        hits: in it.
        offset: what the positions of hits count from, as bytes of UTF-8 before the text.
    """
    data = text.encode("utf-8", "surrogatepass")
    pieces: list[bytes] = []
    end = len(data)
    for hit in sorted(hits, key=lambda hit: hit.start, reverse=True):
        label = f"[redacted: {hit.rule}]".encode()
        if not hit.plain:
            return label.decode()
        start, stop = hit.start - offset, min(hit.end - offset, end)
        if start < stop:
            pieces += (data[stop:end], label)
            end = start
    return b"".join((data[:end], *reversed(pieces))).decode("utf-8", "replace")


def masked(payload: Any, values: Mapping[str, str]) -> Any:
    """A copy of a payload with other values at some JSON pointers; what is not on their way is shared.

    Args:
        payload: of objects and arrays.
        values: by pointer.
    """
    root = _copied(payload)
    own = {id(root)}
    for pointer, value in values.items():
        node = root
        *way, last = pointer.split("/")[1:]
        for token in way:
            key = _key(node, token)
            if id(node[key]) not in own:
                node[key] = _copied(node[key])
                own.add(id(node[key]))
            node = node[key]
        node[_key(node, last)] = value
    return root


def _copied(node: Any) -> Any:
    return dict(node) if isinstance(node, dict) else list(node)


def _key(node: Any, token: str) -> Any:
    return int(token) if isinstance(node, list) else token.replace("~1", "/").replace("~0", "~")
