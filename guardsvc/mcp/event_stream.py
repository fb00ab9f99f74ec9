"""Event stream: the strict reading of ``text/event-stream`` (WHATWG HTML section 9.2), on bytes as they come.

What clients read differently is refused: lenient ones know other ends of lines, other fields, and no
incomplete last event.
"""

from __future__ import annotations

import re
from itertools import pairwise
from time import perf_counter

import msgspec

from guardsvc.mcp.refusal import Refusal

__all__ = ["Event", "EventSplitter", "read_event"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK_LINES = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)++")
_LEADING_BLANK_LINES = re.compile(rb"(?>\r\n|\n|\r)++")
_FIELDS = frozenset({b"data", b"event", b"id", b"retry"})
_OTHER_LINE_ENDS = ("\x85", "\u2028", "\u2029")
_OTHER_BLANK_LINE = re.compile("[\r\n\x85\u2028\u2029](?=[\x85\u2028\u2029])|[\x85\u2028\u2029](?=[\r\n])")


class EventSplitter:
    """Cuts a stream into events, each with the blank lines that end it. Linear in what comes.

    Args:
        most: bytes that an event may have.

    Attributes:
        begun: when the first byte of the incomplete event came, on the clock of ``time.perf_counter``; None
            between events.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending = bytearray()
        self._scanned = 0
        self.begun: float | None = None

    @property
    def pending(self) -> int:
        """Bytes of the incomplete event."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete. Joined, with ``rest``, they are what was fed.

        Blank lines before the first field are an event of their own, which says nothing. So is the second half of
        a line end whose first half, which counts alone too, completed the last event.
        """
        pending = self._pending
        pending += data
        ends = [match.end() for match in _BLANK_LINES.finditer(pending, self._scanned)]
        leading = _LEADING_BLANK_LINES.match(pending)
        if leading is not None and leading.end() not in ends[:1]:
            ends.insert(0, leading.end())
        events = [bytes(pending[start:end]) for start, end in pairwise((0, *ends))]
        if ends:
            del leading, pending[: ends[-1]]
        self._scanned = len(pending)
        while self._scanned and pending[self._scanned - 1] in b"\r\n":
            self._scanned -= 1
        if not pending:
            self.begun = None
        elif self.begun is None or events:
            self.begun = perf_counter()
        return events

    @property
    def overfull(self) -> bool:
        """Whether the incomplete event is larger than allowed."""
        return len(self._pending) > self._most

    def rest(self) -> bytes:
        """What stands behind the last complete event, which is nothing any more."""
        rest = bytes(self._pending)
        self._pending.clear()
        self._scanned = 0
        self.begun = None
        return rest


class Event(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        lines: its lines without their ends and without the blank one.
        data: what its ``data`` lines hold together; empty for keep-alives.
    """

    lines: tuple[bytes, ...]
    data: bytes

    def with_data(self, data: bytes) -> bytes:
        """The event with other data, which has no line end, in place of its own."""
        lines: list[bytes] = []
        for line in self.lines:
            if _field(line) != b"data":
                lines.append(line)
            elif data:
                lines.append(b"data: " + data)
                data = b""
        return b"\n".join((*lines, b"", b""))


def read_event(raw: bytes) -> Event:
    """Read one event.

    Args:
        raw: as ``EventSplitter`` gives it.

    Raises:
        Refusal: it is not UTF-8, has fields that MCP has not, or ends elsewhere for some readers.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("invalid_utf8", f"{error.reason} at byte {error.start} of an event") from None
    if any(end in text for end in _OTHER_LINE_ENDS) and _OTHER_BLANK_LINE.search(text):
        raise Refusal("invalid_message", "an event that ends earlier for readers that know other line ends")
    lines = tuple(line for line in _LINE_END.split(raw) if line)
    data: list[bytes] = []
    for line in lines:
        name = _field(line)
        if name and name not in _FIELDS:
            raise Refusal("invalid_message", "an event with a field of another name")
        if name == b"data":
            value = line[5:]
            data.append(value[1:] if value.startswith(b" ") else value)
    return Event(lines, b"\n".join(data))


def _field(line: bytes) -> bytes:
    """The name of a line's field, empty for comments."""
    return line.partition(b":")[0]
