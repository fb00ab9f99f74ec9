"""Warm-up: work done before the first decision, as decisions would wait for it later."""

from __future__ import annotations

import gc

from guardsvc.config import schema_of
from guardsvc.server.configuration import installed_guard_types

__all__ = ["settle", "warm_up"]


_THRESHOLDS = (20_000, 20, 20)
"""Objects made, and collections of the younger generation, after which garbage is looked for. A message of 1 MiB may be
hundreds of thousands of arrays; with the usual thresholds they are gone through again and again while it is read."""


def settle() -> None:
    """Let no garbage collection go through what was made so far, and have few of them while a message is read."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def warm_up() -> None:
    """Make what the first faulty reload needs, and let no garbage collection go through what was made so far.

    The first takes some forty milliseconds, and so does each full collection of all that is imported.
    """
    _, model = installed_guard_types()
    schema_of(model)
    settle()
