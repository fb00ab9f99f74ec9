"""Unlearned: says what guards could not learn, once in a while: a full store fails every list that comes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SAY_EVERY", "Unlearned"]

log = logging.getLogger(__name__)

SAY_EVERY = 60.0
"""Seconds between two lines of the log about one guard."""


class Unlearned:
    """Is told of everything that the guards of one policy could not learn.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def __call__(self, guard: str, error: Exception) -> None:
        """Say what a guard failed with, or count it where its last line is too young."""
        now = self._clock()
        if guard in self._said and now - self._said[guard] < SAY_EVERY:
            self._unsaid[guard] += 1
            return
        self._said[guard] = now
        more = self._unsaid.pop(guard, 0)
        since = f" ({more} more times since this was said last)" if more else ""
        log.warning("guard %s could not learn%s: %s: %s", guard, since, type(error).__name__, error)
