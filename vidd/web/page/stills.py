"""Which frames a job's page shows: those at the edges of the cut, on either side of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vidd.model.job import Job
    from vidd.model.media import Artifact, StepRecord

_BESIDE = 0.5
"""Seconds between an edge of the cut and the frame of the recording outside of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A frame: its name in addresses, what it shows, the file below the job's directory, and seconds from that file's start."""

    name: str
    words: str
    path: str
    seconds: float


def places_of(job: Job, steps: Sequence[StepRecord]) -> list[Place]:
    """The frames before and after both edges of the cut; without a cut the first and the last of what was made."""
    made = {artifact.role: artifact for step in steps for artifact in step.outcome.artifacts if _is_video(artifact)}
    cut = next(
        (step for step in steps if step.kind == "trim" and "talk" in {a.role for a in step.outcome.artifacts}), None
    )
    talk = made.get("talk")
    if cut is None or talk is None:
        newest = next((made[role] for role in reversed(made) if role != "source"), None)
        return list(_ends(newest)) if newest is not None else []
    row: Mapping[str, Any] = next((row for row in job.settings.get("steps", ()) if row["name"] == cut.name), {})
    source = made.get(row.get("options", {}).get("source", "source"))
    first, last = _ends(talk)
    start, end = float(cut.outcome.facts["start"]), float(cut.outcome.facts["end"])
    if source is None:
        return [first, last]
    length = source.media.duration if source.media else end
    before = Place("before", "Recording, before the cut", source.path, max(0.0, start - _BESIDE))
    after = Place("after", "Recording, after the cut", source.path, max(0.0, min(end + _BESIDE, length - 0.1)))
    return [before, first, last, after]


def _is_video(artifact: Artifact) -> bool:
    return artifact.tree is None and artifact.media is not None and bool(artifact.media.video)


def _ends(artifact: Artifact) -> Iterator[Place]:
    media = artifact.media
    rate = media.video[0].rate if media is not None and media.video else 25.0
    length = media.duration if media is not None else 0.0
    yield Place("first", "First frame", artifact.path, 0.0)
    yield Place("last", "Last frame", artifact.path, max(0.0, length - 1.5 / max(rate, 1.0)))
