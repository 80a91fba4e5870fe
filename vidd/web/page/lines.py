"""A job as a line of the page: who speaks about what and where, how far it is, and what a person can do with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from vidd.display_text import size_in_words
from vidd.model.job import MEANING, MOVES, UNFINISHED, State
from vidd.model.talk import speakers_in_words
from vidd.web.page.filters import NEEDS_PERSON, QUEUED, RUNNING
from vidd.web.page.templating import seconds_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from vidd.model.event import Progressed
    from vidd.model.job import Job
    from vidd.model.talk import Talk

_PRIORITY = QUEUED | {State.WAITING, State.HELD}
_SHOWN_OF_ID = 6


@dataclass(frozen=True, slots=True)
class Part:
    """A running step or publication. `fraction` is 0 to 1 or None; `words` say percent, speed and the time left."""

    name: str
    fraction: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """A job as a line. `asks`: whether a person is needed. `actions`: what can be done, the likeliest first."""

    id: str
    title: str
    speakers: str
    stage: str
    talk: str | None
    pipeline: str
    name: str
    state: State
    meaning: str
    reason: str | None
    until: datetime | None
    changed: datetime
    priority: int
    asks: bool
    parts: Sequence[Part]
    link: str | None
    actions: Sequence[str]
    eta: datetime | None = None

    @property
    def short_id(self) -> str:
        """The end of the id, by which the command line knows the job, too."""
        return self.id[-_SHOWN_OF_ID:]

    @property
    def about(self) -> str:
        """Speakers and stage, or where there are none the file's name."""
        return " · ".join(part for part in (self.speakers, self.stage) if part) or (
            self.name if self.name != self.title else ""
        )


def line_of(
    job: Job,
    talk: Talk | None,
    progress: Iterable[Progressed] = (),
    link: str | None = None,
    eta: datetime | None = None,
) -> Line:
    """The line of a job; `talk` is its row of the programme, `eta` when it will be published."""
    return Line(
        id=job.id,
        title=(talk.title if talk else "") or job.name,
        speakers=speakers_in_words(talk),
        stage=talk.stage if talk else "",
        talk=job.talk,
        pipeline=job.pipeline,
        name=job.name,
        state=job.state,
        meaning=MEANING[job.state],
        reason=job.reason,
        until=job.until,
        changed=job.changed,
        priority=job.priority,
        asks=needs_person(job),
        parts=parts_of(progress) if job.state in RUNNING else (),
        link=link,
        actions=actions_of(job),
        eta=_next_minute(eta),
    )


def _next_minute(time: datetime | None) -> datetime | None:
    """A forecast is not good to the second, and changes with each."""
    return (time + timedelta(seconds=59)).replace(second=0, microsecond=0) if time else None


def needs_person(job: Job) -> bool:
    """Whether the job does not go on, or is not complete, without a person."""
    return job.state in NEEDS_PERSON or (job.state is State.PUBLISHED and job.reason is not None)


def parts_of(progress: Iterable[Progressed]) -> list[Part]:
    """The running parts of a job."""
    return [Part(part.part, part.fraction, _progress_in_words(part)) for part in progress]


def _progress_in_words(part: Progressed) -> str:
    words = [f"{int(part.fraction * 100)} %"] if part.fraction is not None else []
    if part.unit == "bytes":
        words += [] if part.fraction is not None else [size_in_words(int(part.done))]
        words += [f"{size_in_words(int(part.speed))}/s"] if part.speed else []
    else:
        words += [] if part.fraction is not None else [f"{part.done:g} {part.unit}"]
        words += [f"{part.speed:.1f}\N{MULTIPLICATION SIGN}"] if part.speed else []
    if part.total is not None and part.speed and part.total > part.done:
        words.append(f"{seconds_in_words((part.total - part.done) / part.speed)} left")
    return " · ".join(words)


def actions_of(job: Job) -> list[str]:
    """What a person can do with the job by its state, the likeliest first."""
    found: list[str] = []
    if job.state is State.HELD:
        found += ["approve", "reject"]
    if job.state is State.UNSURE:
        found.append("resolve")
    at_rest = job.state not in UNFINISHED and job.state is not State.HELD
    if at_rest and (job.state is not State.PUBLISHED or job.reason is not None):
        found.append("retry")
    if job.state is State.PUBLISHED:
        found += ["resend", "rework", "retract"]
    if job.state is State.REFUSED:
        found.append("rework")
    if job.state in _PRIORITY:
        found.append("priority")
    if State.CANCELLED in MOVES[job.state]:
        found.append("cancel")
    return found
