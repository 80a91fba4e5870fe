"""What the port needs from the daemon. The composition root sits at this control; the tests put somebody else there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
    """One supervised source; `last_event` is when it last saw something, `note` what a person may want to know all the same."""

    name: str
    kind: str
    up: bool
    restarts: int = 0
    last_event: datetime | None = None
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """The ffmpeg in use, and the names of what it lacks. `version` is None where it cannot be run."""

    version: str | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """How the daemon is. `reasons` are sentences, empty when `ok`; `disk_free` is bytes; `queue` waits, `running` runs."""

    ok: bool
    version: str
    since: datetime
    reasons: tuple[str, ...] = ()
    watchers: Mapping[str, Watcher] = field(default_factory=dict)
    queue: int = 0
    running: int = 0
    paused: bool = False
    disk_free: int = 0
    ffmpeg: Ffmpeg = Ffmpeg(None)


class CommandsApi(Protocol):
    """What a person may ask of a job, as `engine.commands` does it.

    Raises `IllegalMove` if the job's state does not lead there, `Conflict` if somebody else was first, `Refused` otherwise.
    """

    async def resolve(self, job: Job, *, published: str | None, name: str | None = None) -> Job:
        """Say of an unsure publication where it is to be seen, or with None that it did not arrive."""

    async def resend(self, job: Job, names: Sequence[str] = ()) -> Job:
        """Send notices that went out once more; without names, those that write to people."""

    async def retract(self, job: Job) -> Job:
        """Take back what is out."""

    async def cancel(self, job: Job) -> Job:
        """Stop a job."""

    async def approve(self, job: Job) -> Job:
        """Let a held job out."""

    async def reject(self, job: Job, reason: str) -> Job:
        """Stop a held job, and keep the reason."""


class ControlApi(Protocol):
    """The daemon as the port sees it.

    What acts on a job is given a whole id of a job that exists. It raises `IllegalMove` where the job's state does
    not lead there, `Conflict` where somebody else was first, and `Refused` with a sentence.
    """

    store: Store
    clock: Clock
    hub: Hub
    metrics: Metrics

    @property
    def commands(self) -> CommandsApi:
        """What needs nothing but the job."""

    async def health(self) -> Health:
        """How the daemon is, from memory: it is asked many times a second."""

    async def explain(self, job: Job) -> Explanation:
        """What a job waits for."""

    async def log(self, job_id: str, most: int) -> tuple[str, bool]:
        """The last so many bytes of what a job's programs said, and whether that is all; "" where none was run."""

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

        The same key is the same job, and Refused where it stands for another location or pipeline; None leaves
        the key to the daemon.
        """

    async def retry(self, job_id: str, *, fresh_settings: bool, replace: bool = False) -> Job:
        """Take a job up again, with the settings stored with it or with those of now.

        `replace`: where another job has brought the talk out, this one takes its place.
        """

    async def rework(
        self, job_id: str, *, step: str | None, changes: Mapping[str, Any], extra: Sequence[str], dry_run: bool
    ) -> tuple[Job, dict[str, Any] | None]:
        """Run a job again from a step, with changed options and added arguments, and have what is out follow.

        With `dry_run` nothing is done, and what would be is the second of the two.
        """

    async def undo(self, job_id: str, *, dry_run: bool) -> tuple[Job, dict[str, Any] | None]:
        """Bring back the results of before the last rework; `dry_run` as for a rework."""

    async def pause(self) -> None:
        """Start nothing new; what runs goes on."""

    async def resume(self) -> None:
        """The opposite of `pause`."""

    async def wake(self, source: str | None) -> None:
        """Ask a source, or all of them, to look now; Refused where there is none of that name."""

    async def audit(self, source: str | None, pipeline: str | None) -> Sequence[Audit]:
        """Hold what sources list against the jobs; Refused where there is no such source, or it cannot list."""

    def fronts(self) -> Sequence[SourceRoute]:
        """The routes that sources bring now."""

    def progress(self) -> Mapping[str, Sequence[Progressed]]:
        """How far what runs is, by job id."""


DESK: web.AppKey[ControlApi] = web.AppKey("control")
