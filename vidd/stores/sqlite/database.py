"""One SQLite file, in a thread of its own: a read or a whole transaction is one way there and one way back."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from vidd.errors import RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON")


class Database:
    """One connection, with a write-ahead log and every commit synced. What is asked is done in the order of asking."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched before `open`."""
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        """Make or open the file; sqlite3.DatabaseError where it is none."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._path.stem)

        def work() -> None:
            # Autocommit: transactions begin and end where `write` says so, and nowhere else.
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}")

        try:
            await self._in_thread(work)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give everything back, after what was asked before."""
        thread, self._thread = self._thread, None
        if thread is not None:
            closing = asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)
            await asyncio.shield(closing)

    def _close(self) -> None:
        with suppress(AttributeError):
            self._connection.close()

    async def read(self, sql: str, values: Sequence[Any] = (), each: Callable[[Any], Any] = tuple) -> list[Any]:
        """The rows of a query, each made into something in the thread: a thousand of them must not hold up the loop."""
        return await self._in_thread(lambda: [each(row) for row in self._connection.execute(sql, values)])

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, whole or not at all; a cancelled caller cannot cut it in two. RetryLater where the disk is full."""
        return await self._in_thread(lambda: self._transaction(work))

    async def run(self, script: str) -> None:
        """Run statements that see to their transactions themselves."""
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
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise RetryLater(f"The journal cannot be written ({error}): is the disk full?", counts=False) from error
        except BaseException:
            self._roll_back()
            raise
        return result

    def _roll_back(self) -> None:
        with suppress(sqlite3.OperationalError):
            self._connection.execute("ROLLBACK")
