"""A store in memory, for tests and trials: it is empty after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from vidd.model.day_totals import count_moves, day_of
from vidd.model.job import SHORTEST_END, UNFINISHED, Entry, Job, State
from vidd.model.job_query import JobQuery, Word, searched_text
from vidd.model.media import StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.model.rows import new_jobs
from vidd.model.talk import Programme, Talk
from vidd.ports import Conflict, ShortMemory
from vidd.settings.types import Options


class Settings(Options):
    """The settings of `[store] kind = "memory"`: none."""


class MemoryStore(ShortMemory):
    """`ports.Store` in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[str, Job] = {}
        self._keys: set[str] = set()
        self._history: dict[str, list[tuple[datetime, State, str | None]]] = {}
        self._steps: dict[str, dict[str, StepRecord]] = {}
        self._publications: dict[str, dict[str, Publication]] = {}
        self._talks: dict[str, dict[str, Talk]] = {}
        self._programmes: dict[str, Programme] = {}
        self._dead_letters: list[tuple[datetime, str, str, str]] = []
        self._flags: dict[str, str] = {}

    @property
    def trouble(self) -> str | None:
        return None

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        fresh = new_jobs(jobs, self._keys)
        for job in fresh:
            self._keys.add(job.key)
            self._jobs[job.id] = job
            self._history[job.id] = [(job.created, job.state, job.reason)]
        return fresh

    async def job(self, job_id: str) -> Job | None:
        if job_id in self._jobs:
            return self._jobs[job_id]
        if len(job_id) < SHORTEST_END:
            return None
        ending = [job for job in self._jobs.values() if job.id.endswith(job_id)]
        return ending[0] if len(ending) == 1 else None

    async def job_of_key(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.key == key), None)

    async def jobs(
        self,
        *,
        states: Sequence[State] = (),
        pipeline: str | None = None,
        talk: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        found = [
            job
            for job in self._jobs.values()
            if (not states or job.state in states) and pipeline in (None, job.pipeline) and talk in (None, job.talk)
        ]
        return sorted(found, key=_arrival, reverse=True)[:limit]

    async def page(self, query: JobQuery, limit: int) -> list[Job]:
        last = self._jobs.get(query.after) if query.after is not None else None
        if query.after is not None and last is None:
            return []
        found = [
            job
            for job in await self.jobs(states=query.states, pipeline=query.pipeline, talk=query.talk)
            if (last is None or _arrival(job) < _arrival(last))
            and (query.changed_since is None or job.changed >= query.changed_since)
            and not (query.incomplete and (job.state is not State.PUBLISHED or job.reason is None))
            and all(_matches(job, word) for word in query.words)
        ]
        return found[:limit]

    async def entries(self, pipelines: Sequence[str]) -> list[Entry]:
        found = [job for job in self._jobs.values() if job.pipeline in pipelines]
        return [job.entry for job in sorted(found, key=_arrival)]

    async def unfinished(self) -> list[tuple[str, int]]:
        found = [job for job in self._jobs.values() if job.state in UNFINISHED]
        return [(job.id, job.priority) for job in sorted(found, key=lambda job: (-job.priority, job.created, job.id))]

    async def due(self, now: datetime) -> list[Job]:
        return [job for job in self._waiting() if job.until and job.until <= now]

    async def next_due(self) -> datetime | None:
        return next((job.until for job in self._waiting()), None)

    def _waiting(self) -> list[Job]:
        waiting = [job for job in self._jobs.values() if job.state is State.WAITING and job.until]
        return sorted(waiting, key=lambda job: job.until or job.created)

    async def save(self, job: Job, *, expect: State) -> None:
        if job.id not in self._jobs or self._jobs[job.id].state is not expect:
            raise Conflict(f"job {job.id} is no longer {expect}")
        self._jobs[job.id] = job
        if job.state is not expect:
            self._history[job.id].append((job.changed, job.state, job.reason))

    async def history(self, job_id: str) -> list[tuple[datetime, State, str | None]]:
        return list(self._history.get(job_id, ()))

    async def moves_by_day(self, since: datetime) -> dict[tuple[date, State], int]:
        moves = [(job, at, state) for job, history in self._history.items() for at, state, _ in history]
        return {key: number for key, number in count_moves(moves).items() if key[0] >= day_of(since)}

    async def counts(self, since: datetime | None = None) -> dict[tuple[str, State], int]:
        changed = [job for job in self._jobs.values() if since is None or job.changed >= since]
        return dict(Counter((job.pipeline, job.state) for job in changed))

    async def incomplete(self) -> dict[str, int]:
        return dict(Counter(job.pipeline for job in self._jobs.values() if job.state is State.PUBLISHED and job.reason))

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        return min((job.created for job in self._jobs.values() if job.state in states), default=None)

    async def steps(self, job_id: str) -> list[StepRecord]:
        return list(self._steps.get(job_id, {}).values())

    async def record_step(self, record: StepRecord) -> None:
        steps = self._steps.setdefault(record.job, {})
        steps.pop(record.name, None)
        steps[record.name] = record

    async def publications(self, job_id: str) -> list[Publication]:
        return list(self._publications.get(job_id, {}).values())

    async def save_publication(self, publication: Publication, *, expect: PublicationState | None) -> None:
        known = self._publications.setdefault(publication.job, {})
        found = known[publication.name].state if publication.name in known else None
        if found is not expect:
            raise Conflict(f"publication {publication.name} of {publication.job} is no longer {expect}")
        known[publication.name] = publication

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        self._talks[programme] = {talk.id: talk for talk in talks}
        self._programmes[programme] = Programme(programme, read, len(talks))

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        return self._talks.get(programme, {}).get(talk_id)

    async def talks(self, programme: str) -> list[Talk]:
        return list(self._talks.get(programme, {}).values())

    async def programme(self, name: str) -> Programme | None:
        return self._programmes.get(name)

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        self._dead_letters.insert(0, (at, source, reason, body))

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        return self._dead_letters[:limit]

    async def get_flag(self, name: str) -> str | None:
        return self._flags.get(name)

    async def set_flag(self, name: str, value: str | None) -> None:
        self._flags.pop(name, None)
        if value is not None:
            self._flags[name] = value


def _arrival(job: Job) -> tuple[datetime, str]:
    return job.created, job.id


def _matches(job: Job, word: Word) -> bool:
    text = searched_text(job.name, job.id, job.talk)
    return (word.text is not None and word.text.casefold() in text) or (job.pipeline, job.talk) in word.talks


def make(_state: Path, _options: Settings, _accounts: Mapping[str, Any]) -> MemoryStore:
    """A new, empty store."""
    return MemoryStore()
