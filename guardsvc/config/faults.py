"""Faults: pydantic's errors brought back to places of the document, one for each thing that is wrong.

pydantic puts the names of union branches between the keys of an error's location and reports every branch
of a union that failed; a person wants the place, and only the branch that was meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from guardsvc.config.problems import Path

__all__ = ["Fault", "faults"]

_MAX_READINGS = 64
_FIXED_VALUE = frozenset({"literal_error", "enum"})


@dataclass(frozen=True)
class Fault:
    """One error of pydantic at its place.

    Attributes:
        path: the place, below the value that was checked.
        error: what pydantic says.
        branches: place and name of each union branch that the error lies in, from outside to inside.
    """

    path: Path
    error: ErrorDetails
    branches: tuple[tuple[Path, str], ...] = ()


def faults(error: ValidationError, value: Any) -> list[list[Fault]]:
    """What is wrong with a value. Where no branch of a union was entered, its faults stand together."""
    found = [_locate(details, value) for details in error.errors(include_url=False)]
    return list(_settle(fault for fault in found if not _follows(fault, found)))


def _follows(fault: Fault, others: list[Fault]) -> bool:
    """Whether a list seems too short only because of entries that are wrong themselves."""
    depth = len(fault.path)
    return fault.error["type"] == "too_short" and any(
        len(other.path) > depth and other.path[:depth] == fault.path for other in others
    )


def _locate(error: ErrorDetails, value: Any) -> Fault:
    loc = error["loc"]
    missing = loc[-1:] if error["type"] == "missing" else ()
    readings = list(islice(_readings(loc[: len(loc) - len(missing)], value), _MAX_READINGS))
    fitting = (reading for reading in readings if reading[2] == error["input"])
    path, branches, _ = next(fitting, readings[0])
    return Fault(path + missing, error, branches)


def _readings(
    loc: Path, value: Any, path: Path = (), branches: tuple[tuple[Path, str], ...] = ()
) -> Iterator[tuple[Path, tuple[tuple[Path, str], ...], Any]]:
    """Every way to read a location as keys and branch names, keys first."""
    if not loc:
        yield path, branches, value
        return
    step, *rest = loc
    if step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value)):
        yield from _readings(tuple(rest), value[step], (*path, step), branches)
    yield from _readings(tuple(rest), value, path, (*branches, (path, str(step))))


def _settle(found: Iterable[Fault]) -> Iterator[list[Fault]]:
    def union(fault: Fault) -> Path | None:
        return fault.branches[0][0] if fault.branches else None

    for place, group in groupby(found, key=union):
        if place is None:
            yield from ([fault] for fault in group)
            continue
        by_branch: dict[str, list[Fault]] = {}
        for fault in group:
            inner = replace(fault, branches=fault.branches[1:])
            by_branch.setdefault(fault.branches[0][1], []).append(inner)
        yield from _pick(place, list(by_branch.values()))


def _pick(place: Path, branches: list[list[Fault]]) -> Iterator[list[Fault]]:
    """The branch of a failed union that was meant: the one entered, with the right tag, closest to right."""
    entered = [branch for branch in branches if any(len(fault.path) > len(place) for fault in branch)]
    if not entered and len(branches) > 1:
        yield [fault for branch in branches for fault in branch]
        return
    tags = [fault for branch in entered for fault in branch if fault.error["type"] in _FIXED_VALUE]
    if len(entered) == len(tags) > 1 and len({fault.path for fault in tags}) == 1:
        yield tags
        return
    meant = min(entered or branches, key=_distance)
    yield from _settle(meant)


def _distance(branch: list[Fault]) -> tuple[bool, int]:
    return any(fault.error["type"] in _FIXED_VALUE for fault in branch), len(branch)
