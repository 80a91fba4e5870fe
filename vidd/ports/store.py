"""The contracts of a store, which keeps all records, and of a queue of job ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from vidd.model.job import Entry, Job, State
from vidd.model.job_query import JobQuery
from vidd.model.media import StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Programme, Talk
from vidd.ports.tools import Memory


class Conflict(Exception):
    """A save found another state than it expected, because another writer was first."""


class Store(Memory, Protocol):
    """Keeps jobs, steps, publications, talks, and the memory of kinds. Every write is durable when its call returns.

    Any call may raise RetryLater, which uses up no attempt, if the store is away or its disk is full. A save that raised it
    may have been made all the same; the caller repeats the same save to find out.
    """

    @property
    def trouble(self) -> str | None:
        """Why the store did not answer the last calls, in a sentence; None if it did. Asks nobody."""

    async def open(self) -> None:
        """Create or migrate the tables.

        Raises Refused if a newer vidd made them, RetryLater if the store is away.
        """

    async def close(self) -> None:
        """Close connections and files."""

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        """Record jobs whose key is new; returns the recorded ones.

        An interrupted call may have recorded some. The source acknowledges none of them, so it hands all of them in again.
        """

    async def job(self, job_id: str) -> Job | None:
        """The job with this id, or the only job whose id ends with `job_id` (at least four characters); None without one."""

    async def job_of_key(self, key: str) -> Job | None:
        """The job that was admitted under this key."""

    async def jobs(
        self,
        *,
        states: Sequence[State] = (),
        pipeline: str | None = None,
        talk: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """The jobs that match, newest first, at most `limit`. Empty `states` mean all."""

    async def page(self, query: JobQuery, limit: int) -> list[Job]:
        """At most `limit` jobs that match, newest first; none if there is no job `query.after`."""

    async def entries(self, pipelines: Sequence[str]) -> list[Entry]:
        """Every job of these pipelines as a short entry, oldest first; for lists of all jobs."""

    async def unfinished(self) -> list[tuple[str, int]]:
        """(id, priority) of the jobs in `UNFINISHED` states, the highest priority first, then the oldest."""

    async def due(self, now: datetime) -> list[Job]:
        """The waiting jobs whose `until` is not after `now`."""

    async def next_due(self) -> datetime | None:
        """The earliest `until` of the waiting jobs; None without one."""

    async def save(self, job: Job, *, expect: State) -> None:
        """Replace a job and add to its history. Raises Conflict unless its stored state is still `expect`."""

    async def history(self, job_id: str) -> list[tuple[datetime, State, str | None]]:
        """(time, state, reason) of every move of a job, oldest first."""

    async def moves_by_day(self, since: datetime) -> dict[tuple[date, State], int]:
        """The number of jobs that came to a state, by (day in UTC, state), from the day of `since` on."""

    async def counts(self, since: datetime | None = None) -> dict[tuple[str, State], int]:
        """The number of jobs by (pipeline, state); with `since`, of those that changed then or later."""

    async def incomplete(self) -> dict[str, int]:
        """The number of published jobs with a notice or a change that failed, by pipeline."""

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        """When the oldest job in these states was created; None without one."""

    async def steps(self, job_id: str) -> list[StepRecord]:
        """The finished steps of a job, in the order they finished."""

    async def record_step(self, record: StepRecord) -> None:
        """Record a finished step; replaces the record of the same job and step."""

    async def publications(self, job_id: str) -> list[Publication]:
        """The publications of a job, in the order they were first saved."""

    async def save_publication(self, publication: Publication, *, expect: PublicationState | None) -> None:
        """Save a publication. Raises Conflict unless its stored state is `expect`; None means that it is new."""

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        """Replace the talks of a programme by those of a new reading at the time `read`."""

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        """The talk of a programme with this id; None without one."""

    async def talks(self, programme: str) -> list[Talk]:
        """All talks of a programme, in the order of the sheet."""

    async def programme(self, name: str) -> Programme | None:
        """The last reading of a programme; None if vidd never read it."""

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        """Keep a message that vidd could not understand, with the reason."""

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        """(at, source, reason, body), newest first."""

    async def get_flag(self, name: str) -> str | None:
        """The value of a flag, such as `paused`, which survives restarts; None if it is not set."""

    async def set_flag(self, name: str, value: str | None) -> None:
        """Set a flag; None removes it."""


class Queue(Protocol):
    """The ids of jobs that may run, highest priority first, then in the order of arrival, by which ids sort.

    The store has the jobs themselves.
    """

    def put(self, job_id: str, priority: int) -> None:
        """Add an id. An id that is already in the queue gets the new priority."""

    async def get(self) -> str:
        """Wait for an id, and remove the one with the highest priority."""

    def size(self) -> int:
        """The number of ids in the queue."""
