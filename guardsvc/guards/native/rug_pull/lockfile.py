"""Lockfile: approved definitions in a file that goes into version control and is mounted for replicas to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from guardsvc.state.pins import Entry, Pin, PinKind, PinState, Place, entry_of, shape_of

__all__ = ["Locked", "LockfileError", "Pinned", "read_lockfile", "written"]

VERSION = 1
MAX_BYTES = 64 * 1_048_576


class LockfileError(ValueError):
    """A file is no lockfile; the text says where."""


class Pinned(msgspec.Struct, frozen=True):
    """An approved definition, decoded, with its pin."""

    pin: Pin
    definition: Any


Locked = Mapping[tuple[Place, PinKind, str], Pinned]


def read_lockfile(path: Path) -> Locked:
    """The approved definitions of a file.

    Raises:
        LockfileError: it cannot be read, has another form, or a digest that is not that of its definition.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LockfileError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise LockfileError(f"{path} has more than {MAX_BYTES} bytes")
    try:
        document = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise LockfileError(f"{path} is no JSON: {error}") from None
    if (
        not isinstance(document, dict)
        or document.get("version") != VERSION
        or not isinstance(document.get("pins"), list)
    ):
        raise LockfileError(f'{path} has not the form {{"version": {VERSION}, "pins": [...]}}')
    locked: dict[tuple[Place, PinKind, str], Pinned] = {}
    for index, row in enumerate(document["pins"]):
        try:
            key, pinned = _row(row)
        except (KeyError, TypeError, ValueError) as error:
            raise LockfileError(f"{path}: pins[{index}]: {_told(error)}") from None
        if key in locked:
            raise LockfileError(f"{path}: pins[{index}]: {key[1]} {key[2]!r} is there already")
        locked[key] = pinned
    return locked


def written(locked: Locked) -> str:
    """The text of a lockfile: the same for the same definitions, one member in a line, so that diffs are short."""
    rows = [
        {
            "tenant": place.tenant,
            "server": place.server,
            "kind": str(kind),
            "name": name,
            "digest": pinned.pin.digest,
            "by": pinned.pin.by,
            "definition": pinned.definition,
        }
        for (place, kind, name), pinned in sorted(
            locked.items(), key=lambda item: (item[0][0].tenant, item[0][0].server, item[0][1], item[0][2])
        )
    ]
    return json.dumps({"version": VERSION, "pins": rows}, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _row(row: Any) -> tuple[tuple[Place, PinKind, str], Pinned]:
    place = Place(_text(row, "tenant"), _text(row, "server"))
    kind, name, by = PinKind(_text(row, "kind")), _text(row, "name"), _text(row, "by")
    entry: Entry = entry_of(name, row["definition"])[0]
    if entry.digest != row["digest"]:
        raise ValueError(f'"{name}" has the digest {entry.digest}, not the one that is given')
    pin = Pin(digest=entry.digest, shape=shape_of(row["definition"]), state=PinState.APPROVED, by=by)
    return (place, kind, name), Pinned(pin, row["definition"])


def _text(row: Any, member: str) -> str:
    value = row[member]
    if not isinstance(value, str):
        raise TypeError(f"{member} is no string")
    return value


def _told(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
