"""Opens the tables behind a URL: memory, SQLite or Redis."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from guardsvc.state.tables import MAX_BYTES, MemoryTables
from guardsvc.state.url import UrlError, check_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.state.tables import Tables

__all__ = ["SQLITE", "check_tables_url", "open_tables"]

SQLITE = "sqlite:"


def check_tables_url(url: str) -> None:
    """See that a URL can be used, without opening anything.

    Raises:
        UrlError: it cannot.
    """
    if not url.startswith(SQLITE):
        check_url(url)
    elif not PurePath(url.removeprefix(SQLITE)).is_absolute():
        raise UrlError("sqlite: is followed by an absolute path, such as sqlite:/var/lib/guardsvc/baseline.db")


def open_tables(url: str | None, clock: Callable[[], float], max_bytes: int = MAX_BYTES) -> Tables:
    """The tables; nothing is connected yet.

    Args:
        url: one that ``check_tables_url`` has passed, or None for memory.
        clock: seconds that never go back, for memory.
        max_bytes: what memory takes at most; a file or a Redis has no such bound.
    """
    if url is None:
        return MemoryTables(clock, max_bytes)
    if url.startswith(SQLITE):
        from guardsvc.state.sqlite_tables import SqliteTables  # noqa: PLC0415  a megabyte, for those who have a file

        return SqliteTables(url.removeprefix(SQLITE))
    from guardsvc.state.redis_tables import RedisTables  # noqa: PLC0415  see guardsvc.state.url

    return RedisTables(url)
