"""What a job's page draws over time: its steps while it ran, and what the check found in a file. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vidd.model.check_policy import av_offset, duration_in_words, time_in_words
from vidd.model.publication import PUBLICATION_MEANING, PublicationState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vidd.model.event import Progressed
    from vidd.model.job import Job
    from vidd.model.media import Artifact, StepRecord
    from vidd.model.publication import Publication

WIDTH = 1000
"""Units of a drawing's width."""
_NARROWEST = 4.0
_TICKS = 4
_MOST_MARKS = 400


@dataclass(frozen=True, slots=True)
class Row:
    """A step, publisher or notice. `x` and `width` are where its bar is on an axis of `WIDTH`."""

    name: str
    kind: str
    standing: str
    words: str
    began: datetime | None = None
    seconds: float | None = None
    attempts: int = 0
    x: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a time of a file. `kind` is its colour, `words` its sentence."""

    kind: str
    x: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis of a file."""

    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]


def rows_of(
    job: Job,
    steps: Sequence[StepRecord],
    publications: Sequence[Publication],
    progress: Iterable[Progressed],
) -> list[Row]:
    """The steps in their order, then publishers and notices, with those that are still to come."""
    rows = [*_step_rows(job, steps, {part.part for part in progress}), *_publication_rows(job, publications)]
    times = [(row.began, row.began + timedelta(seconds=row.seconds or 0.0)) for row in rows if row.began is not None]
    if not times:
        return rows
    first = min(began for began, _ in times)
    span = max((max(ended for _, ended in times) - first).total_seconds(), 0.001)
    return [_with_bar(row, first, span) for row in rows]


def _with_bar(row: Row, first: datetime, span: float) -> Row:
    if row.began is None:
        return row
    x = WIDTH * (row.began - first).total_seconds() / span
    width = max(_NARROWEST, WIDTH * (row.seconds or 0.0) / span)
    x = min(x, WIDTH - width) if width < WIDTH else 0.0
    return Row(
        row.name, row.kind, row.standing, row.words, row.began, row.seconds, row.attempts, round(x, 1), round(width, 1)
    )


def _step_rows(job: Job, steps: Sequence[StepRecord], running: set[str]) -> Iterator[Row]:
    done = {step.name: step for step in steps}
    planned = {row["name"]: row.get("kind", "") for row in job.settings.get("steps", ())}
    for name, kind in {**{step.name: step.kind for step in steps}, **planned}.items():
        step = done.get(name)
        if name in running:
            yield Row(name, kind, "running", "runs now")
        elif step is None:
            yield Row(name, kind, "to-come", "still to come")
        else:
            began = step.ended - timedelta(seconds=step.seconds) if step.ended else None
            yield Row(name, step.kind, "done", "done", began, step.seconds)


def _publication_rows(job: Job, publications: Sequence[Publication]) -> Iterator[Row]:
    known = {publication.name: publication for publication in publications}
    planned = {
        row["name"]: row.get("kind", "") for part in ("publish", "notify") for row in job.settings.get(part, ())
        if part == "publish" or row.get("options", {}).get("on") != "failed"
    }  # fmt: skip
    for name, kind in {**planned, **{name: publication.kind for name, publication in known.items()}}.items():
        publication = known.get(name)
        if publication is None:
            yield Row(name, kind, "to-come", "still to come")
            continue
        words = publication.reason or PUBLICATION_MEANING[publication.state]
        began, seconds = publication.tried, None
        if began is not None and publication.state is PublicationState.DONE:
            seconds = max(0.0, (publication.changed - began).total_seconds())
        yield Row(name, publication.kind, publication.state.value, words, began, seconds, publication.attempt)


def marks_of(artifact: Artifact, record: Mapping[str, Any]) -> Axis | None:
    """What the check found, where it is in the file; None for a file without a duration."""
    duration = float(record.get("duration") or (artifact.media.duration if artifact.media else 0.0))
    if duration <= 0:
        return None
    marks = [_mark(*found, duration) for found in _found(record)]
    ticks = [(WIDTH * tick / _TICKS, time_in_words(duration * tick / _TICKS)) for tick in range(_TICKS + 1)]
    return Axis(marks[:_MOST_MARKS], ticks)


def _mark(kind: str, first: float, last: float, words: str, duration: float) -> Mark:
    x = min(max(0.0, WIDTH * first / duration), WIDTH - _NARROWEST)
    width = min(max(_NARROWEST, WIDTH * (last - first) / duration), WIDTH - x)
    return Mark(kind, round(x, 1), round(width, 1), words)


def _found(record: Mapping[str, Any]) -> Iterator[tuple[str, float, float, str]]:
    silent = record.get("silent") or ()
    for kind, spans, words in (
        ("black", record.get("black") or (), "black"),
        ("frozen", record.get("frozen") or (), "stands still"),
        ("silent", silent[0] if silent else (), "nothing is heard"),
    ):
        for first, last in (span for span in spans if len(span) == 2):
            yield (
                kind,
                first,
                last,
                f"{words} from {time_in_words(first)} to {time_in_words(last)} ({duration_in_words(last - first)})",
            )
    for point in record.get("offset") or ():
        apart = av_offset(point)
        if apart is not None:
            yield (
                "offset",
                point["at"],
                point["at"],
                f"at {time_in_words(point['at'])} audio and video are {1000 * apart:.0f} ms apart",
            )
    for join in record.get("joins") or ():
        at = join.get("at")
        if isinstance(at, int | float):
            yield "join", at, at, f"a join at {time_in_words(at)}"
