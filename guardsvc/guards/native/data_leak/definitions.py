"""Definitions: credentials in what servers list, where most texts are seen again and some cannot be masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.guards.native.list_digest import digest_of_list
from guardsvc.guards.native.lists import LIST_PHASES, indexes_of, listing_kinds, member_of, refuse_entries
from guardsvc.guards.native.results import listed_values
from guardsvc.model import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.native.data_leak.leaks import Detector, Leak
    from guardsvc.guards.native.digest_cache import DigestCache
    from guardsvc.guards.native.tool_poisoning.texts import Path
    from guardsvc.model import Finding, Operation, Verdict
    from guardsvc.state.pins import PinKind

__all__ = ["CLEAN_LISTS", "Definitions", "is_list", "is_told", "refused"]

CLEAN_LISTS = 256
"""Lists of a guard that are known to be clean."""
_TOLD = frozenset({"description", "title", "$comment", "examples", "_meta"})
"""Members whose texts are for readers only, so that another one there breaks no call."""
_BINDING = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Members whose own members have names of the server's choice."""


class Definitions:
    """What stands in lists; one that was clean is not looked at again.

    Args:
        detector: what looks for credentials.
        clean: where lists that were clean are kept.
    """

    def __init__(self, detector: Detector, clean: DigestCache[bool]) -> None:
        self._detector = detector
        self._clean = clean

    def leaks(self, operation: Operation) -> list[Leak]:
        """The credentials in a list and in what comes with it.

        Args:
            operation: a list, see ``is_list``.
        """
        fresh: list[tuple[str, bytes | None]] = []
        known: set[str] = set()
        for kind in listing_kinds(operation):
            member = member_of(kind)[0]
            digest = _digest(operation, kind)
            if digest is not None and self._clean.get(digest):
                known.add(member)
            else:
                fresh.append((member, digest))
        shown = {member: value for member, value in operation.payload.items() if member not in known}
        may_leak = bool(shown) and self._detector.may_leak(shown)
        found = self._detector.leaks(listed_values(operation, without=known)) if may_leak else []
        if not found:
            for _, digest in fresh:
                if digest is not None:
                    self._clean.put(digest, value=True)
        return found


def is_list(operation: Operation) -> bool:
    """Whether a server's answer lists definitions."""
    return operation.kind is Kind.RESULT and operation.phase in LIST_PHASES and type(operation.payload) is dict


def is_told(leak: Leak) -> bool:
    """Whether a leak stands in a text of a definition that is there to be read, and can be another one."""
    path: Path = leak.piece.shown.path if leak.piece is not None else None
    keys: list[str | int] = []
    while path is not None:
        path, key = path
        keys.append(key)
    # From the definition inwards: what follows a member such as ``properties`` is a name, and no keyword.
    inwards = iter(keys[::-1])
    for key in inwards:
        if key in _BINDING:
            next(inwards, None)
        elif key in _TOLD:
            return True
    return False


def refused(operation: Operation, leaks: Sequence[Leak], findings: tuple[Finding, ...], code: str) -> Verdict:
    """A list that several servers fill without the definitions with leaks; any other list is denied."""
    kinds = listing_kinds(operation)
    kind = kinds[0] if len(kinds) == 1 else None
    start = "" if kind is None else f"/{member_of(kind)[0]}/"
    inside = kind is not None and all(
        leak.piece is not None and leak.piece.shown.where.startswith(start) for leak in leaks
    )
    indexes = indexes_of(findings, kind) if inside and kind is not None else set()
    return refuse_entries(operation, kind, indexes, findings, on_finding=None, code=code, details={})


def _digest(operation: Operation, kind: PinKind) -> bytes | None:
    try:
        return digest_of_list(operation, kind)
    except (TypeError, ValueError, RecursionError):
        return None
