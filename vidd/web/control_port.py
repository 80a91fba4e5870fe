"""ControlApi: what the port needs from the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from vidd.model.event import Progressed
from vidd.model.job import Job
from vidd.ports import Clock, SourceRoute, Store

if TYPE_CHECKING:
    from vidd.model.audit import Audit
    from vidd.web.event_hub import Hub
    from vidd.web.explain import Explanation
    from vidd.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Watcher:
    """A supervised source. `last_event`: when it last saw something. `note`: what a person may want to know though it is up."""

    name: str
    kind: str
    up: bool
    restarts: int = 0
    last_event: datetime | None = None
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """The ffmpeg in use, and what it lacks. `version` is None if it cannot be run."""

    version: str | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of one of `[limits]`: how many there are, how many are taken, and how many jobs wait for one."""

    size: int
    used: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """The daemon's health.

    reasons: sentences, empty when `ok`.
    queue, running: numbers of jobs.
    disk_free, disk_reserve: bytes; below the reserve no job starts that needs room.
    queue_eta: when all jobs under way will be published, if that is known.
    """

    ok: bool
    version: str
    since: datetime
    reasons: tuple[str, ...] = ()
    watchers: Mapping[str, Watcher] = field(default_factory=dict)
    queue: int = 0
    running: int = 0
    queue_eta: datetime | None = None
    paused: bool = False
    disk_free: int = 0
    disk_reserve: int = 0
    slots: Mapping[str, Slots] = field(default_factory=dict)
    ffmpeg: Ffmpeg = Ffmpeg(None)


class CommandsApi(Protocol):
    """What a person may do with a job; `vidd.engine.commands` implements it.

    Raises `IllegalMove` if the job's state does not allow it, `Conflict` if somebody else was first, `Refused` otherwise.
    """

    async def resolve(self, job: Job, *, published: str | None, name: str | None = None) -> Job:
        """Record where an unsure publication is, or with None that it did not arrive."""

    async def resend(self, job: Job, names: Sequence[str] = ()) -> Job:
        """Send notices that went out once more; without names, the mails."""

    async def retract(self, job: Job) -> Job:
        """Take back what a job published."""

    async def cancel(self, job: Job) -> Job:
        """Stop a job."""

    async def approve(self, job: Job) -> Job:
        """Let a held job go out."""

    async def reject(self, job: Job, reason: str) -> Job:
        """Stop a held job, and keep the reason."""

    async def prioritize(self, job: Job, priority: int) -> Job:
        """Give a job that has not started, or that waits, another priority."""


class ControlApi(Protocol):
    """The daemon as the port sees it.

    Methods that act on a job get the complete id of a job that exists. They raise `IllegalMove` if the job's state does
    not allow it, `Conflict` if somebody else was first, and `Refused` with a sentence.
    """

    store: Store
    clock: Clock
    hub: Hub
    metrics: Metrics

    @property
    def commands(self) -> CommandsApi:
        """The commands that need nothing but the job."""

    async def health(self) -> Health:
        """The daemon's health, from memory: it is asked for many times a second."""

    async def explain(self, job: Job) -> Explanation:
        """What a job waits for."""

    def eta(self, job_id: str) -> datetime | None:
        """When a job under way will be published; None if that is not known. From memory."""

    async def file(self, job: Job, path: str) -> Path | None:
        """A file of the job below its directory, or among its kept results; None once it is gone."""

    async def still(self, job: Job, path: str, seconds: float) -> Path | None:
        """A JPEG of the frame at this time of such a file; None where there is none."""

    async def log(self, job_id: str, most: int) -> tuple[str, bool]:
        """The last `most` bytes of the output of a job's programs, and whether that is all of it."""

    async def submit(
        self,
        *,
        location: str,
        name: str | None,
        pipeline: str | None,
        facts: Mapping[str, Any],
        priority: int,
        key: str | None,
    ) -> tuple[Job, bool]:
        """The job of this arrival, and whether it is new.

        The same key is the same job, unless talk or times are other ones; a refused job is replaced by one that was
        submitted in another way. Raises Refused if the key belongs to another location or pipeline. None leaves the key
        to the daemon.
        """

    async def retry(self, job_id: str, *, fresh_settings: bool, replace: bool = False) -> Job:
        """Retry a job, with the settings stored with it or with the present ones.

        `replace`: where another job has published the talk, this one replaces its publications.
        """

    async def rework(
        self, job_id: str, *, step: str | None, changes: Mapping[str, Any], extra: Sequence[str], dry_run: bool
    ) -> tuple[Job, dict[str, Any] | None]:
        """Run a job again from a step, with changed options and more arguments, and update what is published.

        With `dry_run` nothing changes, and the second value is the outlook.
        """

    async def undo(self, job_id: str, *, dry_run: bool) -> tuple[Job, dict[str, Any] | None]:
        """Bring back the results from before the last rework; `dry_run` as for a rework."""

    async def pause(self) -> None:
        """Start nothing new; what runs goes on."""

    async def resume(self) -> None:
        """Start jobs again."""

    async def wake(self, source: str | None) -> None:
        """Let a source, or all of them, look now. Refused if there is no such source."""

    async def audit(self, source: str | None, pipeline: str | None) -> Sequence[Audit]:
        """Compare what sources list with the jobs. Refused if there is no such source, or it cannot list."""

    def source_routes(self) -> Sequence[SourceRoute]:
        """The routes that sources bring at present."""

    def programmes(self) -> Mapping[str, str]:
        """The name of the programme of every pipeline that has one."""

    def progress(self) -> Mapping[str, Sequence[Progressed]]:
        """The progress of what runs, by job id."""


CONTROL: web.AppKey[ControlApi] = web.AppKey("control")
