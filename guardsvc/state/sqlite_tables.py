"""SQLite: tables in one file, which the workers of a host share; every call runs in a thread of its own kind."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["SqliteTables"]

T = TypeVar("T")

BUSY_MS = 1000
"""How long SQLite waits for another process by itself."""
AGAIN_S = 0.01
"""Between two attempts where SQLite does not wait: the switch to WAL, of two processes that open one new file."""
PRIMARY_CODE = 0xFF
"""The bits of an extended result code that say which kind it is (SQLite, result codes)."""
MAX_FIELDS = 500
"""Fields that one statement names."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    scope TEXT NOT NULL, field TEXT NOT NULL, value BLOB NOT NULL, ends REAL, PRIMARY KEY (scope, field)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_ends ON entries (ends) WHERE ends IS NOT NULL;
"""


class SqliteTables:
    """Tables in a file, in WAL mode, opened when they are first asked.

    Args:
        path: of the file; its folder is there already.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "catalog-sqlite")
        self._connection: sqlite3.Connection | None = None

    async def read(self, scope: str, fields: Iterable[str] | None, seconds: float) -> dict[str, bytes]:
        """See ``Tables``."""
        work = partial(_read, scope=scope, fields=None if fields is None else tuple(fields))
        return await self._ask(work, seconds, of_nothing={})

    async def write(self, scope: str, values: Mapping[str, bytes], seconds: float, ttl: float | None = None) -> None:
        """See ``Tables``."""
        ends = None if ttl is None else time.time() + ttl
        await self._ask(partial(_write, scope=scope, values=dict(values), ends=ends), seconds)

    async def add(self, scope: str, values: Mapping[str, bytes], seconds: float) -> None:
        """See ``Tables``."""
        await self._ask(partial(_add, scope=scope, values=dict(values)), seconds)

    async def drop(self, scope: str, fields: Iterable[str], seconds: float) -> None:
        """See ``Tables``."""
        await self._ask(partial(_drop, scope=scope, fields=tuple(fields)), seconds)

    async def scopes(self, prefix: str, seconds: float) -> list[str]:
        """See ``Tables``."""
        return await self._ask(partial(_scopes, prefix=prefix), seconds, of_nothing=[])

    async def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown(wait=False)

    async def _ask(self, work: Callable[[sqlite3.Connection], T], seconds: float, of_nothing: T | None = None) -> T:
        """The result of some work; ``of_nothing`` is that of a look at a file that is not there, and stays so."""
        try:
            async with asyncio.timeout(seconds):
                run = partial(self._run, work, of_nothing, time.monotonic() + seconds)
                return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except TimeoutError:
            why = f"no answer within {seconds * 1000:.0f} ms"
        except (sqlite3.Error, OSError) as error:
            why = f"{type(error).__name__}: {error}"[:200]
        raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, f"sqlite: {why}")

    def _run(self, work: Callable[[sqlite3.Connection], T], of_nothing: T | None, deadline: float) -> T:
        while True:
            try:
                return self._attempt(work, of_nothing)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & PRIMARY_CODE in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or time.monotonic() + AGAIN_S > deadline:
                    raise
            time.sleep(AGAIN_S)

    def _attempt(self, work: Callable[[sqlite3.Connection], T], of_nothing: T | None) -> T:
        if self._connection is None:
            if not Path(self._path).parent.is_dir():
                raise FileNotFoundError(f"no folder {Path(self._path).parent}")
            if of_nothing is not None and not Path(self._path).exists():
                return of_nothing
            self._connection = _open(self._path)
        with self._connection:
            return work(self._connection)


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _read(connection: sqlite3.Connection, scope: str, fields: tuple[str, ...] | None) -> dict[str, bytes]:
    now = time.time()
    select = "SELECT field, value FROM entries WHERE scope = ? AND (ends IS NULL OR ends > ?)"
    if fields is None:
        return dict(connection.execute(select, (scope, now)).fetchall())
    found: dict[str, bytes] = {}
    for start in range(0, len(fields), MAX_FIELDS):
        some = fields[start : start + MAX_FIELDS]
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"{select} AND field IN ({marks})", (scope, now, *some)).fetchall())
    return found


def _write(connection: sqlite3.Connection, scope: str, values: dict[str, bytes], ends: float | None) -> None:
    connection.execute("DELETE FROM entries WHERE ends <= ?", (time.time(),))
    connection.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?) "
        "ON CONFLICT (scope, field) DO UPDATE SET value = excluded.value, ends = excluded.ends",
        [(scope, field, value, ends) for field, value in values.items()],
    )


def _add(connection: sqlite3.Connection, scope: str, values: dict[str, bytes]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, NULL)",
        [(scope, field, value) for field, value in values.items()],
    )


def _drop(connection: sqlite3.Connection, scope: str, fields: tuple[str, ...]) -> None:
    connection.executemany("DELETE FROM entries WHERE scope = ? AND field = ?", [(scope, field) for field in fields])


def _scopes(connection: sqlite3.Connection, prefix: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT scope FROM entries "
        "WHERE substr(scope, 1, ?) = ? AND (ends IS NULL OR ends > ?) ORDER BY scope",
        (len(prefix), prefix, time.time()),
    )
    return [scope for (scope,) in rows]
