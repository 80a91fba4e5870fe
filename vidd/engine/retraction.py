"""Retracts a job's publications, because a person asked for it or because another job replaces this one.

After a person's request, vidd sends a retraction notice to those who got a notice of the publication. If another job
replaces this one, that job's notices are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from vidd.aio.shield import shield_to_end
from vidd.engine.context import EngineContext
from vidd.engine.publication_run import Publishing
from vidd.engine.step_run import StepResults
from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.model.job import Job
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Talk
from vidd.ports import Plan, PlannedPublisher, PublishContext

_log = structlog.get_logger()
_SUFFIX = " (retracted)"


def retraction_flag(job_id: str) -> str:
    """The name of the flag that asks for a job's retraction; its value is the id of the job that replaces it, or ""."""
    return f"retract:{job_id}"


def retraction_notice_name(notice: str) -> str:
    """The name of the retraction notice that belongs to a notice."""
    return f"{notice}{_SUFFIX}"


def is_retraction_notice(publication: Publication) -> bool:
    """Whether the publication is a retraction notice."""
    return publication.notice and publication.name.endswith(_SUFFIX)


async def send_retraction_notices(engine: EngineContext, job: Job, plan: Plan, talk: Talk | None) -> list[Publication]:
    """Send the retraction notices that belong to the notices of this job; returns their publications."""
    known = {publication.name: publication for publication in await engine.store.publications(job.id)}
    # A notice that was begun may have arrived.
    notices = [
        notice
        for notice in plan.notices
        if notice.tells_retraction and notice.name in known and known[notice.name].begun
    ]
    planned = [replace(notice, name=retraction_notice_name(notice.name), amend=None) for notice in notices]
    receipts = {
        publication.name: publication.receipt
        for publication in known.values()
        if publication.receipt is not None and not publication.notice
    }
    results = StepResults()
    for record in await engine.store.steps(job.id):
        results.facts.update(record.outcome.facts)
    publishing = Publishing(engine, job, talk, results, event="retracted")
    return await publishing.run_all(planned, notice=True, receipts=receipts)


@dataclass
class RetractionOutcome:
    """What was retracted and what failed, in sentences; `retry` is the fault of a publisher that asks for a retry.

    `code` is the code of the last failure.
    """

    done: list[str]
    failed: list[str]
    retry: RetryLater | None = None
    code: FaultCode = FaultCode.REJECTED


async def retract(
    engine: EngineContext, job: Job, plan: Plan, talk: Talk | None, *, replacing: Sequence[Publication]
) -> RetractionOutcome:
    """Retract every publication of a job that has a receipt.

    A publication at the same address as one of `replacing` was replaced there; vidd marks it and retracts nothing.
    """
    replaced = {publication.receipt.url for publication in replacing if publication.receipt is not None}
    outcome = RetractionOutcome([], [])
    planned = {publisher.name: publisher for publisher in plan.publishers}
    for publication in await engine.store.publications(job.id):
        if publication.notice or publication.state not in {
            PublicationState.DONE,
            PublicationState.UNSURE,
            PublicationState.STARTED,
            PublicationState.SENT,
        }:
            continue
        if publication.state is not PublicationState.DONE:
            outcome.failed.append(f"{publication.name} is {publication.state}: resolve it first.")
            outcome.code = FaultCode.CONFLICT
        elif publication.receipt is not None and publication.receipt.url in replaced:
            await _mark_retracted(engine, job, publication, "It was replaced in its place.")
        else:
            await _retract_publication(
                engine, planned.get(publication.name), _context(engine, job, publication, talk), outcome
            )
    return outcome


async def _retract_publication(
    engine: EngineContext, plan: PlannedPublisher | None, context: PublishContext, outcome: RetractionOutcome
) -> None:
    job, publication = context.job, context.publication
    if plan is None or plan.retract is None:
        where = f": it is at {publication.receipt.url}" if publication.receipt and publication.receipt.url else ""
        outcome.failed.append(f"vidd cannot retract {publication.name}{where}.")
        return
    try:
        async with engine.slots.hold(plan.pool, job.priority, job.id):
            sentence = await plan.retract(context)
    except RetryLater as fault:
        outcome.retry = fault
    except OutcomeUnknown as fault:
        outcome.retry = RetryLater(fault.sentence, code=fault.code)
    except Refused as fault:
        outcome.failed.append(f"{publication.name}: {fault.sentence}")
        outcome.code = fault.code
    else:
        _log.info("publication retracted", job=job.id, what=publication.name, outcome=sentence)
        outcome.done.append(sentence)
        await _mark_retracted(engine, job, publication, sentence)


async def _mark_retracted(engine: EngineContext, job: Job, publication: Publication, sentence: str) -> None:
    await shield_to_end(
        engine.move_publication(job, publication, state=PublicationState.RETRACTED, reason=sentence, until=None)
    )


def _context(engine: EngineContext, job: Job, publication: Publication, talk: Talk | None) -> PublishContext:
    async def ignore(_token: Mapping[str, Any]) -> None:
        """A retraction needs no token, because vidd can repeat it."""

    return PublishContext(
        job=job,
        directory=engine.workspace.root / job.id,
        tools=engine.tools,
        talk=talk,
        artifacts={},
        facts={},
        publication=publication,
        receipts={},
        progress=lambda *_: None,
        checkpoint=ignore,
        sent=ignore,
    )
