"""The store in a MongoDB. No write needs a transaction, so that a single server will do.

What must change together is in one document: a job with its history, a space of words. An admission of many jobs that is
interrupted records some of them; its caller hands all of them in again, and those that are known by then are returned too.
The driver repeats writes that get no answer under a number that a replica set knows. Where that is not enough either, the call
raises RetryLater, and the same save again finds out whether the first was made.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.mongodb.account import SINGLE_SERVER, Account, Document, database, has_transactions
from vidd.integrations.mongodb.errors import duplicate_positions, map_errors
from vidd.model.day_totals import count_moves, day_of
from vidd.model.job import SHORTEST_END, UNFINISHED, Entry, Job, State
from vidd.model.job_query import JobQuery
from vidd.model.media import StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.model.rows import (
    entry_columns,
    entry_from_row,
    job_columns,
    job_from_row,
    job_to_row,
    new_jobs,
    publication_columns,
    publication_from_row,
    publication_to_row,
    step_columns,
    step_from_row,
    step_to_row,
)
from vidd.model.serialization import time_from_text, time_to_text
from vidd.ports import Conflict, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.types import Options
from vidd.stores.mongodb.connection import Connection
from vidd.stores.mongodb.documents import (
    INDEXES,
    NEWEST,
    OLDEST,
    conditions_of,
    history_line,
    job_document,
    projection,
    row_of,
    state_values,
)
from vidd.stores.mongodb.memory import MongoMemory
from vidd.stores.mongodb.programmes import MongoProgrammes

Row: TypeAlias = tuple[Any, ...]

_VERSION, _MIGRATION = 1, 120.0


class Settings(Options):
    """The settings of `[store] kind = "mongo"`."""

    account: Annotated[str, AccountOf("mongodb")] = Field(
        description="The account of kind mongodb whose database is the store."
    )


class MongoStore(MongoMemory, MongoProgrammes):
    """`ports.Store` in one database. `owner` as in `Connection`."""

    def __init__(self, account: Account, name: str, owner: str | None = None) -> None:
        super().__init__(Connection(account, name, owner))
        self._database = account.database
        self._unanswered: dict[tuple[str, str], Row] = {}

    @property
    def trouble(self) -> str | None:
        return self._connection.trouble

    async def open(self) -> None:
        try:
            await self._connection.open()
            await self._migrate()
            await self.delete_orphans(datetime.now(UTC))
        except BaseException:
            await self.close()
            raise

    async def _migrate(self) -> None:
        with self._connection.startup_call("opening the store"):
            found = await self._connection["meta"].find_one({"_id": "schema"})
        if found and found["version"] > _VERSION:
            raise Refused(
                f"The database {self._database!r} was written by a newer vidd: install that version again, or name another"
                " database.",
                code=FaultCode.BAD_SETTINGS,
            )
        with self._connection.startup_call("creating indexes", _MIGRATION):
            for collection, indexes in INDEXES.items():
                await self._connection[collection].create_indexes(list(indexes))
            await self._connection["meta"].update_one({"_id": "schema"}, {"$max": {"version": _VERSION}}, upsert=True)

    async def close(self) -> None:
        await self._connection.close()

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        if not jobs:
            return []
        own_ids = {job.id for job in jobs}
        with self._connection.call("recording jobs"):
            holders = await self._holders(jobs)
            fresh = new_jobs(jobs, {key for key, holder in holders.items() if holder not in own_ids})
            missing = [job for job in fresh if job.key not in holders]
            if taken := await self._insert(missing) if missing else []:
                # Before a key is called known, its holder must be certain.
                holders |= await self._holders(taken)
        if any(job.key not in holders for job in taken):
            raise RetryLater(
                "Another vidd is recording the same arrival; vidd will retry.", counts=False, code=FaultCode.BUSY
            )
        return [job for job in fresh if holders.get(job.key, job.id) == job.id]

    async def _holders(self, jobs: Sequence[Job]) -> dict[str, str]:
        """The ids of the jobs that have these keys."""
        found = self._connection["jobs"].find({"key": {"$in": [job.key for job in jobs]}}, {"key": 1})
        return {row["key"]: row["_id"] async for row in found}

    async def _insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs; returns those whose keys were recorded meanwhile."""
        documents = [{**job_document(job), "history": [history_line(job, job.created)]} for job in jobs]
        try:
            await self._connection["jobs"].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if (known := duplicate_positions(error)) is None:
                raise
            return [jobs[position] for position in sorted(known)]
        return []

    async def job(self, job_id: str) -> Job | None:
        found = await self._find({"_id": job_id})
        if found or len(job_id) < SHORTEST_END:
            return found[0] if found else None
        ending = await self._find({"_id": {"$regex": f"{re.escape(job_id)}$"}}, limit=2)
        return ending[0] if len(ending) == 1 else None

    async def job_of_key(self, key: str) -> Job | None:
        found = await self._find({"key": key})
        return found[0] if found else None

    async def _find(self, where: Document, sort: Sequence[tuple[str, int]] = (), *, limit: int = 0) -> list[Job]:
        with self._connection.call("looking for jobs"):
            found = self._connection["jobs"].find(
                where, projection(job_columns()), sort=list(sort) or None, limit=limit
            )
            return [job_from_row(row_of(document, job_columns())) async for document in found]

    async def jobs(
        self,
        *,
        states: Sequence[State] = (),
        pipeline: str | None = None,
        talk: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        where: Document = {"state": {"$in": state_values(states)}} if states else {}
        where |= {name: value for name, value in (("pipeline", pipeline), ("talk", talk)) if value is not None}
        return [] if limit == 0 else await self._find(where, NEWEST, limit=limit or 0)

    async def page(self, query: JobQuery, limit: int) -> list[Job]:
        jobs = self._connection["jobs"]
        with self._connection.call("listing jobs"):
            last = await jobs.find_one({"_id": query.after}, {"created": 1}) if query.after is not None else None
            if query.after is not None and last is None:
                return []
            # The index alone answers which jobs these are: documents are wide.
            where, listed = conditions_of(query, last), {"_id": 1, "created": 1}
            found = jobs.find(where, listed, sort=NEWEST, limit=limit, hint="talk" if query.talk else "listed")
            ids = [document["_id"] async for document in found]
        return await self._find({"_id": {"$in": ids}}, NEWEST)

    async def entries(self, pipelines: Sequence[str]) -> list[Entry]:
        with self._connection.call("listing jobs"):
            where = {"pipeline": {"$in": list(pipelines)}}
            found = self._connection["jobs"].find(where, projection(entry_columns()), sort=OLDEST)
            return [entry_from_row(row_of(document, entry_columns())) async for document in found]

    async def unfinished(self) -> list[tuple[str, int]]:
        with self._connection.call("looking for unfinished jobs"):
            where = {"state": {"$in": state_values(sorted(UNFINISHED))}}
            found = self._connection["jobs"].find(where, {"priority": 1}, sort=[("priority", DESCENDING), *OLDEST])
            return [(document["_id"], document["priority"]) async for document in found]

    async def due(self, now: datetime) -> list[Job]:
        return await self._find(
            {"state": State.WAITING.value, "until": {"$lte": time_to_text(now)}}, [("until", ASCENDING)]
        )

    async def next_due(self) -> datetime | None:
        return await self._least("until", {"state": State.WAITING.value, "until": {"$type": "string"}})

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        return await self._least("created", {"state": {"$in": state_values(states)}})

    async def _least(self, name: str, where: Document) -> datetime | None:
        with self._connection.call("looking for the first job"):
            found = await self._connection["jobs"].find_one(where, {name: 1}, sort=[(name, ASCENDING)])
        return time_from_text(found[name]) if found else None

    async def save(self, job: Job, *, expect: State) -> None:
        change: Document = {"$set": job_document(job, without="_id")}
        if job.state is not expect:
            change["$push"] = {"history": history_line(job, job.changed)}
        row, jobs = job_to_row(job), self._connection["jobs"]

        async def write() -> bool:
            where = {"_id": job.id, "state": expect.value}
            return (await jobs.update_one(where, change)).matched_count == 1

        async def is_saved() -> bool:
            found = await self.job(job.id)
            return found is not None and job_to_row(found) == row

        if not await self._save_once((job.id, ""), row, write, is_saved):
            raise Conflict(f"job {job.id} is no longer {expect}")

    async def _save_once(
        self,
        key: tuple[str, str],
        row: Row,
        write: Callable[[], Awaitable[bool]],
        is_saved: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Whether a conditional write was made.

        A write without an answer may be repeated with the same row: `is_saved` tells whether the first one was made.
        """
        try:
            with self._connection.call("saving"):
                made = await write()
        except Conflict:
            made = False
        except RetryLater:
            self._unanswered[key] = row
            raise
        made = made or (self._unanswered.get(key) == row and await is_saved())
        self._unanswered.pop(key, None)
        return made

    async def history(self, job_id: str) -> list[tuple[datetime, State, str | None]]:
        with self._connection.call("reading a job's history"):
            found = await self._connection["jobs"].find_one({"_id": job_id}, {"history": 1}) or {}
        return [(time_from_text(at), State(state), reason) for at, state, reason in found.get("history", ())]

    async def moves_by_day(self, since: datetime) -> dict[tuple[date, State], int]:
        first = day_of(since)
        with self._connection.call("counting moves of jobs"):
            where = {"changed": {"$gte": first.isoformat()}}
            found = self._connection["jobs"].find(where, {"history": 1})
            moves = [
                (document["_id"], time_from_text(at), State(state))
                async for document in found
                for at, state, _ in document["history"]
            ]
        return {key: number for key, number in count_moves(moves).items() if key[0] >= first}

    async def counts(self, since: datetime | None = None) -> dict[tuple[str, State], int]:
        where = {} if since is None else {"changed": {"$gte": time_to_text(since)}}
        found = await self._group(where, {"pipeline": "$pipeline", "state": "$state"})
        return {
            (document["_id"]["pipeline"], State(document["_id"]["state"])): document["number"] for document in found
        }

    async def incomplete(self) -> dict[str, int]:
        where = {"state": State.PUBLISHED.value, "reason": {"$type": "string"}}
        return {document["_id"]: document["number"] for document in await self._group(where, "$pipeline")}

    async def _group(self, where: Document, by: Any) -> list[Document]:
        with self._connection.call("counting jobs"):
            number = {"$group": {"_id": by, "number": {"$sum": 1}}}
            return [document async for document in self._connection["jobs"].aggregate([{"$match": where}, number])]

    async def steps(self, job_id: str) -> list[StepRecord]:
        return [step_from_row(row_of(document, step_columns())) for document in await self._in_order("steps", job_id)]

    async def record_step(self, record: StepRecord) -> None:
        key = {"job": record.job, "name": record.name}
        with self._connection.call("recording a step"):
            row = dict(zip(step_columns(), step_to_row(record), strict=True))
            await self._connection["steps"].replace_one(
                {"_id": key}, {**row, "order": await self._next_order("steps", record.job)}, upsert=True
            )

    async def publications(self, job_id: str) -> list[Publication]:
        found = await self._in_order("publications", job_id)
        return [publication_from_row(row_of(document, publication_columns())) for document in found]

    async def save_publication(self, publication: Publication, *, expect: PublicationState | None) -> None:
        key, row = {"job": publication.job, "name": publication.name}, publication_to_row(publication)
        values = {**dict(zip(publication_columns(), row, strict=True)), "state": publication.state.value}
        collection = self._connection["publications"]

        async def write() -> bool:
            if expect is None:
                await collection.insert_one(
                    {"_id": key, **values, "order": await self._next_order("publications", publication.job)}
                )
                return True
            where = {"_id": key, "state": expect.value}
            return (await collection.update_one(where, {"$set": values})).matched_count == 1

        async def is_saved() -> bool:
            return any(publication_to_row(saved) == row for saved in await self.publications(publication.job))

        if not await self._save_once((publication.job, publication.name), row, write, is_saved):
            raise Conflict(f"publication {publication.name} of {publication.job} is no longer {expect}")

    async def _in_order(self, collection: str, job_id: str) -> list[Document]:
        with self._connection.call("reading a job's records"):
            found = self._connection[collection].find({"job": job_id}, sort=[("order", ASCENDING), ("_id", ASCENDING)])
            return [document async for document in found]

    async def _next_order(self, collection: str, job_id: str) -> int:
        last = await self._connection[collection].find_one({"job": job_id}, {"order": 1}, sort=[("order", DESCENDING)])
        return int(last["order"]) + 1 if last else 1


async def check(options: Settings, tools: Tools) -> str:
    """Ask the database which vidd owns it."""
    account = tools.account(options.account, Account)
    async with database(account, options.account) as db:
        with map_errors("reading the database", options.account):
            owner = await db["meta"].find_one({"_id": "owner"})
            note = "" if await has_transactions(db) else f" {SINGLE_SERVER}"
    owned = f"the vidd of {owner['who']} owns it" if owner else "no vidd owns it"
    return f"The database {account.database!r} can be read, and {owned}.{note}"


def make(state: Path, options: Settings, accounts: Mapping[str, Any]) -> MongoStore:
    """The store in the account's database, for the vidd of this host and state directory."""
    account = accounts.get(options.account)
    if not isinstance(account, Account):
        raise Refused(
            f"The store needs a mongodb account: correct [accounts.{options.account}], or [store] account.",
            code=FaultCode.BAD_SETTINGS,
        )
    return MongoStore(account, options.account, f"{socket.gethostname()}:{state}")
