"""A store's line to its MongoDB: every call is known to be well or not, and one vidd at a time works on a database.

A call that fails is for later and nobody's failure: what a login may not do any more must not have jobs refused. The
exception is a document that is too large, which no waiting makes smaller. Once one call has failed, no other is made
until a sign of life gets through: a hundred jobs need not wait for as many timeouts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import structlog
from pymongo import timeout

from vidd.errors import Refused, RetryLater
from vidd.integrations.mongodb.account import Account, Collection, Database, Document, database
from vidd.integrations.mongodb.errors import TooLarge, asking
from vidd.ports import Conflict

_log = structlog.get_logger()
_BEAT = 5.0
_PROBE = 1.0
"""Seconds between two signs of life, and between two that do not get through."""
_SILENT = 60.0
"""Seconds without a sign of life after which the owner of a database is taken for dead."""


class Link:
    """`who` names this vidd among those that could work on the database; None where many may at once.

    `trouble` says why MongoDB cannot be asked right now, None while it can.
    """

    def __init__(self, account: Account, name: str, who: str | None) -> None:
        self._account, self._name, self._who = account, name, who
        self._stack = AsyncExitStack()
        self._db: Database | None = None
        self._doubt = asyncio.Event()
        self._seen: tuple[tuple[Any, Any], float] | None = None
        self.trouble: str | None = None

    async def open(self) -> None:
        """Become the owner. RetryLater where MongoDB is away or another vidd owns the database."""
        self._db = await self._stack.enter_async_context(database(self._account, self._name))
        if self._who is not None:
            with self.opening("taking hold of the database"):
                await self._own(self._who)
        await self._stack.enter_async_context(self._beating())
        self.trouble = None

    async def close(self) -> None:
        """Let go of the database and of the line."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()
        self._db = None

    @contextmanager
    def opening(self, doing: str, patience: float | None = None) -> Iterator[None]:
        """Turn what is raised inside into its fate: settings that are wrong are refused at the start.

        All inside may take no longer than so many seconds: a start that waits says so soon.
        """
        try:
            with asking(doing, self._name), timeout(patience or min(_BEAT, self._account.timeout)):
                yield
        except (RetryLater, Refused) as fault:
            self.trouble = fault.sentence
            raise

    @contextmanager
    def asking(self, doing: str) -> Iterator[None]:
        """Turn what is raised inside into RetryLater, Conflict, or TooLarge."""
        if self.trouble is not None:
            raise RetryLater(self.trouble, after=_BEAT, counts=False)
        try:
            with asking(doing, self._name):
                yield
        except TooLarge:
            raise
        except (RetryLater, Refused) as fault:
            if self.trouble is None:
                _log.warning("store away", reason=fault.sentence)
            self.trouble = fault.sentence
            self._doubt.set()
            raise RetryLater(fault.sentence, after=_BEAT, counts=False) from fault

    def __getitem__(self, collection: str) -> Collection:
        """A collection; every call on it belongs inside `asking`."""
        if self._db is None:
            raise RuntimeError("the store is not open")
        return self._db[collection]

    async def _own(self, who: str) -> None:
        meta = self["meta"]
        try:
            with asking("taking hold of the database", self._name):
                await meta.update_one({"_id": "owner", "who": who}, {"$currentDate": {"at": True}}, upsert=True)
        except Conflict:
            other = await meta.find_one({"_id": "owner"}) or {}
            if not await self._is_silent(other):
                raise RetryLater(
                    f"The vidd of {other.get('who', 'another host')} works on the database {self._account.database!r}: this"
                    f" one takes over when that has ended, or has been silent for {_SILENT:g} s."
                ) from None
            change = {"$set": {"who": who}, "$currentDate": {"at": True}}
            if (await meta.update_one(other, change)).matched_count != 1:
                raise RetryLater("The vidd that owns the database has just said that it lives.") from None
            _log.warning("database taken over", of=other.get("who"))

    async def _is_silent(self, owner: Document) -> bool:
        """Whether it has not said that it lives for long, by this host's own watch: clocks of hosts differ."""
        sign = (owner.get("who"), owner.get("at"))
        if self._seen is None or self._seen[0] != sign:
            self._seen = (sign, time.monotonic())
        return time.monotonic() - self._seen[1] >= _SILENT

    @asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        beat = asyncio.create_task(self._beat(), name="store beat")
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.wait([beat])
            if self._who is not None and self.trouble is None:
                await self._let_go(self._who)

    async def _beat(self) -> None:
        """Say that this vidd lives, which also tells whether MongoDB does; at once where a call has failed."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT if self.trouble is None else _PROBE):
                    await self._doubt.wait()
            self._doubt.clear()
            before = self.trouble
            try:
                with self.opening("saying that this vidd lives", 2 * min(_BEAT, self._account.timeout)):
                    mine = await self._sign()
            except (RetryLater, Refused) as fault:
                if before is None:
                    _log.warning("store away", reason=fault.sentence)
                continue
            if not mine:
                self.trouble = (
                    "Another vidd took the database over while this one could not reach it: restart this one."
                )
                _log.error("store lost", reason=self.trouble)
                return
            if self.trouble is not None:
                _log.info("store back")
                self.trouble = None

    async def _sign(self) -> bool:
        """Whether the database is still this vidd's."""
        if self._who is None:
            await self["meta"].find_one({"_id": "owner"})
            return True
        sign = {"$currentDate": {"at": True}}
        return (await self["meta"].update_one({"_id": "owner", "who": self._who}, sign)).matched_count == 1

    async def _let_go(self, who: str) -> None:
        try:
            async with asyncio.timeout(_BEAT):
                with asking("letting go of the database", self._name):
                    await self["meta"].delete_one({"_id": "owner", "who": who})
        except (TimeoutError, RetryLater, Refused) as error:
            _log.warning("database not let go of", reason=str(error))
