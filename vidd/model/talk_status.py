"""Derives the status for a talk's row from its job and the job's publications; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.model.job import Job, State
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Status, TalkStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STATUS_BY_STATE: Mapping[State, Status] = {
    State.SEEN: Status.UPLOADED,
    State.READY: Status.UPLOADED,
    State.WORKING: Status.PROCESSING,
    State.HELD: Status.PROCESSED,
    State.PUBLISHING: Status.PROCESSED,
    State.PUBLISHED: Status.PUBLISHED,
    State.WAITING: Status.UPLOADED,
    State.REFUSED: Status.FAILED,
    State.UNSURE: Status.FAILED,
}


def talk_status_of(job: Job, publications: Sequence[Publication]) -> TalkStatus | None:
    """The status for the talk's row; None if the job has no talk, or is excluded or cancelled with nothing retracted.

    A job whose publishers all have receipts is published, even while its notices wait.
    """
    if job.talk is None:
        return None
    publications = [publication for publication in publications if not publication.notice]
    retracted = [publication for publication in publications if publication.state is PublicationState.RETRACTED]
    if retracted and (job.state is State.CANCELLED or retracted == publications):
        return TalkStatus(job.talk, Status.RETRACTED, "")
    if job.state not in _STATUS_BY_STATE:
        return None
    links = {
        publication.name: publication.receipt.url
        for publication in publications
        if publication.receipt and publication.receipt.url
    }
    if publications and all(publication.state is PublicationState.DONE for publication in publications):
        status = Status.PUBLISHED
    elif publications and job.state in {State.READY, State.WORKING, State.WAITING}:
        status = Status.PROCESSED
    else:
        status = _STATUS_BY_STATE[job.state]
    return TalkStatus(job.talk, status, next(iter(links.values()), None), links)
