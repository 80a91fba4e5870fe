"""Finds the other jobs of the same talk, so that no talk is published twice."""

from __future__ import annotations

from vidd.model.job import REPLACES, Job, State
from vidd.model.publication import PublicationState
from vidd.ports import Store

_ENDED = frozenset({State.REFUSED, State.CANCELLED, State.EXCLUDED})
_OUT = frozenset({PublicationState.STARTED, PublicationState.SENT, PublicationState.DONE, PublicationState.UNSURE})
_JOBS = 50


async def is_public(store: Store, job: Job) -> bool:
    """Whether something of this job may be seen outside."""
    known = [publication for publication in await store.publications(job.id) if not publication.notice]
    return any(
        publication.state in _OUT or (publication.state is PublicationState.WAITING and publication.begun)
        for publication in known
    )


async def find_successor(store: Store, job: Job) -> Job | None:
    """The job that took the place of this one and is out, unless it is the other way round by now."""
    if job.talk is None:
        return None
    for other in await store.jobs(pipeline=job.pipeline, talk=job.talk, limit=_JOBS):
        follows = other.facts.get(REPLACES) == job.id and job.facts.get(REPLACES) != other.id
        if follows and await is_public(store, other):
            return other
    return None


async def describe_public(store: Store, job: Job) -> str:
    """Where what is out of this job can be seen, and how it is taken back; "" where nothing is."""
    known = [
        publication
        for publication in await store.publications(job.id)
        if not publication.notice and publication.state is PublicationState.DONE
    ]
    places = ", ".join(
        f"{publication.name} ({publication.receipt.url})"
        if publication.receipt and publication.receipt.url
        else publication.name
        for publication in known
    )
    return f" Still out: {places}; vidd retract {job.id} takes it back." if places else ""


async def find_duplicate(store: Store, job: Job) -> Job | None:
    """The job that this one must not double; the older one goes first where neither is out."""
    if job.talk is None:
        return None
    for other in await store.jobs(pipeline=job.pipeline, talk=job.talk, limit=_JOBS):
        if other.id in {job.id, job.facts.get(REPLACES)}:
            continue
        if other.state not in _ENDED and (other.created, other.id) < (job.created, job.id):
            return other
        if await is_public(store, other):
            return other
    return None
