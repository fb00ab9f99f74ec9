"""Problems of a configuration: where they are, what is wrong and what would be right, all in one error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardsvc.config.values import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUILT_IN", "ConfigError", "Path", "Problem", "format_path"]

BUILT_IN = "<built-in>"
"""Source of a configuration that came from no file."""

Path = tuple[str | int, ...]
"""Keys and indexes from the top of a document to a place in it."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


def format_path(path: Path) -> str:
    """Write a path as a person reads it: ``policy.guards[2].settings``; odd keys stand quoted in brackets."""
    text = ""
    for step in path:
        if isinstance(step, str) and _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
    return text


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        path: the place, as ``format_path`` writes it; empty for the document as a whole.
        message: the value found and what is legal.
        line: line in the source, counted from 1, where there is one.
    """

    path: str
    message: str
    line: int | None = None

    @property
    def text(self) -> str:
        """Place and message, without the line."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        """Place, message and line."""
        return self.text if self.line is None else f"{self.text} (line {self.line})"


class ConfigError(Exception):
    """A configuration cannot be used.

    Attributes:
        source: name of the file, or ``<built-in>``.
        problems: everything found wrong, each once, in the order of lines.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0))
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        """One line for each problem, beginning with file and line."""
        return "\n".join(
            f"{self.source}: {problem.text}"
            if problem.line is None
            else f"{self.source}:{problem.line}: {problem.text}"
            for problem in self.problems
        )
