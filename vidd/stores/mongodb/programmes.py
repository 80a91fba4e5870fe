"""The programmes in MongoDB. The talks of a reading are written first, and then one document names the reading.

So a reading becomes visible all at once without a transaction, whatever its number of talks.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pymongo import ReturnDocument

from vidd.model.serialization import talk_from_json, talk_to_json, time_from_text, time_to_text
from vidd.model.talk import Programme, Talk
from vidd.stores.mongodb.connection import Connection

T = TypeVar("T")
_ORPHANED = timedelta(days=1)


class MongoProgrammes:
    """The programmes and their talks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        reading = f"{time_to_text(read)} {secrets.token_hex(8)}"
        rows = {
            talk.id: {
                "_id": {"reading": reading, "id": talk.id},
                "reading": reading,
                "position": position,
                "body": json.dumps(talk_to_json(talk)),
            }
            for position, talk in enumerate(talks)
        }
        with self._connection.call("writing a programme"):
            if rows:
                await self._connection["talks"].insert_many(rows.values(), ordered=False)
            before = await self._connection["programmes"].find_one_and_update(
                {"_id": programme},
                {"$set": {"read": time_to_text(read), "talks": len(talks), "reading": reading}},
                upsert=True,
                return_document=ReturnDocument.BEFORE,
            )
            if before is not None:
                await self._connection["talks"].delete_many({"reading": before["reading"]})

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        async def find(reading: str) -> Talk | None:
            row = await self._connection["talks"].find_one({"_id": {"reading": reading, "id": talk_id}})
            return _talk(row) if row else None

        return await self._read_consistently(programme, find, is_final=lambda talk: talk is not None)

    async def talks(self, programme: str) -> list[Talk]:
        async def find(reading: str) -> list[Talk]:
            return [
                _talk(row) async for row in self._connection["talks"].find({"reading": reading}).sort("position", 1)
            ]

        return await self._read_consistently(programme, find) or []

    async def _read_consistently(
        self, programme: str, find: Callable[[str], Awaitable[T]], *, is_final: Callable[[T], bool] = lambda _: False
    ) -> T | None:
        """What `find` finds in the current reading.

        Repeated where another reading became current meanwhile, unless the result `is_final`.
        """
        with self._connection.call("reading a programme"):
            reading = await self._reading(programme)
            while reading is not None:
                found = await find(reading)
                current = reading if is_final(found) else await self._reading(programme)
                if current == reading:
                    return found
                reading = current
        return None

    async def _reading(self, programme: str) -> str | None:
        row = await self._connection["programmes"].find_one({"_id": programme}, {"reading": 1})
        return row["reading"] if row else None

    async def programme(self, name: str) -> Programme | None:
        with self._connection.call("reading a programme"):
            row = await self._connection["programmes"].find_one({"_id": name})
        return Programme(name, time_from_text(row["read"]), row["talks"]) if row else None

    async def delete_orphans(self, now: datetime) -> None:
        """Delete readings that no programme names, because their writer was killed."""
        with self._connection.call("deleting old readings"):
            current = [row["reading"] async for row in self._connection["programmes"].find({}, {"reading": 1})]
            old = time_to_text(now - _ORPHANED)
            await self._connection["talks"].delete_many({"reading": {"$lt": old, "$nin": current}})


def _talk(row: dict[str, Any]) -> Talk:
    return talk_from_json(json.loads(row["body"]))
