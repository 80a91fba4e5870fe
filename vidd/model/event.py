"""The events of a daemon, for metrics, the page and `vidd follow`. The store has the truth; an event only announces it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vidd.errors import Fault, FaultCode, OutcomeUnknown, RetryLater

if TYPE_CHECKING:
    from vidd.model.job import Job, State
    from vidd.model.publication import Publication


class Fate(StrEnum):
    """What vidd does after a fault."""

    AGAIN = "again"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def fate_of(fault: Fault) -> Fate:
    """The fate of a fault, by its class."""
    if isinstance(fault, RetryLater):
        return Fate.AGAIN
    return Fate.UNKNOWN if isinstance(fault, OutcomeUnknown) else Fate.REFUSED


@dataclass(frozen=True, slots=True)
class JobMoved:
    """A job's state was saved; `before` is None for a new job."""

    job: Job
    before: State | None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began to run."""

    job: str
    pipeline: str
    step: str
    kind: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step ended; `fate` is done, again, refused, unknown, cancelled or defect."""

    job: str
    pipeline: str
    step: str
    kind: str
    seconds: float
    fate: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The progress of a step or a publication, named `part`. `done` and `total` are in `unit` (seconds of media, or bytes)."""

    job: str
    part: str
    done: float
    total: float | None
    unit: str
    speed: float | None = None

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class PublicationMoved:
    """A publication's state was saved."""

    publication: Publication
    pipeline: str


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """`size` more bytes went out (`upload`) or came in (`download`) for a publisher or step of this kind."""

    kind: str
    way: str
    size: int


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt failed and another one is planned."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class FaultRaised:
    """A step, a publisher or notice, a watcher, or a job as a whole failed. `part` is its name; for a job `job`."""

    part: str
    fate: Fate
    code: FaultCode


@dataclass(frozen=True, slots=True)
class EncodeEnded:
    """An ffmpeg run ended: seconds of media made per second, its processor seconds, and the seconds that it took."""

    kind: str
    speed: float
    cpu_seconds: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EncodeCount:
    """How many ffmpeg processes run now."""

    running: int


@dataclass(frozen=True, slots=True)
class WatcherMoved:
    """A watcher came up, went down (`reason` says why), or saw something. `last_event` is in seconds since 1970."""

    name: str
    kind: str
    up: bool
    restarts: int
    reason: str | None = None
    last_event: float | None = None


Event = (
    JobMoved
    | StepStarted
    | StepEnded
    | Progressed
    | PublicationMoved
    | BytesMoved
    | Retried
    | FaultRaised
    | EncodeEnded
    | EncodeCount
    | WatcherMoved
)
