"""Warm-up: work done before the first decision, as decisions would wait for it later."""

from __future__ import annotations

import gc

from guardsvc.config import schema_of
from guardsvc.server.configuration import installed_guard_types

__all__ = ["warm_up"]


def warm_up() -> None:
    """Make what the first faulty reload needs, and let no garbage collection go through what was made so far.

    The first takes some forty milliseconds, and so does each full collection of all that is imported.
    """
    _, model = installed_guard_types()
    schema_of(model)
    gc.collect()
    gc.freeze()
