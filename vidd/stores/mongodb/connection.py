"""A store's connection to its MongoDB, which knows whether MongoDB can be reached, and that one vidd owns a database.

A failed call is RetryLater and fails no job: a login that lost its rights must not have jobs refused. The exception is a
document that is too large, which no wait makes smaller. After one call has failed, all others fail at once until a heartbeat
succeeds, so that a hundred jobs do not wait for a hundred timeouts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import structlog
from pymongo import timeout

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.mongodb.account import Account, Collection, Database, Document, database
from vidd.integrations.mongodb.errors import TooLarge, map_errors
from vidd.ports import Conflict

_log = structlog.get_logger()
_HEARTBEAT = 5.0
"""Seconds between two heartbeats."""
_PROBE = 1.0
"""Seconds between two heartbeats while MongoDB is away."""
_OWNER_TIMEOUT = 60.0
"""Seconds without a heartbeat after which another vidd may take a database over."""


class Connection:
    """`owner` names this vidd among those that could own the database; None for a connection that does not own it.

    `trouble` says why MongoDB cannot be used right now, None while it can.
    """

    def __init__(self, account: Account, name: str, owner: str | None) -> None:
        self._account, self._name, self._owner = account, name, owner
        self._stack = AsyncExitStack()
        self._db: Database | None = None
        self._call_failed = asyncio.Event()
        # The last heartbeat of another owner, and when this vidd first saw it, by its own clock.
        self._other_owner: tuple[tuple[Any, Any], float] | None = None
        self.trouble: str | None = None

    async def open(self) -> None:
        """Become the owner. RetryLater where MongoDB is away, or another vidd owns the database."""
        self._db = await self._stack.enter_async_context(database(self._account, self._name))
        if self._owner is not None:
            with self.startup_call("taking over the database"):
                await self._take_over(self._owner)
        await self._stack.enter_async_context(self._heartbeat_task())
        self.trouble = None

    async def close(self) -> None:
        """Release the database, and close the connection."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()
        self._db = None

    @contextmanager
    def startup_call(self, doing: str, limit: float | None = None) -> Iterator[None]:
        """Turn what is raised inside into its fault: at the start, wrong settings are refused.

        All inside may take `limit` seconds, by default few: a start that has to wait says so soon.
        """
        try:
            with map_errors(doing, self._name), timeout(limit or min(_HEARTBEAT, self._account.timeout)):
                yield
        except (RetryLater, Refused) as fault:
            self.trouble = fault.sentence
            raise

    @contextmanager
    def call(self, doing: str) -> Iterator[None]:
        """Turn what is raised inside into RetryLater, Conflict, or TooLarge."""
        if self.trouble is not None:
            raise RetryLater(self.trouble, after=_HEARTBEAT, counts=False)
        try:
            with map_errors(doing, self._name):
                yield
        except TooLarge:
            raise
        except (RetryLater, Refused) as fault:
            if self.trouble is None:
                _log.warning("store away", reason=fault.sentence)
            self.trouble = fault.sentence
            self._call_failed.set()
            raise RetryLater(fault.sentence, after=_HEARTBEAT, counts=False, code=fault.code) from fault

    def __getitem__(self, collection: str) -> Collection:
        """A collection; every call on it belongs inside `call`."""
        if self._db is None:
            raise RuntimeError("the store is not open")
        return self._db[collection]

    async def _take_over(self, owner: str) -> None:
        meta = self["meta"]
        try:
            with map_errors("taking over the database", self._name):
                await meta.update_one({"_id": "owner", "who": owner}, {"$currentDate": {"at": True}}, upsert=True)
        except Conflict:
            other = await meta.find_one({"_id": "owner"}) or {}
            if not await self._is_dead(other):
                raise RetryLater(
                    f"The vidd of {other.get('who', 'another host')} owns the database {self._account.database!r}: this vidd"
                    f" will take over when that one has ended, or has sent no heartbeat for {_OWNER_TIMEOUT:g} s.",
                    code=FaultCode.BUSY,
                ) from None
            change = {"$set": {"who": owner}, "$currentDate": {"at": True}}
            if (await meta.update_one(other, change)).matched_count != 1:
                raise RetryLater(
                    "The vidd that owns the database has just sent a heartbeat; this vidd will wait for it.",
                    code=FaultCode.BUSY,
                ) from None
            _log.warning("database taken over", of=other.get("who"))

    async def _is_dead(self, owner: Document) -> bool:
        """Whether an owner has sent no heartbeat for long, by this host's own clock: clocks of hosts differ."""
        heartbeat = (owner.get("who"), owner.get("at"))
        if self._other_owner is None or self._other_owner[0] != heartbeat:
            self._other_owner = (heartbeat, time.monotonic())
        return time.monotonic() - self._other_owner[1] >= _OWNER_TIMEOUT

    @asynccontextmanager
    async def _heartbeat_task(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._send_heartbeats(), name="store heartbeat")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if self._owner is not None and self.trouble is None:
                await self._release(self._owner)

    async def _send_heartbeats(self) -> None:
        """Send heartbeats, at once where a call has failed; they also tell whether MongoDB can be reached."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT if self.trouble is None else _PROBE):
                    await self._call_failed.wait()
            self._call_failed.clear()
            before = self.trouble
            try:
                with self.startup_call("sending a heartbeat", 2 * min(_HEARTBEAT, self._account.timeout)):
                    is_owner = await self._heartbeat()
            except (RetryLater, Refused) as fault:
                if before is None:
                    _log.warning("store away", reason=fault.sentence)
                continue
            if not is_owner:
                self.trouble = (
                    "Another vidd took over the database while this one could not reach it: restart this one."
                )
                _log.error("store lost", reason=self.trouble)
                return
            if self.trouble is not None:
                _log.info("store back")
                self.trouble = None

    async def _heartbeat(self) -> bool:
        """Send a heartbeat; whether the database is still this vidd's."""
        if self._owner is None:
            await self["meta"].find_one({"_id": "owner"})
            return True
        now = {"$currentDate": {"at": True}}
        return (await self["meta"].update_one({"_id": "owner", "who": self._owner}, now)).matched_count == 1

    async def _release(self, owner: str) -> None:
        try:
            async with asyncio.timeout(_HEARTBEAT):
                with map_errors("releasing the database", self._name):
                    await self["meta"].delete_one({"_id": "owner", "who": owner})
        except (TimeoutError, RetryLater, Refused) as error:
            _log.warning("database not released", reason=str(error))
