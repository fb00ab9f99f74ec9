"""Corpus: the files of a folder that hold attacks and harmless data, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FILES", "Corpus", "CorpusError", "Row", "load_corpus"]

FILES = (
    "malicious_tools.jsonl",
    "overt_malicious_tools.jsonl",
    "ambiguous_tools.jsonl",
    "benign_tools.jsonl",
    "malicious_args.jsonl",
    "benign_args.jsonl",
    "malicious_results.jsonl",
    "benign_results.jsonl",
    "definition_changes.jsonl",
)
"""Names of the files, in the order of the report."""


class CorpusError(Exception):
    """A folder has nothing that can be judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file.

    Attributes:
        line: from 1.
        data: its members.
    """

    line: int
    data: dict[str, Any]

    def text(self, member: str) -> str:
        """A member as text, empty where it is missing or no string."""
        value = self.data.get(member)
        return value if isinstance(value, str) else ""

    @property
    def source(self) -> str:
        """Where the row is from."""
        return self.text("source") or "unknown"

    @property
    def hard(self) -> bool:
        """Whether a harmless row sounds like an attack."""
        return self.data.get("hard") is True


@dataclass(frozen=True)
class Corpus:
    """What a folder holds.

    Attributes:
        files: rows by file name; only files that are there.
        unread: lines by file name that are no object.
        wanted: files to judge; None for all. The others may still lend their tools.
    """

    files: Mapping[str, tuple[Row, ...]]
    unread: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    wanted: frozenset[str] | None = None

    def rows(self, file: str) -> tuple[Row, ...]:
        """The rows of a file, none where it is not there."""
        return self.files.get(file, ())


def load_corpus(folder: Path) -> Corpus:
    """Read every file of the corpus that a folder has.

    Raises:
        CorpusError: it has none, or one cannot be read.
    """
    files: dict[str, tuple[Row, ...]] = {}
    unread: dict[str, tuple[int, ...]] = {}
    for name in FILES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        read = [(number, _object(line)) for number, line in enumerate(lines, start=1) if line.strip()]
        files[name] = tuple(Row(number, data) for number, data in read if data is not None)
        if wrong := tuple(number for number, data in read if data is None):
            unread[name] = wrong
    if not files:
        raise CorpusError(f"{folder} has none of {', '.join(FILES)}")
    return Corpus(files, unread)


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
