"""Open files: room for the connections that listeners take, beside files, probes and stores."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from guardsvc.server.settings import ServiceSettings

__all__ = ["make_room_for_connections"]

log = structlog.get_logger(__name__)

OTHERS = 1024
"""What a process opens beside the connections of gRPC: those of the HTTP listeners and stores, files and pipes."""


def make_room_for_connections(settings: ServiceSettings) -> None:
    """Raise the process's limit of open files, which its workers inherit, as far as it needs and the system lets it.

    Without room, connections that nobody uses would keep it from answering probes, reading its configuration and
    opening the audit anew.
    """
    needed = settings.connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft, needed):
        return
    wanted = needed if _enough(hard, needed) else hard
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if not _enough(soft, needed):
        log.warning("few_open_files", limit=soft, needed=needed)


def _enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
