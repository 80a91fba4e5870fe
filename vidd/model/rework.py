"""A rework: runs a published job again from one of its steps, with other options, and updates its publications.

Each rework makes another edition of the job's results; the first publication is edition 1. The job's fact `rework` has:

edition: the number of the present edition.
step: the step from which it runs; None if only publishers change.
of: the edition whose kept results it starts from; None if none are kept.
before: the edition that was published before it; None if its results are not kept.
undo: whether it undoes a rework.
set, extra: the changes that the person asked for.
compared: after its steps, how its files differ from the edition before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.model.talk import revision_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.model.job import Job
    from vidd.model.talk import Talk

REWORK = "rework"
"""The name of that fact; in a step's row of the settings, the edition for which a person asked that step to run again."""

_NO_REWORK: Mapping[str, Any] = {}


def rework_of(job: Job) -> Mapping[str, Any]:
    """The fact of the job's present rework; empty if the job was never reworked."""
    found = job.facts.get(REWORK)
    return found if isinstance(found, dict) else _NO_REWORK


def edition_of(job: Job) -> int:
    """The number of the edition that the job makes or has made."""
    return int(rework_of(job).get("edition", 1))


def base_edition(job: Job) -> int | None:
    """The edition whose kept results the present edition starts from."""
    of = rework_of(job).get("of")
    return None if of is None else int(of)


def previous_edition(job: Job) -> int | None:
    """The kept edition that was published before the present one. An undo starts from an older one (`base_edition`)."""
    before = rework_of(job).get("before")
    return None if before is None else int(before)


def only_publishes(job: Job) -> bool:
    """Whether the rework runs no step and publishes the kept results again."""
    rework = rework_of(job)
    return bool(rework) and rework.get("step") is None and rework.get("of") is not None


def revision_for(job: Job, talk: Talk | None) -> str | None:
    """The revision of a publication: a digest of the talk's text, and from edition 2 on the edition of the files.

    A publication with another revision must be updated.
    """
    text = revision_of(talk) if talk is not None else None
    edition = edition_of(job)
    return text if edition == 1 else f"{text or ''}+{edition}"


def is_of_edition(revision: str | None, edition: int) -> bool:
    """Whether a publication with this revision has the files of this edition."""
    return ((revision or "").rpartition("+")[2] if "+" in (revision or "") else "1") == str(edition)
