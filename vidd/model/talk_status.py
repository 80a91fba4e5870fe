"""What a talk's row should say of its job: a table and one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.model.job import Job, State
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Status, TalkStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORDS: Mapping[State, Status] = {
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
    """The row's words; None where the job says nothing about its talk (excluded, cancelled, without a talk).

    A job whose publishers all have receipts is published, whatever its notices still wait for.
    """
    if job.talk is None:
        return None
    sent = [publication for publication in publications if not publication.notice]
    back = [publication for publication in sent if publication.state is PublicationState.RETRACTED]
    if back and (job.state is State.CANCELLED or back == sent):
        return TalkStatus(job.talk, Status.RETRACTED, "")
    if job.state not in _WORDS:
        return None
    links = {
        publication.name: publication.receipt.url
        for publication in sent
        if publication.receipt and publication.receipt.url
    }
    if sent and all(publication.state is PublicationState.DONE for publication in sent):
        status = Status.PUBLISHED
    elif sent and job.state in {State.READY, State.WORKING, State.WAITING}:
        status = Status.PROCESSED
    else:
        status = _WORDS[job.state]
    return TalkStatus(job.talk, status, next(iter(links.values()), None), links)
