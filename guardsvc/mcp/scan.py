"""Scan: the slow reading of a JSON text that names why it is refused.

A fault of content (a repeated name, NaN) is noted and the reading goes on: text that turns out not to
be JSON at all is refused for that, and otherwise the refusal can carry the message's id.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from guardsvc.mcp.envelope import Envelope, read_envelope
from guardsvc.mcp.refusal import Refusal, excerpt
from guardsvc.mcp.structure import depth_of, structure_of

__all__ = ["scan"]

_MAX_DIGITS = 4300

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_BLANK = re.compile(r"[ \t\r\n]*+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def scan(data: bytes, *, max_depth: int, max_keys: int) -> Any:
    """Read one JSON text.

    Raises:
        Refusal: the text is not JSON, could be read in two ways, or exceeds a limit.
    """
    text = _text(data)
    if depth_of(structure_of(data)) > max_depth:
        raise Refusal("too_deep", f"more than {max_depth} levels")
    reading = _Reading()
    value = _read(reading, text)
    fault = reading.fault
    if fault is not None:
        where = _find(value, lambda item: item is fault.marker)
        raise reading.refusal(value, fault.code, f"{fault.what} in {_place(where)}")
    if reading.keys > max_keys:
        raise reading.refusal(value, "too_many_keys", f"{reading.keys} members, {max_keys} are allowed")
    if _SURROGATE_ESCAPE.search(text):
        where = _find(value, lambda item: isinstance(item, str) and _SURROGATE.search(item) is not None)
        if where is not None:
            raise reading.refusal(value, "lone_surrogate", f"in {_place(where)}")
    return value


class _Fault(msgspec.Struct, frozen=True):
    """A fault of content; ``marker`` is the object that stands for it in the value."""

    code: str
    what: str
    marker: Any


class _Reading:
    """What is noted while the scanner goes through one text."""

    def __init__(self) -> None:
        self.fault: _Fault | None = None
        self.keys = 0
        self._outermost: list[tuple[str, Any]] = []

    def object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        self.keys += len(members)
        self._outermost = members
        if len(value) != len(members) and self.fault is None:
            self.fault = _Fault("duplicate_key", f"member {excerpt(_repeated(members))} repeated", value)
        return value

    def constant(self, text: str) -> float:
        return self._mark("not_a_number", text)

    def integer(self, text: str) -> float:
        if len(text.lstrip("-")) > _MAX_DIGITS:
            return self._mark("number_range", f"integer of {len(text)} digits")
        try:
            return int(text)
        except ValueError:
            return self._mark("number_range", f"integer of {len(text)} digits")

    def real(self, text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else self._mark("number_range", "number beyond doubles")

    def refusal(self, value: Any, code: str, detail: str) -> Refusal:
        envelope = read_envelope(self._outermost) if isinstance(value, dict) else Envelope()
        return Refusal(code, detail, envelope=envelope, batch=isinstance(value, list))

    def _mark(self, code: str, what: str) -> float:
        marker = float("nan")
        if self.fault is None:
            self.fault = _Fault(code, what, marker)
        return marker


def _text(data: bytes) -> str:
    if data.startswith(_BYTE_ORDER_MARKS):
        raise Refusal("byte_order_mark", f"the body starts with {data[:4].hex(' ')}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("invalid_utf8", f"{error.reason} at byte {error.start}") from None


def _read(reading: _Reading, text: str) -> Any:
    decoder = json.JSONDecoder(
        object_pairs_hook=reading.object,
        parse_constant=reading.constant,
        parse_int=reading.integer,
        parse_float=reading.real,
    )
    try:
        value, end = decoder.raw_decode(text, _blank_end(text, 0))
    except json.JSONDecodeError as error:
        raise Refusal("invalid_json", f"{error.msg}: character {error.pos}") from None
    except RecursionError:
        raise Refusal("too_deep", "more levels than the interpreter allows") from None
    if _blank_end(text, end) != len(text):
        raise Refusal("trailing_data", f"the value ends at character {end} of {len(text)}")
    return value


def _blank_end(text: str, start: int) -> int:
    match = _BLANK.match(text, start)
    return match.end() if match else start


def _repeated(members: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            break
        seen.add(name)
    return name


def _find(value: Any, found: Callable[[Any], bool]) -> list[str | int] | None:
    """Keys and indexes down to a value, or member name, that is ``found``; None where there is none."""
    stack: list[tuple[Any, Any]] = [(value, None)]
    while stack:
        item, path = stack.pop()
        if found(item):
            return _keys(path)
        if isinstance(item, dict):
            for key, inner in item.items():
                if found(key):
                    return _keys((path, key))
                stack.append((inner, (path, key)))
        elif isinstance(item, list):
            stack += [(inner, (path, index)) for index, inner in enumerate(item)]
    return None


def _keys(path: Any) -> list[str | int]:
    keys: list[str | int] = []
    while path is not None:
        path, key = path
        keys.append(key)
    keys.reverse()
    return keys


def _place(keys: list[str | int] | None) -> str:
    if keys is None:
        return "a member that is repeated"
    pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return excerpt(pointer) if pointer else "the outermost value"
