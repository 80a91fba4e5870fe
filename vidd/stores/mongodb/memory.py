"""`ports.Memory`, flags and dead letters in MongoDB. A space is one document, so that its words are written together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote, unquote

from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from vidd.integrations.mongodb.account import Document
from vidd.model.serialization import time_from_text, time_to_text
from vidd.stores.mongodb.connection import Connection


class MongoMemory:
    """Words by space, flags, and dead letters."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def recall(self, space: str) -> dict[str, str]:
        with self._connection.call("reading words"):
            found = await self._connection["memory"].find_one({"_id": space}) or {}
        return {unquote(name[1:]): value for name, value in found.get("words", {}).items()}

    async def remember(self, space: str, words: Mapping[str, str | None]) -> None:
        kept = {_field(name): value for name, value in words.items() if value is not None}
        removed = {_field(name): "" for name, value in words.items() if value is None}
        change: Document = {**({"$set": kept} if kept else {}), **({"$unset": removed} if removed else {})}
        if change:
            with self._connection.call("writing words"):
                await self._change(space, change, create=bool(kept))

    async def count(self, space: str, name: str, by: int) -> int:
        field = _field(name)
        total = {"$add": [{"$toLong": {"$ifNull": [f"${field}", "0"]}}, by]}
        with self._connection.call("counting"):
            found = await self._change(space, [{"$set": {field: {"$toString": total}}}])
        return int(found["words"][field.partition(".")[2]])

    async def _change(self, space: str, change: Document | list[Document], *, create: bool = True) -> Document:
        """The space after a change.

        It is created first where it is missing: of two concurrent upserts one would fail without its change.
        """
        while True:
            found = await self._connection["memory"].find_one_and_update(
                {"_id": space}, change, return_document=ReturnDocument.AFTER
            )
            if found is not None or not create:
                return found or {}
            with suppress(DuplicateKeyError):
                await self._connection["memory"].insert_one({"_id": space, "words": {}})

    async def get_flag(self, name: str) -> str | None:
        with self._connection.call("reading a flag"):
            found = await self._connection["flags"].find_one({"_id": name})
        return found["value"] if found else None

    async def set_flag(self, name: str, value: str | None) -> None:
        with self._connection.call("setting a flag"):
            if value is None:
                await self._connection["flags"].delete_one({"_id": name})
            else:
                await self._connection["flags"].replace_one({"_id": name}, {"value": value}, upsert=True)

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        with self._connection.call("recording a dead letter"):
            letter = {"at": time_to_text(at), "source": source, "reason": reason, "body": body}
            await self._connection["dead_letters"].insert_one(letter)

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        with self._connection.call("reading dead letters"):
            found = self._connection["dead_letters"].find(sort=[("_id", DESCENDING)], limit=limit)
            return [
                (time_from_text(document["at"]), document["source"], document["reason"], document["body"])
                async for document in found
            ]


def _field(name: str) -> str:
    """The path of a word's field: names of fields in MongoDB have no dots or dollars, and are not empty."""
    return "words.w" + quote(name, safe=" /:-_@|,;()").replace(".", "%2E").replace("~", "%7E")
