"""Find: the suites among the files of a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from guardsvc.config import ConfigError, Document
from guardsvc.suites.load import Suite, load_suite, read

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Found", "find_suites"]

SUFFIXES = (".yaml", ".yml")
_OF_SUITES = frozenset({"guard", "fixtures"})


@dataclass
class Found:
    """What a search has found.

    Attributes:
        suites: in the order of their names.
        broken: why a suite cannot be run.
        others: files that are no suites: policies, templates, anything else.
    """

    suites: list[Suite] = field(default_factory=list)
    broken: list[ConfigError] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def find_suites(places: Iterable[Path]) -> Found:
    """Load every suite of some folders, with those below, and of files that are named themselves.

    A YAML file of a folder is a suite if it has ``cases``, or seems meant to. Hidden files and folders
    are passed over.
    """
    found = Found()
    for place in places:
        if not place.is_dir():
            _load(place, found, named=True)
            continue
        for path in sorted(place.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(place).parts)
            if path.suffix in SUFFIXES and not hidden and path.is_file():
                _load(path, found, named=False)
    return found


def _load(path: Path, found: Found, *, named: bool) -> None:
    try:
        document = read(path)
        if named or _is_suite(document):
            found.suites.append(load_suite(path, document))
        else:
            found.others.append(path)
    except ConfigError as error:
        found.broken.append(error)


def _is_suite(document: Document) -> bool:
    keys = document.value.keys()
    return "cases" in keys or bool(_OF_SUITES & keys) or bool(get_close_matches("cases", keys, cutoff=0.75))
