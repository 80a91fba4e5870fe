"""The promises between the engine and everything that touches the outside.

A kind is a module. A source module has `Options` and `watch(options, inlet)`; a step module has `Options`, `SLOT`
and `run(options, bench)`; a publisher module has `Options`, `SLOT`, `publish(options, parcel)` and
`reconcile(options, parcel)`, and where it mirrors states `follow(options, standings, tools)`. Any of them may
have `check(options, tools)`, which asks the other side and returns one sentence. `SLOT` is the name of a limit
("encodes", "uploads", "fetches", "mails") or None; the engine holds one of its places for as long as a call takes.
A step module with `OWN_PLACE = True` takes the place itself, with `bench.place()` around what crowds the machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vidd.errors import Refused
from vidd.model.event import Event
from vidd.model.job import Arrival, Job, State
from vidd.model.media import Artifact, Outcome, StepRecord
from vidd.model.publication import Publication, Receipt, Sending
from vidd.model.talk import Programme, Standing, Talk

A = TypeVar("A")


class Conflict(Exception):
    """A save found another state than it expected; somebody else was first."""


class Clock(Protocol):
    """The time, so that tests can hold it."""

    def now(self) -> datetime:
        """The time now, with its zone (UTC)."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class Store(Protocol):
    """The truth: jobs, steps, publications, talks. Every call is durable when it returns."""

    async def open(self) -> None:
        """Make or migrate the tables; Refused where they are newer than this program."""

    async def close(self) -> None:
        """Give everything back."""

    async def admit(self, jobs: Sequence[Job]) -> list[Job]:
        """Record new jobs in one transaction. A job whose key is known is left out of the answer."""

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

    async def oldest(self, states: Sequence[State]) -> datetime | None:
        """When the oldest job in these states arrived."""

    async def steps(self, job_id: str) -> list[StepRecord]:
        """The finished steps of a job, in the order they finished."""

    async def record_step(self, record: StepRecord) -> None:
        """Record a finished step; the same name again replaces it."""

    async def publications(self, job_id: str) -> list[Publication]:
        """The publications of a job, in the order they were first saved."""

    async def save_publication(self, publication: Publication, *, expect: Sending | None) -> None:
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
        """Add an id; one that already waits here is not added again."""

    async def get(self) -> str:
        """Wait for the most urgent id."""

    def size(self) -> int:
        """How many wait."""


class Observer(Protocol):
    """Somebody who watches. `note` must be quick and must not raise."""

    def note(self, event: Event) -> None:
        """Something happened."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """How ffmpeg is run. `stall` is seconds without progress, `memory` bytes of address space (None: no limit)."""

    path: Path
    nice: int = 10
    threads: int = 0
    stall: float = 120.0
    memory: int | None = None
    disk_reserve: int = 0


@dataclass(frozen=True)
class Tools:
    """What every kind may use. Relative paths in options are taken from `state`."""

    state: Path
    encoder: Encoder
    clock: Clock
    accounts: Mapping[str, Any] = field(default_factory=dict)
    observe: Callable[[Event], None] = lambda _event: None

    def account(self, name: str, model: type[A]) -> A:
        """A named account; Refused where there is none of that name or it is of another kind."""
        account = self.accounts.get(name)
        if account is None:
            raise Refused(f"There is no account {name!r}: add [accounts.{name}] to the settings.")
        if not isinstance(account, model):
            raise Refused(f"The account {name!r} is not of the kind this needs: correct [accounts.{name}] kind.")
        return account

    def path(self, path: str | Path) -> Path:
        """A path of the settings, taken from the state directory where it is relative."""
        return self.state / path


class Inlet(Protocol):
    """Where a source hands in what it saw."""

    name: str
    tools: Tools
    pipeline: str | None

    async def admit(self, arrivals: Sequence[Arrival]) -> int:
        """Record arrivals; returns, once they are durable, how many were new."""

    async def dead_letter(self, body: str, reason: str) -> None:
        """Put aside what could not be understood."""

    async def put_talks(self, talks: Sequence[Talk]) -> None:
        """Hand in one whole reading of the programme."""

    def up(self) -> None:
        """The watcher's connection stands."""

    def down(self, reason: str) -> None:
        """The watcher goes on, but what it watches cannot be reached."""

    def caught_up(self) -> None:
        """A whole look found nothing that has not been handed in."""

    async def pause(self, seconds: float) -> None:
        """Return after so many seconds, or at once when somebody asks this source to look now."""


