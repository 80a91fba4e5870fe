"""How long a job's video is, in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.errors import Refused
from vidd.model.talk import parse_recording_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.model.job import Job
    from vidd.model.media import StepRecord


def asked_length(job: Job) -> float | None:
    """The length that the job's arrival or its file's name asks for; None if they do not."""
    start, end = job.facts.get("start"), job.facts.get("end")
    if isinstance(start, int | float) and isinstance(end, int | float):
        return max(0.0, float(end) - float(start)) or None
    try:
        name = parse_recording_name(job.name)
    except Refused:
        return None
    return name.end - name.start


def made_length(steps: Sequence[StepRecord]) -> float | None:
    """The length of the newest media file that steps made; None if they made none."""
    made = [artifact.media for step in steps for artifact in step.outcome.artifacts if artifact.media is not None]
    return made[-1].duration if made else None
