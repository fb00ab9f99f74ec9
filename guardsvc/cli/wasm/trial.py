"""Trial: a component is run without anything kept of it but what was compiled."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from guardsvc.guards.wasm.loading.kept import Kept
from guardsvc.guards.wasm.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet", "trial"]


@contextmanager
def trial() -> Iterator[Path]:
    """A folder for as long as a component is tried.

    Services of this user go back to components that are kept in the folder of compiled modules, where there is room
    for so many: what is only tried must not push those out.
    """
    shared = runtime()
    before = shared.kept
    with tempfile.TemporaryDirectory(prefix="guardsvc-wasm-") as folder:
        shared.kept = Kept(Path(folder) / "kept")
        try:
            yield Path(folder)
        finally:
            shared.kept = before


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing, such as what a component says of each of thousands of calls."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)
