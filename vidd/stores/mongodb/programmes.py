"""The programmes in MongoDB. A reading is written beside the one before and then named in one document.

So it is seen whole or not at all without a transaction, and however many talks there are.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pymongo import ReturnDocument

from vidd.model.serialization import stamp, talk_from_json, talk_to_json, unstamp
from vidd.model.talk import Programme, Talk
from vidd.stores.mongodb.connection import Link

T = TypeVar("T")
_ORPHANED = timedelta(days=1)


class MongoProgrammes:
    """Readings and the talks of them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        reading = f"{stamp(read)} {secrets.token_hex(8)}"
        rows = {
            talk.id: {
                "_id": {"reading": reading, "id": talk.id},
                "reading": reading,
                "position": at,
                "body": json.dumps(talk_to_json(talk)),
            }
            for at, talk in enumerate(talks)
        }
        with self._link.asking("keeping a programme"):
            if rows:
                await self._link["talks"].insert_many(rows.values(), ordered=False)
            before = await self._link["programmes"].find_one_and_update(
                {"_id": programme},
                {"$set": {"read": stamp(read), "talks": len(talks), "reading": reading}},
                upsert=True,
                return_document=ReturnDocument.BEFORE,
            )
            if before is not None:
                await self._link["talks"].delete_many({"reading": before["reading"]})

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        async def look(reading: str) -> Talk | None:
            row = await self._link["talks"].find_one({"_id": {"reading": reading, "id": talk_id}})
            return _talk(row) if row else None

        return await self._of_one_reading(programme, look, done=lambda talk: talk is not None)

    async def talks(self, programme: str) -> list[Talk]:
        async def look(reading: str) -> list[Talk]:
            return [_talk(row) async for row in self._link["talks"].find({"reading": reading}).sort("position", 1)]

        return await self._of_one_reading(programme, look) or []

    async def _of_one_reading(
        self, programme: str, look: Callable[[str], Awaitable[T]], *, done: Callable[[T], bool] = lambda _: False
    ) -> T | None:
        """What `look` finds in the present reading, which must still be that one afterwards, unless it is `done`."""
        with self._link.asking("looking at a programme"):
            reading = await self._reading(programme)
            while reading is not None:
                found = await look(reading)
                now = reading if done(found) else await self._reading(programme)
                if now == reading:
                    return found
                reading = now
        return None

    async def _reading(self, programme: str) -> str | None:
        row = await self._link["programmes"].find_one({"_id": programme}, {"reading": 1})
        return row["reading"] if row else None

    async def programme(self, name: str) -> Programme | None:
        with self._link.asking("looking at a programme"):
            row = await self._link["programmes"].find_one({"_id": name})
        return Programme(name, unstamp(row["read"]), row["talks"]) if row else None

    async def sweep(self, now: datetime) -> None:
        """Remove readings that were never named, since whoever wrote them was killed."""
        with self._link.asking("sweeping programmes"):
            named = [row["reading"] async for row in self._link["programmes"].find({}, {"reading": 1})]
            old = stamp(now - _ORPHANED)
            await self._link["talks"].delete_many({"reading": {"$lt": old, "$nin": named}})


def _talk(row: dict[str, Any]) -> Talk:
    return talk_from_json(json.loads(row["body"]))
