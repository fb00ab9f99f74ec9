"""What was made before the first decision is no work for a garbage collection after it."""

from __future__ import annotations

import gc

from guardsvc.server.warm_up import warm_up


def test_collections_leave_out_what_there_was() -> None:
    try:
        warm_up()
        assert gc.get_freeze_count() > len(gc.get_objects())
    finally:
        gc.unfreeze()
