"""Says how far a video is: the original service's status sentences, percent, and how long it will take.

The store has the truth: the job's state, and the records of its finished steps. What runs at the moment reports its
progress by events, which are kept for open jobs only; after a restart they come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vidd.model.event import JobMoved, Progressed, StepEnded
from vidd.model.job import ENDED, FAILURE, Job, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.model.event import Event
    from vidd.model.media import StepRecord
    from vidd.ports import Clock

QUEUED = "In queue"
_IMAGES = "Generating images from {user}'s tweets"
_VIDEO = "Creating video from tweets"
FINISHED = "Video finished!"
FAILED = "The video could not be made."
REMOVED = "The video was taken down."
_INSIDE = "Something is wrong at this service: those who run it see what."
_HELD = "Those who run this service look at it first."
_WEIGHTS = {"posts": 15, "cards": 25, "slideshow": 40, "transcode": 40}
_USUAL_WEIGHT = 5
_WHOLE = (0.0, 1.0)
_PHASES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("posts", "posts"): (0.0, 0.3),
    ("posts", "pictures"): (0.3, 1.0),
    ("slideshow", "pictures"): (0.0, 0.1),
    ("slideshow", "s"): (0.1, 1.0),
}
"""By the kind of a step and the unit of its progress, from where to where of the step that progress goes."""
_POSTS = "posts"
_OF_IMAGES = frozenset({_POSTS, "cards"})
_CLOSED = ENDED | {State.PUBLISHED}
_NEWS = 0.3
"""How much the newest job counts in the usual time of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a video is. `percent` is 0 to 100.

    eta_s: seconds until it is finished; None where nobody knows. detail: a sentence about what it waits for, until `until`.
    error: why there will be no video.
    """

    status: str
    finished: bool
    percent: int
    eta_s: int | None = None
    error: str | None = None
    detail: str | None = None
    until: datetime | None = None

    def to_json(self, video: str) -> dict[str, Any]:
        """The answer of /progress."""
        return {
            "video_id": video, "status": self.status, "finished": self.finished, "percent": self.percent,
            "eta_s": self.eta_s, "error": self.error, "detail": self.detail,
            "until": self.until.isoformat(timespec="seconds") if self.until else None,
        }  # fmt: skip


@dataclass(slots=True)
class _Part:
    """What a running part reported in a unit: when first, how far it was then, and how far it is now (0 to 1)."""

    unit: str
    since: datetime
    first: float
    fraction: float

    def remaining(self, now: datetime) -> float | None:
        """Seconds until it is done at its speed so far; None while that is not known."""
        done, elapsed = self.fraction - self.first, (now - self.since).total_seconds()
        return elapsed * (1 - self.fraction) / done if done > 0 and elapsed > 0 else None


@dataclass(slots=True)
class _OpenJob:
    posts: int
    parts: dict[str, _Part] = field(default_factory=dict)


class OpenVideos:
    """The jobs of a source that are under way, and how long their steps usually take, from the events of the daemon."""

    def __init__(self) -> None:
        self._jobs: dict[str, _OpenJob] = {}
        self._usual: dict[str, float] = {}
        self._closed: set[str] | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._jobs)

    def begin_reading(self) -> None:
        """Note which jobs end from now on, while the open ones are read from the store."""
        self._closed = set()

    def read(self, jobs: Sequence[Job]) -> None:
        """Take over the open jobs that were read."""
        closed = self._closed or set()
        self._jobs = {job.id: self._jobs.get(job.id) or _open(job) for job in jobs if job.id not in closed}
        self._closed = None

    def note(self, event: Event, source: str, clock: Clock) -> None:
        """Note an event of the daemon."""
        match event:
            case JobMoved() if event.job.source == source:
                self._note_move(event.job)
            case Progressed() if event.job in self._jobs and event.fraction is not None:
                parts = self._jobs[event.job].parts
                part = parts.get(event.part)
                if part is None or part.unit != event.unit or event.fraction < part.fraction:
                    # Its first report, or it began again.
                    part = parts[event.part] = _Part(event.unit, clock.now(), event.fraction, event.fraction)
                part.fraction = event.fraction
            case StepEnded() if event.job in self._jobs:
                self._jobs[event.job].parts.pop(event.step, None)
                if event.fate == "done":
                    each = event.seconds / self._jobs[event.job].posts
                    self._usual[event.kind] = (1 - _NEWS) * self._usual.get(event.kind, each) + _NEWS * each
            case _:
                pass

    def _note_move(self, job: Job) -> None:
        if job.state in _CLOSED:
            self._jobs.pop(job.id, None)
            if self._closed is not None:
                self._closed.add(job.id)
        elif job.id not in self._jobs:
            self._jobs[job.id] = _open(job)

    def progress(self, job: Job, records: Sequence[StepRecord], now: datetime) -> Progress:
        """How far the video of a job is, by the records of its finished steps."""
        done = {record.name for record in records}
        steps = [Step(row["name"], row["kind"]) for row in job.settings.get("steps", ())]
        left = (
            []
            if job.state in {State.PUBLISHED, State.PUBLISHING}
            else [step for step in steps if step.name not in done]
        )
        if job.state is State.PUBLISHED:
            return Progress(status=FINISHED, finished=True, percent=100, eta_s=0)
        percent = self._percent(job.id, steps, left)
        if job.state is State.CANCELLED and not left:
            return Progress(
                status=REMOVED, finished=True, percent=100, error="Those who run this service took it down."
            )
        if job.state in ENDED:
            sentence = _public_reason(job, left) or "A person stopped it."
            return Progress(status=FAILED, finished=True, percent=percent, error=sentence)
        waits = job.state in {State.WAITING, State.HELD}
        return Progress(
            status=_status(job, steps, left),
            finished=False,
            percent=percent,
            eta_s=self._eta(job, left, now),
            detail=_public_reason(job, left) if waits else None,
            until=job.until if waits else None,
        )

    def _percent(self, job: str, steps: Sequence[Step], left: Sequence[Step]) -> int:
        whole = sum(step.weight for step in steps) + _USUAL_WEIGHT
        missing: float = sum(step.weight for step in left) + _USUAL_WEIGHT
        if left:
            missing -= left[0].weight * self._fraction(job, left[0])
        return int(100 * (1 - missing / whole))

    def _fraction(self, job: str, step: Step) -> float:
        part = self._part(job, step.name)
        if part is None:
            return 0.0
        begin, end = _PHASES.get((step.kind, part.unit), _WHOLE)
        return begin + (end - begin) * part.fraction

    def _part(self, job: str, step: str) -> _Part | None:
        return self._jobs[job].parts.get(step) if job in self._jobs else None

    def _eta(self, job: Job, left: Sequence[Step], now: datetime) -> int | None:
        """Seconds until it is finished: of the running step by its speed, of the others by what they usually take.

        None while it waits for room or for a person, where a step has not been seen yet, and while it is checked and put
        in its place.
        """
        if job.state not in {State.WORKING, State.WAITING} or not left:
            return None
        seconds = max(0.0, (job.until - now).total_seconds()) if job.until else 0.0
        posts = self._jobs[job.id].posts if job.id in self._jobs else 1
        for step in left:
            part = self._part(job.id, step.name)
            usual = self._usual.get(step.kind)
            is_last = part is not None and _PHASES.get((step.kind, part.unit), _WHOLE)[1] == 1
            remaining = part.remaining(now) if part and is_last else None
            if remaining is None:
                remaining = None if usual is None else usual * posts
            if remaining is None:
                return None
            seconds += remaining
        return round(seconds)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a pipeline."""

    name: str
    kind: str

    @property
    def weight(self) -> int:
        """Its share of the work, among those of the other steps."""
        return _WEIGHTS.get(self.kind, _USUAL_WEIGHT)


def _open(job: Job) -> _OpenJob:
    count = job.facts.get("count")
    return _OpenJob(count if isinstance(count, int) and count > 0 else 1)


def _public_reason(job: Job, left: Sequence[Step]) -> str | None:
    """Why a job waits or ended. Anybody reads it: once the posts are there, the job's own sentence tells of this host."""
    if job.state is State.HELD:
        return _HELD
    is_known = job.state is State.CANCELLED or any(step.kind == _POSTS for step in left)
    return job.reason if is_known or not job.reason else _INSIDE


def _status(job: Job, steps: Sequence[Step], left: Sequence[Step]) -> str:
    """The original service's sentence."""
    begun = len(left) < len(steps)
    if not begun and job.state is not State.WORKING and "step" not in job.facts.get(FAILURE, {}):
        return QUEUED
    if left and left[0].kind in _OF_IMAGES:
        return _IMAGES.format(user=job.facts.get("user", ""))
    return _VIDEO
