"""A SQLite file in a thread of its own; a read or a whole transaction is one call into the thread."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from vidd.stores.sqlite.errors import write_fault
from vidd.stores.sqlite.queries import add_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON")


class Database:
    """One connection, with a write-ahead log and every commit synced. Calls are carried out in their order."""

    def __init__(self, path: Path) -> None:
        """The file is not touched before `open`."""
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        """Open or create the file. sqlite3.DatabaseError where it is no database."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._path.stem)

        def connect() -> None:
            # Autocommit: only `write` begins and ends transactions.
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}")
            add_functions(self._connection)

        try:
            await self._in_thread(connect)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file once all earlier calls are done."""
        thread, self._thread = self._thread, None
        if thread is not None:
            closing = asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)
            await asyncio.shield(closing)

    def _close(self) -> None:
        with suppress(AttributeError):
            self._connection.close()

    async def read(self, sql: str, values: Sequence[Any] = (), convert: Callable[[Any], Any] = tuple) -> list[Any]:
        """The rows of a query, converted in the thread, so that many rows do not block the event loop."""
        return await self._in_thread(lambda: [convert(row) for row in self._connection.execute(sql, values)])

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, which a cancelled caller does not interrupt.

        RetryLater where the file cannot be written, such as on a full disk.
        """
        return await self._in_thread(lambda: self._transaction(work))

    async def run(self, script: str) -> None:
        """Run statements that begin and end their transactions themselves."""
        await self._in_thread(lambda: self._connection.executescript(script))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise RuntimeError(f"{self._path} is not open")
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error) and (fault := write_fault(error)) is not None:
                raise fault from error
            raise
        return result

    def _roll_back(self) -> None:
        with suppress(sqlite3.OperationalError):
            self._connection.execute("ROLLBACK")
