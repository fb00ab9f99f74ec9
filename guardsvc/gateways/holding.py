"""Holding: what a stream, or a request over HTTP, takes of a process's room: bytes of bodies, and decisions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from guardsvc.gateways.admission import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.gateways.admission import Admission

__all__ = ["Holding", "deciding"]


class Holding:
    """What one of them holds.

    Args:
        admission: counts for the process.

    Attributes:
        size: bytes that it holds.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size = 0

    def hold(self, size: int) -> None:
        """Hold so many bytes from now on, in place of those before.

        Raises:
            OverloadedError: there is no room for more.
        """
        more = size - self.size
        if more > 0 and self._admission.held + more > self._admission.bounds.bytes:
            raise OverloadedError("bytes")
        self._admission.held += more
        self.size = size

    def release(self) -> None:
        """Hold nothing any more."""
        self.hold(0)


@contextmanager
def deciding(admission: Admission) -> Iterator[None]:
    """A context that is one decision under way.

    Raises:
        OverloadedError: there is no room for it.
    """
    if admission.decisions >= admission.bounds.decisions:
        raise OverloadedError("decisions")
    admission.decisions += 1
    try:
        yield
    finally:
        admission.decisions -= 1
