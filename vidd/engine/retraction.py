"""Retracts a job's publications, because a person asked for it or because another job replaces them.

After a person's request, every notice that told of the publication sends a retraction notice. If another job replaces
this one, that job's notices are enough.
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
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.job import Job
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Talk
from vidd.ports import Plan, PlannedPublisher, PublishContext

_log = structlog.get_logger()
_TOLD = " (retracted)"


def retraction_flag(job_id: str) -> str:
    """The flag that says that a job is to be taken back; its word is the job that takes its place, or "" for none."""
    return f"retract:{job_id}"


def retraction_notice_name(notice: str) -> str:
    """The name of the notice that tells those who were told by this one."""
    return f"{notice}{_TOLD}"


def is_retraction_notice(publication: Publication) -> bool:
    """Whether it is a notice that tells of a retraction."""
    return publication.notice and publication.name.endswith(_TOLD)


async def send_retraction_notices(engine: EngineContext, job: Job, plan: Plan, talk: Talk | None) -> list[Publication]:
    """Tell that it was taken back, exactly once as any notice, to those who were told that it is out."""
    known = {publication.name: publication for publication in await engine.store.publications(job.id)}
    # One that was begun may have arrived.
    meant = [
        notice
        for notice in plan.notices
        if notice.tells_retraction and notice.name in known and known[notice.name].begun
    ]
    told = [replace(notice, name=retraction_notice_name(notice.name), amend=None) for notice in meant]
    receipts = {
        publication.name: publication.receipt
        for publication in known.values()
        if publication.receipt is not None and not publication.notice
    }
    made = StepResults()
    for record in await engine.store.steps(job.id):
        made.facts.update(record.outcome.facts)
    publishing = Publishing(engine, job, talk, made, event="retracted")
    return await publishing.run_all(told, notice=True, receipts=receipts)


@dataclass
class RetractionOutcome:
    """What came of it, in sentences; `again` is the wait that somebody asked for."""

    done: list[str]
    failed: list[str]
    again: RetryLater | None = None


async def retract(
    engine: EngineContext, job: Job, plan: Plan, talk: Talk | None, *, but: Sequence[Publication]
) -> RetractionOutcome:
    """Take back every publication that has a receipt; one whose address `but` has too was replaced in its place."""
    stays = {publication.receipt.url for publication in but if publication.receipt is not None}
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
        elif publication.receipt is not None and publication.receipt.url in stays:
            await _settle(engine, job, publication, "It was replaced in its place.")
        else:
            await _one(engine, planned.get(publication.name), _context(engine, job, publication, talk), outcome)
    return outcome


async def _one(
    engine: EngineContext, plan: PlannedPublisher | None, context: PublishContext, outcome: RetractionOutcome
) -> None:
    job, publication = context.job, context.publication
    if plan is None or plan.retract is None:
        where = f": it is at {publication.receipt.url}" if publication.receipt and publication.receipt.url else ""
        outcome.failed.append(f"{publication.name} cannot be taken back by vidd{where}.")
        return
    try:
        async with engine.slots.hold(plan.pool, job.priority):
            sentence = await plan.retract(context)
    except RetryLater as fault:
        outcome.again = fault
    except OutcomeUnknown as fault:
        outcome.again = RetryLater(fault.sentence, code=fault.code)
    except Refused as fault:
        outcome.failed.append(f"{publication.name}: {fault.sentence}")
    else:
        _log.info("taken back", job=job.id, what=publication.name, outcome=sentence)
        outcome.done.append(sentence)
        await _settle(engine, job, publication, sentence)


async def _settle(engine: EngineContext, job: Job, publication: Publication, sentence: str) -> None:
    await shield_to_end(
        engine.move_publication(job, publication, state=PublicationState.RETRACTED, reason=sentence, until=None)
    )


def _context(engine: EngineContext, job: Job, publication: Publication, talk: Talk | None) -> PublishContext:
    async def keep(_token: Mapping[str, Any]) -> None:
        """Nothing has to be resumed: taking back can be repeated."""

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
        checkpoint=keep,
        sent=keep,
    )
