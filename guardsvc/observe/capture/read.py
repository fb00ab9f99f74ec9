"""Read: the operations of capture files, opened where they are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guardsvc.observe.capture.key import CaptureKey, OpeningError
from guardsvc.observe.capture.record import CapturedGap, CapturedOperation, Line, SealedOperation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["CaptureFileError", "opened", "read_lines"]

_decode = msgspec.json.Decoder(Line).decode
_decode_operation = msgspec.json.Decoder(CapturedOperation).decode


class CaptureFileError(ValueError):
    """A file is no capture; the text names the line."""


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[Line]:
    """The records of a file.

    Args:
        lines: of the file.
        name: of the file, for messages.

    Raises:
        CaptureFileError: a line is no record. A last one that was cut short ends the file.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _decode(line)
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):
                return
            raise CaptureFileError(f"{name}: line {number} is no captured operation: {error}") from None


def opened(line: Line, keys: Mapping[str, CaptureKey]) -> CapturedOperation | CapturedGap | SealedOperation:
    """The operation of a line; the line itself where no key is at hand for it.

    Raises:
        OpeningError: it was changed since it was written.
    """
    if not isinstance(line, SealedOperation) or line.key not in keys:
        return line
    data = keys[line.key].open(line.sealed, line.bound_to)
    try:
        captured = _decode_operation(data)
    except ValueError as error:
        raise OpeningError(f"no captured operation: {error}") from None
    if captured.decision_id != line.decision_id:
        raise OpeningError("another operation than it is said to be")
    return captured
