"""A rework: a job that is out is run again from one of its steps, with other options, and what is out follows.

Each is another edition of the job's results; the first publication is edition 1. What is known of the present one is a
fact of the job: `edition`, `step` (from which it runs; None where only publishers change), `of` (the edition whose kept
results it goes over; None where there are none), `before` (the edition that was out before it, likewise), `undo`, what was
asked for, and after its steps `compared`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.model.talk import revision_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.model.job import Job
    from vidd.model.talk import Talk

REWORK = "rework"
"""The fact that holds it; in a step's row of the settings, the edition in which that step was asked to run again."""

_NONE: Mapping[str, Any] = {}


def rework_of(job: Job) -> Mapping[str, Any]:
    """What is known of the job's present rework; empty where it was never reworked."""
    found = job.facts.get(REWORK)
    return found if isinstance(found, dict) else _NONE


def edition_of(job: Job) -> int:
    """The edition of the results that the job makes or has made."""
    return int(rework_of(job).get("edition", 1))


def base_edition(job: Job) -> int | None:
    """The edition whose kept results the present one begins with."""
    of = rework_of(job).get("of")
    return None if of is None else int(of)


def previous_edition(job: Job) -> int | None:
    """The kept edition that was out before the present one, which is not the one it goes over where that is undone."""
    before = rework_of(job).get("before")
    return None if before is None else int(before)


def only_publishes(job: Job) -> bool:
    """Whether all of it is to publish again what is kept."""
    rework = rework_of(job)
    return bool(rework) and rework.get("step") is None and rework.get("of") is not None


def revision_for(job: Job, talk: Talk | None) -> str | None:
    """What stands for the talk's words and the edition of the files: another one means that what is out must follow."""
    words = revision_of(talk) if talk is not None else None
    edition = edition_of(job)
    return words if edition == 1 else f"{words or ''}+{edition}"


def is_of_edition(revision: str | None, edition: int) -> bool:
    """Whether something was published with the files of this edition."""
    return ((revision or "").rpartition("+")[2] if "+" in (revision or "") else "1") == str(edition)