@dataclass(frozen=True)
class Bench:
    """A job on the workbench: what a step is given. `artifacts` are by role, in the order they were made.

    `place()` is held around what crowds the machine; for a step without `OWN_PLACE` it is held already.
    """

    job: Job
    directory: Path
    tools: Tools
    talk: Talk | None
    artifacts: Mapping[str, Artifact]
    facts: Mapping[str, Any]
    progress: Callable[[float, float | None, str, float | None], None]
    place: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    def file(self, role: str) -> Path:
        """The path of an artifact; Refused where no step before made it."""
        if role not in self.artifacts:
            made = ", ".join(self.artifacts) or "nothing"
            raise Refused(f"This step works on {role!r}, but the steps before it made {made}: correct the pipeline.")
        return self.directory / self.artifacts[role].path


@dataclass(frozen=True)
class Parcel:
    """What a publisher is given. `facts` are the steps'; `receipts` are those of the publishers before a notice.

    `checkpoint(token)` saves what a resume needs before the bytes it speaks of go out; `sent(token)` says that
    everything went out and only the answer is outstanding.
    """

    job: Job
    directory: Path
    tools: Tools
    talk: Talk | None
    artifacts: Mapping[str, Artifact]
    facts: Mapping[str, Any]
    publication: Publication
    receipts: Mapping[str, Receipt]
    progress: Callable[[float, float | None, str, float | None], None]
    checkpoint: Callable[[Mapping[str, Any]], Awaitable[None]]
    sent: Callable[[Mapping[str, Any]], Awaitable[None]]

    def chosen(self, roles: Sequence[str]) -> list[Artifact]:
        """The artifacts of these roles; with none named, all that steps made, or else the source."""
        if roles:
            missing = [role for role in roles if role not in self.artifacts]
            if missing:
                raise Refused(f"There is no {missing[0]!r} to publish: the steps made {', '.join(self.artifacts)}.")
            return [self.artifacts[role] for role in roles]
        made = [one for role, one in self.artifacts.items() if role != "source"]
        return made or list(self.artifacts.values())

    @property
    def link(self) -> str | None:
        """Where the published thing can be seen: the first receipt's address."""
        return next((one.url for one in self.receipts.values() if one.url), None)


RunStep = Callable[[Bench], Awaitable[Outcome]]
Publish = Callable[[Parcel], Awaitable[Receipt]]
Reconcile = Callable[[Parcel], Awaitable[Receipt | None]]
Follow = Callable[[Sequence[Standing], Tools], Awaitable[None]]
Watch = Callable[[Inlet], Awaitable[None]]


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan; `fingerprint` stands for its options."""

    name: str
    kind: str
    slot: str | None
    fingerprint: str
    run: RunStep
    own_place: bool = False


@dataclass(frozen=True)
class PlannedPublisher:
    """A publisher or notice of a plan. `reconcile` returns the receipt, None for provably absent, or raises.

    `follow`, where a notice has it, mirrors how talks stand while their jobs are under way.
    """

    name: str
    kind: str
    slot: str | None
    required: bool
    publish: Publish
    reconcile: Reconcile
    follow: Follow | None = None


@dataclass(frozen=True)
class Plan:
    """A pipeline, resolved from the settings stored with a job."""

    programme: str | None
    steps: Sequence[PlannedStep]
    publishers: Sequence[PlannedPublisher]
    notices: Sequence[PlannedPublisher]
    review: bool = False


Resolve = Callable[[Mapping[str, Any]], Plan]
