"""Document: one YAML configuration read strictly, with the line of everything in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from guardsvc.config.compose import Composer, Lines
from guardsvc.config.problems import ConfigError, Path, Problem

__all__ = ["MAX_BYTES", "Document"]

MAX_BYTES = 1 << 20
"""Size of a document."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Document:
    """A configuration as plain data.

    Attributes:
        source: name of the file, or ``<built-in>``.
        value: dicts with string keys, lists, strings, numbers, booleans and None. What an alias names
            is one object in several places: treat it as read-only.
    """

    source: str
    value: dict[str, Any]
    _lines: Lines | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Document:
        """Read YAML: one document, a mapping at the top, every key a string and given once.

        Unquoted scalars are read as ``config.scalars`` says. Size, nesting and the expansion of
        aliases are bounded.

        Raises:
            ConfigError: with every problem that could be found.
        """
        decoded = _decode(text, source)
        try:
            value, lines = Composer(yaml.parse(decoded, Loader=_LOADER), source).compose()
        except yaml.MarkedYAMLError as error:
            context = f", {error.context}" if error.context else ""
            mark = error.problem_mark or error.context_mark
            line = None if mark is None else mark.line + 1
            raise ConfigError(source, [Problem("", f"not YAML: {error.problem}{context}", line)]) from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML's own scanner fails so on escapes beyond Unicode.
            raise ConfigError(source, [Problem("", f"not YAML: {error}")]) from error
        return cls(source, value, lines)

    @property
    def lines(self) -> Lines:
        """The lines of everything in it."""
        return self._lines or Lines(1)

    def line(self, path: Path) -> int | None:
        """The line, from 1, of the deepest value on a path; the value of a key stands on the key's line."""
        lines = self._lines
        if lines is None:
            return None
        for step in path:
            if step not in lines.inside:
                break
            lines = lines.inside[step]
        return lines.line


def _decode(text: str | bytes, source: str) -> str:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        message = f"the document has {len(data)} bytes; at most {MAX_BYTES} are allowed"
        raise ConfigError(source, [Problem("", message)])
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
            raise ConfigError(source, [Problem("", message, line)]) from None
    if found := _NOT_YAML.search(text):
        line = text.count("\n", 0, found.start()) + 1
        message = f"not YAML: the character U+{ord(found[0]):04X} is not allowed unescaped"
        raise ConfigError(source, [Problem("", message, line)])
    return text
