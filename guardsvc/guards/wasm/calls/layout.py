"""Layout: arguments written as wasmtime's C API has them in memory, all of a call in one go.

wasmtime's own way builds each value by several foreign calls, ten times slower. A value is 32 bytes: kind, then a
union at 8; an entry of a record is a name (size, address) and a value. All are whole 8-byte words, so that a call's
arguments are one array of words whose constant part is written once. The layout belongs to a version of wasmtime:
``supported`` compares it with what that version declares, and nothing is written where it differs.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.wasm.contract.types import Type

__all__ = ["Frame", "Lowered", "supported"]

WORD = 8
VALUE, ENTRY = 4, 6  # words
BOOL, STRING, LIST, RECORD, ENUM, OPTION = 0, 12, 13, 14, 17, 18


class Slot(NamedTuple):
    """Where something that varies is written, in words from the beginning.

    Attributes:
        name: which value it is.
        at: of its first word: size and address, a flag, or size and address of a list.
        option: of the word that leads to it, -1 where it is not optional.
        leads_to: of the value that this word leads to.
    """

    name: str
    kind: int
    at: int
    option: int = -1
    leads_to: int = 0


@dataclass(frozen=True)
class Lowered:
    """Arguments in memory, which must outlive the call.

    Attributes:
        address: of the first value.
        count: how many values there are.
        alive: what keeps the memory.
    """

    address: int
    count: int
    alive: tuple[object, ...]


class _Layout:
    """Lays out types: constant words, words that are addresses of other words, and slots."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.addresses: list[tuple[int, int]] = []
        self.slots: list[Slot] = []
        self.names: list[ctypes.Array[ctypes.c_char]] = []
        self.lists: dict[str, Type] = {}

    def room(self, words: int) -> int:
        at = len(self.words)
        self.words += [0] * words
        return at

    def place(self, kind: Type, at: int, name: str) -> None:
        """Lay out a value at ``at``."""
        match kind:
            case "string":
                self.words[at] = STRING
                self.slots.append(Slot(name, STRING, at + 1))
            case "bool":
                self.words[at] = BOOL
                self.slots.append(Slot(name, BOOL, at + 1))
            case ("enum", _):
                self.words[at] = ENUM
                self.slots.append(Slot(name, STRING, at + 1))
            case ("option", "string"):
                self.words[at] = OPTION
                inner = self.room(VALUE)
                self.words[inner] = STRING
                self.slots.append(Slot(name, STRING, inner + 1, at + 1, inner))
            case ("list", element):
                self.words[at] = LIST
                self.lists[name] = element
                self.slots.append(Slot(name, LIST, at + 1))
            case ("record", fields):
                self.words[at] = RECORD
                self.words[at + 1] = len(fields)
                entries = self.room(ENTRY * len(fields))
                self.addresses.append((at + 2, entries))
                for index, (field, inner_kind) in enumerate(fields):
                    entry = entries + ENTRY * index
                    text = ctypes.create_string_buffer(field.encode())
                    self.names.append(text)
                    self.words[entry : entry + 2] = [len(field.encode()), ctypes.addressof(text)]
                    self.place(inner_kind, entry + 2, f"{name}.{field}" if name else field)
            case _:
                raise ValueError(f"no layout for {kind}")


class _Rows:
    """A list of records: the constant words of one, repeated, then each field of all of them at once."""

    def __init__(self, element: Type) -> None:
        layout = _Layout()
        top = layout.room(VALUE)
        layout.place(element, top, "")
        self._stride = len(layout.words)
        self._template = array("Q", layout.words)
        self._addresses = layout.addresses
        self._slots = layout.slots
        self._names = layout.names

    def lower(self, columns: Mapping[str, Sequence[bytes | None]], count: int) -> tuple[int, tuple[object, ...]]:
        """Write ``count`` records.

        Returns:
            The address of the first value, and what keeps the memory.
        """
        stride = self._stride
        values = array("Q", bytes(WORD * VALUE * count))
        words = self._template * count
        base = words.buffer_info()[0]
        step = stride * WORD
        end = base + step * count
        for at, target in self._addresses:
            words[at::stride] = array("Q", range(base + target * WORD, end + target * WORD, step))
        texts: list[bytes] = []
        ranges: list[tuple[int, list[int]]] = []
        for slot in self._slots:
            column = columns[slot.name]
            given = [text or b"" for text in column]
            texts += given
            sizes = list(map(len, given))
            words[slot.at :: stride] = array("Q", sizes)
            ranges.append((slot.at + 1, sizes))
            if slot.option >= 0:
                first = base + slot.leads_to * WORD
                words[slot.option :: stride] = array(
                    "Q", [0 if text is None else first + step * index for index, text in enumerate(column)]
                )
        blob = b"".join(texts)
        address = _address(blob)
        for at, sizes in ranges:
            starts = list(accumulate(sizes, initial=address))
            address = starts.pop()
            words[at::stride] = array("Q", starts)
        # The values of a list stand side by side, apart from what they lead to.
        for word in range(VALUE):
            values[word::VALUE] = words[word::stride]
        return values.buffer_info()[0], (values, words, blob)


