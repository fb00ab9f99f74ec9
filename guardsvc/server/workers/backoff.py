"""Backoff: how long to wait before a worker that ended is replaced."""

from __future__ import annotations

import random

__all__ = ["Backoff"]

FIRST = 0.1
LONGEST = 30.0
STEADY = 60.0
"""Seconds after which a worker counts as one that works."""


class Backoff:
    """Waits twice as long each time, up to half a minute, and begins anew after a worker that lasted.

    Half of each wait is chance, so that workers that end of one cause do not begin together again.
    """

    def __init__(self) -> None:
        self._failures = 0

    def wait(self, lasted: float) -> float:
        """Seconds to wait now.

        Args:
            lasted: seconds that the worker had served.
        """
        if lasted >= STEADY:
            self._failures = 0
        longest = min(FIRST * 2.0 ** min(self._failures, 32), LONGEST)
        self._failures += 1
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret
