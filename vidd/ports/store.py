"""The promise of everything that keeps the truth, and of the queue of ids beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from vidd.model.job import Entry, Job, State
from vidd.model.media import StepRecord
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Programme, Talk
from vidd.ports.tools import Memory


class Conflict(Exception):
    """A save found another state than it expected; somebody else was first."""


class Store(Memory, Protocol):
    """The truth: jobs, steps, publications, talks, and what kinds remember. Every call is durable when it returns.

    Any call may say RetryLater, which counts as nobody's failure: the store is away, or its disk is full. A save that said
    so may have been made or not: the very same save again finds out.
    """

    @property
    def trouble(self) -> str | None:
        """Why it could not be asked lately, in a sentence; None while it can be. From memory."""

    async def open(self) -> None:
        """Make or migrate the tables; Refused where they are newer than this program, RetryLater where it is away."""

    async def close(self) -> None:
        """Give everything back."""

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        """Record new jobs. A job whose key is known is left out of the answer.

        Cut in the middle, some may have been recorded: nobody was told of any, so all are handed in again.
        """

    async def job(self, job_id: str) -> Job | None:
        """One job by its id, or by an end of it (four characters or more) that only one job has."""

    async def job_of_key(self, key: str) -> Job | None:
        """The job that was admitted under a key."""

    async def jobs(
        self,
        *,
        states: Sequence[State] = (),
        pipeline: str | None = None,
        talk: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs, newest first."""

    async def entries(self, pipelines: Sequence[str]) -> list[Entry]:
        """Every job of these pipelines in a line, oldest first: few bytes each, for who looks at all of them."""

    async def unfinished(self) -> list[tuple[str, int]]:
        """(id, priority) of what a starting daemon takes up, most urgent and then oldest first."""

    async def due(self, now: datetime) -> list[Job]:
        """Waiting jobs whose time has come."""

    async def next_due(self) -> datetime | None:
        """When the next waiting job's time comes."""

    async def save(self, job: Job, *, expect: State) -> None:
        """Replace a job and write a line of its history; Conflict unless its state is still `expect`."""

    async def history(self, job_id: str) -> list[tuple[datetime, State, str | None]]:
        """The states a job went through, oldest first, with their sentences."""

    async def counts(self) -> dict[tuple[str, State], int]:
        """How many jobs there are, by pipeline and state."""

    async def incomplete(self) -> dict[str, int]:
        """How many published jobs have a notice or a change that did not go out, by pipeline."""

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        """When the oldest job in these states arrived."""

    async def steps(self, job_id: str) -> list[StepRecord]:
        """The finished steps of a job, in the order they finished."""

    async def record_step(self, record: StepRecord) -> None:
        """Record a finished step; the same name again replaces it."""

    async def publications(self, job_id: str) -> list[Publication]:
        """The publications of a job, in the order they were first saved."""

    async def save_publication(self, publication: Publication, *, expect: PublicationState | None) -> None:
        """Save one; `expect` None means that it is new. Conflict where the state is another."""

    async def put_talks(self, programme: str, talks: Sequence[Talk], read: datetime) -> None:
        """Replace what is known of a programme by this reading of it."""

    async def talk(self, programme: str, talk_id: str) -> Talk | None:
        """One talk of a programme."""

    async def talks(self, programme: str) -> list[Talk]:
        """All talks of a programme, in the order of the sheet."""

    async def programme(self, name: str) -> Programme | None:
        """When a programme was last read; None if never."""

    async def put_dead_letter(self, source: str, body: str, reason: str, at: datetime) -> None:
        """Keep what could not be understood, with the reason."""

    async def dead_letters(self, limit: int = 100) -> list[tuple[datetime, str, str, str]]:
        """(at, source, reason, body), newest first."""

    async def get_flag(self, name: str) -> str | None:
        """A word kept across restarts, such as `paused`."""

    async def set_flag(self, name: str, value: str | None) -> None:
        """Keep, or with None forget, a word."""


class Queue(Protocol):
    """The ids of jobs that may run, most urgent first. The store carries the truth."""

    def put(self, job_id: str, priority: int) -> None:
        """Add an id; one that already waits here changes its priority."""

    async def get(self) -> str:
        """Wait for the most urgent id."""

    def size(self) -> int:
        """How many wait."""
