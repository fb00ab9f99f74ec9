"""The file that ``guardsvc exception add`` writes into: the same but for the exceptions, and valid, or not touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from guardsvc.config.insert import InsertError, append_item
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["with_exceptions", "write_exceptions"]


def write_exceptions(path: Path, items: Sequence[dict[str, Any]]) -> None:
    """Replace the file at once by one with the exceptions in it, if that one is right as a whole.

    Raises:
        InsertError: they cannot be put there.
        ConfigError: the file would not be valid.
        OSError: it cannot be read or written.
    """
    target = path.resolve()
    before = target.read_bytes()
    after = with_exceptions(path, before, items)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, made)
        _replace(target, made, before)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def _replace(target: Path, made: Path, before: bytes) -> None:
    if target.read_bytes() != before:
        raise InsertError("somebody else has just changed it")
    made.replace(target)


def with_exceptions(path: Path, before: bytes, items: Sequence[dict[str, Any]]) -> bytes:
    """What the file holds with the exceptions in it, which is right as a whole.

    Args:
        path: of the file, which problems name and what it mentions is looked for beside.
        before: what it holds now.
        items: the exceptions.

    Raises:
        InsertError: they cannot be put there without changing something else.
        ConfigError: the file would not be valid.
    """
    text = before.decode("utf-8")
    for item in items:
        text = append_item(text, ("policy", "exceptions"), item)
    expected = yaml.safe_load(before)
    expected["policy"]["exceptions"] = [*(expected["policy"].get("exceptions") or ()), *items]
    if yaml.safe_load(text) != expected:
        raise InsertError("they cannot be added without changing something else")
    after = text.encode("utf-8")
    load_configuration(path, content=after)
    return after