class Frame:
    """The arguments of one function. Not to be used by two threads at once: calls write over each other.

    Args:
        params: name and type of each.
    """

    def __init__(self, params: Sequence[tuple[str, Type]]) -> None:
        layout = _Layout()
        top = [layout.room(VALUE) for _ in params]
        for at, (name, kind) in zip(top, params, strict=True):
            layout.place(kind, at, name)
        self._count = len(params)
        self._words = array("Q", layout.words or [0])
        self._base = base = self._words.buffer_info()[0]
        for at, target in layout.addresses:
            self._words[at] = base + target * WORD
        self._names = layout.names
        self._texts = [slot for slot in layout.slots if slot.kind == STRING]
        self._flags = [slot for slot in layout.slots if slot.kind == BOOL]
        self._lists = [(slot, _Rows(layout.lists[slot.name])) for slot in layout.slots if slot.kind == LIST]

    def lower(
        self, values: Mapping[str, object], rows: Mapping[str, tuple[int, Mapping[str, Sequence[bytes | None]]]]
    ) -> Lowered:
        """Write the arguments of a call.

        Args:
            values: texts as UTF-8, None where an option is absent, and flags, by dotted name.
            rows: for each list of records how many there are, and their fields, each as a column.
        """
        words, base = self._words, self._base
        texts: list[bytes] = []
        for slot in self._texts:
            text = values[slot.name]
            if slot.option >= 0:
                words[slot.option] = 0 if text is None else base + slot.leads_to * WORD
            texts.append(text or b"")  # type: ignore[arg-type]
        blob = b"".join(texts)
        address = _address(blob)
        for slot, text in zip(self._texts, texts, strict=True):
            words[slot.at] = size = len(text)
            words[slot.at + 1] = address
            address += size
        for slot in self._flags:
            words[slot.at] = 1 if values[slot.name] else 0
        alive: list[object] = [words, blob]
        for slot, table in self._lists:
            count, columns = rows[slot.name]
            words[slot.at] = count
            words[slot.at + 1], kept = table.lower(columns, count)
            alive.append(kept)
        return Lowered(base, self._count, tuple(alive))


def _address(text: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0


@cache
def supported() -> bool:
    """Whether this version of wasmtime has values where they are written here."""
    from wasmtime import _ffi as ffi  # noqa: PLC0415  only where there is a component

    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != WORD or array("Q").itemsize != WORD:
        return False
    try:
        value: Any = ffi.wasmtime_component_val
        entry: Any = ffi.wasmtime_component_valrecord_entry
        union = ffi.wasmtime_component_valunion
        kinds = [
            getattr(ffi, f"WASMTIME_COMPONENT_{name}").value
            for name in ("BOOL", "STRING", "LIST", "RECORD", "ENUM", "OPTION")
        ]
        same = (
            ctypes.sizeof(value) == VALUE * WORD
            and ctypes.sizeof(entry) == ENTRY * WORD
            and (value.kind.offset, value.kind.size, value.of.offset) == (0, 1, WORD)
            and (entry.name.offset, entry.val.offset) == (0, 2 * WORD)
            and ctypes.sizeof(union) == 3 * WORD
            and kinds == [BOOL, STRING, LIST, RECORD, ENUM, OPTION]
        )
        pairs: tuple[Any, ...] = (ffi.wasm_name_t, ffi.wasmtime_component_vallist, ffi.wasmtime_component_valrecord)
        same = same and all((pair.size.offset, pair.data.offset) == (0, WORD) for pair in pairs)
    except AttributeError:
        return False
    return same and _reads_back()


def _reads_back() -> bool:
    """Whether wasmtime's own declarations see in a frame what was written."""
    from wasmtime import _ffi as ffi  # noqa: PLC0415  only where there is a component

    from guardsvc.guards.wasm.calls.lifting import Lifter  # noqa: PLC0415  the same

    row: Type = ("record", (("a", "string"), ("b", ("option", "string")), ("c", "bool")))
    listed: Type = ("record", (("d", "string"), ("e", ("option", "string"))))
    frame = Frame((("x", row), ("y", ("list", listed)), ("z", ("enum", ("on", "off")))))
    lowered = frame.lower(
        {"x.a": b"one", "x.b": "zwö".encode(), "x.c": True, "z": b"off"},
        {"y": (2, {"d": [b"three", b""], "e": [None, b"four"]})},
    )
    values = (ffi.wasmtime_component_val * lowered.count).from_address(lowered.address)
    read = [Lifter(1000, 10).lift(value) for value in values]
    return read == [
        {"a": "one", "b": "zwö", "c": True},
        [{"d": "three", "e": None}, {"d": "", "e": "four"}],
        "off",
    ]
