"""The store in a SQLite file (WAL mode). Every write is a transaction that is synced to the disk before it counts."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from vidd.errors import FaultCode, Refused
from vidd.model.day_totals import day_of
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
from vidd.model.serialization import talk_from_json, talk_to_json, time_from_text, time_to_text
from vidd.model.talk import Programme, Talk
from vidd.ports import Conflict, Tools
from vidd.settings.types import Options
from vidd.stores.sqlite.database import Database
from vidd.stores.sqlite.errors import open_fault
from vidd.stores.sqlite.queries import conditions_of

_JOURNAL = "journal.sqlite"
_ENTRY = entry_columns()
_JOB = job_columns()
_PUBLICATION = publication_columns()


class Settings(Options):
    """The settings of `[store] kind = "sqlite"`: none; the file is `journal.sqlite` in the state directory."""


def _versions() -> list[str]:
    """The scripts of `schema.sql` that lead from each version of the schema to the next."""
    text = files("vidd.stores.sqlite").joinpath("schema.sql").read_text()
    return [part.partition("\n")[2] for part in text.split("-- version ")[1:]]


class SqliteStore:
    """`ports.Store` in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = Database(path)

    @property
    def trouble(self) -> str | None:
        return None

    async def open(self) -> None:
        try:
            await self._db.open()
            await self._migrate()
        except sqlite3.DatabaseError as error:
            await self.close()
            raise open_fault(error, self._path) from error
        except Refused:
            await self.close()
            raise

    async def _migrate(self) -> None:
        row = await self._first("PRAGMA user_version")
        version, scripts = int(row[0]) if row else 0, _versions()
        _require_known(version, self._path)
        for number, script in enumerate(scripts[version:], start=version + 1):
            await self._db.run(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number}; COMMIT;")

    async def close(self) -> None:
        await self._db.close()

    async def _first(self, sql: str, values: Sequence[Any] = ()) -> Any:
        rows = await self._db.read(sql, values)
        return rows[0] if rows else None

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        def work(db: sqlite3.Connection) -> list[Job]:
            keys = json.dumps([job.key for job in jobs])
            rows = db.execute("SELECT key FROM jobs WHERE key IN (SELECT value FROM json_each(?))", (keys,))
            fresh = new_jobs(jobs, {row[0] for row in rows})
            marks = ",".join("?" * len(_JOB))
            db.executemany(
                f"INSERT INTO jobs ({','.join(_JOB)}) VALUES ({marks})",
                [job_to_row(job) for job in fresh],
            )
            db.executemany(
                "INSERT INTO history VALUES (?,?,?,?)",
                [(job.id, time_to_text(job.created), job.state, job.reason) for job in fresh],
            )
            return fresh

        return await self._db.write(work) if jobs else []

    async def job(self, job_id: str) -> Job | None:
        exact = await self._select_jobs("id = ?", (job_id,))
        if exact or len(job_id) < SHORTEST_END:
            return exact[0] if exact else None
        ids = "SELECT id FROM jobs INDEXED BY jobs_listed WHERE substr(id, -length(?1)) = ?1 LIMIT 2"
        ending = await self._select_jobs(f"id IN ({ids})", (job_id,))
        return ending[0] if len(ending) == 1 else None

    async def job_of_key(self, key: str) -> Job | None:
        found = await self._select_jobs("key = ?", (key,))
        return found[0] if found else None

    async def _select_jobs(self, where: str, values: Sequence[Any]) -> list[Job]:
        return await self._db.read(f"SELECT {','.join(_JOB)} FROM jobs WHERE {where}", values, job_from_row)

    async def jobs(
        self,
        *,
        states: Sequence[State] = (),
        pipeline: str | None = None,
        talk: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        query = JobQuery(states, pipeline, talk)
        if limit is not None:
            return await self.page(query, limit)
        where, values = conditions_of(query)
        return await self._select_jobs(f"{where} ORDER BY created DESC, id DESC", values)

    async def page(self, query: JobQuery, limit: int) -> list[Job]:
        where, values = conditions_of(query)
        # The index alone answers which jobs these are: rows are wide.
        index = "" if query.talk is not None else "INDEXED BY jobs_listed"
        ids = f"SELECT id FROM jobs {index} WHERE {where} ORDER BY created DESC, id DESC LIMIT {int(limit)}"
        return await self._select_jobs(f"id IN ({ids}) ORDER BY created DESC, id DESC", values)

    async def entries(self, pipelines: Sequence[str]) -> list[Entry]:
        return await self._db.read(
            f"SELECT {','.join(_ENTRY)} FROM jobs"
            " WHERE pipeline IN (SELECT value FROM json_each(?)) ORDER BY created, id",
            (json.dumps(list(pipelines)),),
            entry_from_row,
        )

    async def unfinished(self) -> list[tuple[str, int]]:
        states = json.dumps(sorted(UNFINISHED))
        rows = await self._db.read(
            "SELECT id, priority FROM jobs WHERE state IN (SELECT value FROM json_each(?))"
            " ORDER BY priority DESC, created, id",
            (states,),
        )
        return [(row[0], row[1]) for row in rows]

    async def due(self, now: datetime) -> list[Job]:
        return await self._select_jobs("state = 'waiting' AND until <= ? ORDER BY until", (time_to_text(now),))

    async def next_due(self) -> datetime | None:
        row = await self._first("SELECT min(until) FROM jobs WHERE state = 'waiting'")
        return time_from_text(row[0]) if row and row[0] else None

    async def save(self, job: Job, *, expect: State) -> None:
        def work(db: sqlite3.Connection) -> None:
            sets = ",".join(f"{name}=?" for name in _JOB)
            cursor = db.execute(
                f"UPDATE jobs SET {sets} WHERE id=? AND state=?",
                (*job_to_row(job), job.id, expect),
            )
            if cursor.rowcount != 1:
                raise Conflict(f"job {job.id} is no longer {expect}")
            if job.state is not expect:
                db.execute(
                    "INSERT INTO history VALUES (?,?,?,?)", (job.id, time_to_text(job.changed), job.state, job.reason)
                )

        await self._db.write(work)

    async def history(self, job_id: str) -> list[tuple[datetime, State, str | None]]:
        rows = await self._db.read("SELECT at, state, reason FROM history WHERE job = ? ORDER BY rowid", (job_id,))
        return [(time_from_text(row[0]), State(row[1]), row[2]) for row in rows]

    async def moves_by_day(self, since: datetime) -> dict[tuple[date, State], int]:
        rows = await self._db.read(
            "SELECT substr(at, 1, 10), state, count(DISTINCT job) FROM history WHERE at >= ? GROUP BY 1, 2",
            (day_of(since).isoformat(),),
        )
        return {(date.fromisoformat(row[0]), State(row[1])): row[2] for row in rows}

    async def counts(self, since: datetime | None = None) -> dict[tuple[str, State], int]:
        changed = "INDEXED BY jobs_changed WHERE changed >= ?"
        where, values = ("", ()) if since is None else (changed, (time_to_text(since),))
        rows = await self._db.read(
            f"SELECT pipeline, state, count(*) FROM jobs {where} GROUP BY state, pipeline", values
        )
        return {(row[0], State(row[1])): row[2] for row in rows}

    async def incomplete(self) -> dict[str, int]:
        return dict(
            await self._db.read(
                "SELECT pipeline, count(*) FROM jobs WHERE state = 'published' AND reason IS NOT NULL GROUP BY pipeline"
            )
        )

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        row = await self._first(
            "SELECT min(created) FROM jobs WHERE state IN (SELECT value FROM json_each(?))", (json.dumps(list(states)),)
        )
        return time_from_text(row[0]) if row and row[0] else None

    async def steps(self, job_id: str) -> list[StepRecord]:
        rows = await self._db.read(
            f"SELECT {','.join(step_columns())} FROM steps WHERE job = ? ORDER BY rowid", (job_id,)
        )
        return [step_from_row(row) for row in rows]

    async def record_step(self, record: StepRecord) -> None:
        values = step_to_row(record)

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO steps VALUES (?,?,?,?,?,?,?)", values)

        await self._db.write(work)

    async def publications(self, job_id: str) -> list[Publication]:
        rows = await self._db.read(
            f"SELECT {','.join(_PUBLICATION)} FROM publications WHERE job = ? ORDER BY rowid", (job_id,)
        )
        return [publication_from_row(row) for row in rows]

    async def save_publication(self, publication: Publication, *, expect: PublicationState | None) -> None:
        values = publication_to_row(publication)

        def work(db: sqlite3.Connection) -> None:
            if expect is None:
                names, marks = ",".join(_PUBLICATION), ",".join("?" * len(_PUBLICATION))
                cursor = db.execute(f"INSERT OR IGNORE INTO publications ({names}) VALUES ({marks})", values)
            else:
                sets = ",".join(f"{name}=?" for name in _PUBLICATION)
                cursor = db.execute(
                    f"UPDATE publications SET {sets} WHERE job=? AND name=? AND state=?",
                    (*values, publication.job, publication.name, expect),
                )
            if cursor.rowcount != 1:
                raise Conflict(f"publication {publication.name} of {publication.job} is no longer {expect}")

        await self._db.write(work)

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        rows = [(programme, talk.id, position, json.dumps(talk_to_json(talk))) for position, talk in enumerate(talks)]

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM talks WHERE programme = ?", (programme,))
            db.executemany("INSERT OR REPLACE INTO talks VALUES (?,?,?,?)", rows)
            db.execute("INSERT OR REPLACE INTO programmes VALUES (?,?,?)", (programme, time_to_text(read), len(rows)))

        await self._db.write(work)

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        row = await self._first("SELECT body FROM talks WHERE programme = ? AND id = ?", (programme, talk_id))
        return talk_from_json(json.loads(row[0])) if row else None

    async def talks(self, programme: str) -> list[Talk]:
        rows = await self._db.read("SELECT body FROM talks WHERE programme = ? ORDER BY position", (programme,))
        return [talk_from_json(json.loads(row[0])) for row in rows]

    async def programme(self, name: str) -> Programme | None:
        row = await self._first("SELECT name, read, talks FROM programmes WHERE name = ?", (name,))
        return Programme(row[0], time_from_text(row[1]), row[2]) if row else None

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO dead_letters VALUES (?,?,?,?)", (time_to_text(at), source, reason, body))

        await self._db.write(work)

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        rows = await self._db.read(
            "SELECT at, source, reason, body FROM dead_letters ORDER BY rowid DESC LIMIT ?", (limit,)
        )
        return [(time_from_text(row[0]), row[1], row[2], row[3]) for row in rows]

    async def get_flag(self, name: str) -> str | None:
        row = await self._first("SELECT value FROM flags WHERE name = ?", (name,))
        return row[0] if row else None

    async def set_flag(self, name: str, value: str | None) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM flags WHERE name = ?", (name,))
            if value is not None:
                db.execute("INSERT INTO flags VALUES (?,?)", (name, value))

        await self._db.write(work)

    async def recall(self, space: str) -> dict[str, str]:
        return dict(await self._db.read("SELECT name, value FROM memory WHERE space = ?", (space,)))

    async def remember(self, space: str, words: Mapping[str, str | None]) -> None:
        kept = [(space, name, value) for name, value in words.items() if value is not None]
        removed = [(space, name) for name, value in words.items() if value is None]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO memory VALUES (?,?,?)", kept)
            db.executemany("DELETE FROM memory WHERE space = ? AND name = ?", removed)

        await self._db.write(work)

    async def count(self, space: str, name: str, by: int) -> int:
        def work(db: sqlite3.Connection) -> int:
            db.execute(
                "INSERT INTO memory VALUES (?1,?2,?3)"
                " ON CONFLICT (space, name) DO UPDATE SET value = CAST(value AS INTEGER) + ?3",
                (space, name, by),
            )
            found = db.execute("SELECT value FROM memory WHERE space = ? AND name = ?", (space, name)).fetchone()
            return int(found[0])

        return await self._db.write(work)


def make(state: Path, _options: Settings, _accounts: Mapping[str, Any]) -> SqliteStore:
    """The store in this state directory."""
    return SqliteStore(state / _JOURNAL)


def _require_known(version: int, path: Path) -> None:
    """Raise Refused for the journal of a newer vidd."""
    if version > len(_versions()):
        raise Refused(
            f"The journal {path} was written by a newer vidd: install that version again.", code=FaultCode.BAD_SETTINGS
        )


async def check_here(_options: Settings, tools: Tools) -> None:
    """Read the version of the journal, where there is one. Refused where the daemon could not open it."""
    await asyncio.to_thread(_check_journal, tools.state / _JOURNAL)


def _check_journal(path: Path) -> None:
    if not path.exists():
        return
    try:
        # Immutable, so that reading leaves no files beside it, which would belong to the user who runs the check.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as journal:
            (version,) = journal.execute("PRAGMA user_version").fetchone()
            journal.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error as error:
        raise open_fault(error, path) from error
    _require_known(version, path)
