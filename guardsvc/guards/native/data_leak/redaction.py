"""Redaction: a payload in which what was found is replaced by the names of its rules."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.secrets.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.guards.native.data_leak.leaks import Leak, Piece

__all__ = ["redacted"]


def redacted(payload: Any, leaks: Iterable[Leak]) -> Any:
    """The payload without these leaks; None where one cannot be taken out.

    That is the case for names of members, for numbers, and for texts that cannot be put together again.
    """
    by_piece: dict[int, tuple[Piece, list[Leak]]] = {}
    for leak in leaks:
        piece = leak.piece
        if piece is None or piece.shown.is_key or not piece.lossless:
            return None
        by_piece.setdefault(id(piece), (piece, []))[1].append(leak)
    values = {piece.shown.where: _replaced(piece, found) for piece, found in by_piece.values()}
    return masked(payload, values)


def _replaced(piece: Piece, leaks: list[Leak]) -> str:
    data = piece.data
    parts: list[bytes] = []
    position = 0
    for leak in sorted(leaks, key=lambda leak: (leak.start, -leak.end)):
        if leak.end <= position:
            continue
        start = max(leak.start, position)
        parts += (data[position:start], f"[REDACTED:{leak.rule}]".encode())
        position = leak.end
    parts.append(data[position:])
    replaced = b"".join(parts)
    return b64encode(replaced).decode() if piece.is_blob else replaced.decode("utf-8", "surrogatepass")
