"""`ports.Memory` in MongoDB: a space is one document, so that its words are kept all or none. And other small things."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote, unquote

from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from vidd.integrations.mongodb.account import Document
from vidd.model.serialization import stamp, unstamp
from vidd.stores.mongodb.connection import Link


class MongoMemory:
    """Words by space, flags, and dead letters."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def recall(self, space: str) -> dict[str, str]:
        with self._link.asking("recalling words"):
            found = await self._link["memory"].find_one({"_id": space}) or {}
        return {unquote(name[1:]): value for name, value in found.get("words", {}).items()}

    async def remember(self, space: str, words: Mapping[str, str | None]) -> None:
        kept = {_field(name): value for name, value in words.items() if value is not None}
        gone = {_field(name): "" for name, value in words.items() if value is None}
        change: Document = {**({"$set": kept} if kept else {}), **({"$unset": gone} if gone else {})}
        if change:
            with self._link.asking("remembering words"):
                await self._change(space, change, make=bool(kept))

    async def count(self, space: str, name: str, by: int) -> int:
        field = _field(name)
        total = {"$add": [{"$toLong": {"$ifNull": [f"${field}", "0"]}}, by]}
        with self._link.asking("counting"):
            found = await self._change(space, [{"$set": {field: {"$toString": total}}}])
        return int(found["words"][field.partition(".")[2]])

    async def _change(self, space: str, change: Document | list[Document], *, make: bool = True) -> Document:
        """The space as it is after a change. It is made first: of two who make it in one go, one could go away empty."""
        while True:
            found = await self._link["memory"].find_one_and_update(
                {"_id": space}, change, return_document=ReturnDocument.AFTER
            )
            if found is not None or not make:
                return found or {}
            with suppress(DuplicateKeyError):
                await self._link["memory"].insert_one({"_id": space, "words": {}})

    async def get_flag(self, name: str) -> str | None:
        with self._link.asking("looking at a flag"):
            found = await self._link["flags"].find_one({"_id": name})
        return found["value"] if found else None

    async def set_flag(self, name: str, value: str | None) -> None:
        with self._link.asking("setting a flag"):
            if value is None:
                await self._link["flags"].delete_one({"_id": name})
            else:
                await self._link["flags"].replace_one({"_id": name}, {"value": value}, upsert=True)

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        with self._link.asking("keeping a dead letter"):
            letter = {"at": stamp(at), "source": source, "reason": reason, "body": body}
            await self._link["dead_letters"].insert_one(letter)

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        with self._link.asking("looking at dead letters"):
            found = self._link["dead_letters"].find(sort=[("_id", DESCENDING)], limit=limit)
            return [
                (unstamp(document["at"]), document["source"], document["reason"], document["body"])
                async for document in found
            ]


def _field(name: str) -> str:
    """The path of a word: names of fields have no dots or dollars in MongoDB, and are not empty."""
    return "words.w" + quote(name, safe=" /:-_@|,;()").replace(".", "%2E").replace("~", "%7E")
