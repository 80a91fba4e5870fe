"""Finds the other jobs of the same talk, so that no talk is published twice."""

from __future__ import annotations

from vidd.model.job import REPLACES, Job, State
from vidd.model.publication import PublicationState
from vidd.ports import Store

_ENDED = frozenset({State.REFUSED, State.CANCELLED, State.EXCLUDED})
_MAYBE_PUBLIC = frozenset(
    {PublicationState.STARTED, PublicationState.SENT, PublicationState.DONE, PublicationState.UNSURE}
)
_JOBS = 50


async def is_public(store: Store, job: Job) -> bool:
    """Whether a publication of this job may be visible outside."""
    known = [publication for publication in await store.publications(job.id) if not publication.notice]
    return any(
        publication.state in _MAYBE_PUBLIC or (publication.state is PublicationState.WAITING and publication.begun)
        for publication in known
    )


async def find_successor(store: Store, job: Job) -> Job | None:
    """The published job that replaced this one; None if there is none, or if this job replaces that one by now."""
    if job.talk is None:
        return None
    for other in await store.jobs(pipeline=job.pipeline, talk=job.talk, limit=_JOBS):
        follows = other.facts.get(REPLACES) == job.id and job.facts.get(REPLACES) != other.id
        if follows and await is_public(store, other):
            return other
    return None


async def describe_public(store: Store, job: Job) -> str:
    """A sentence: where the job's publications are, and how to retract them; "" if there are none."""
    known = [
        publication
        for publication in await store.publications(job.id)
        if not publication.notice and publication.state is PublicationState.DONE
    ]
    addresses = ", ".join(
        f"{publication.name} ({publication.receipt.url})"
        if publication.receipt and publication.receipt.url
        else publication.name
        for publication in known
    )
    return f" Still published: {addresses}; vidd retract {job.id} retracts it." if addresses else ""


async def find_duplicate(store: Store, job: Job) -> Job | None:
    """Another job of the same talk that is published or, if none is, is older than this one; None without one."""
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
