"""The commands that a person gives for a job: retry, rework, undo, resolve, resend, retract, cancel, approve, reject, prioritize."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from vidd.engine import check_gate
from vidd.engine.context import EngineContext
from vidd.engine.duplicate_talks import find_duplicate, is_public
from vidd.engine.kept_results import Edition
from vidd.engine.retraction import is_retraction_notice, retraction_flag, retraction_notice_name
from vidd.engine.rework import kept_results_of
from vidd.engine.runner import Runner
from vidd.errors import FaultCode, Refused
from vidd.model.event import JobMoved
from vidd.model.job import REPLACES, RETRIED, UNFINISHED, IllegalMove, Job, State
from vidd.model.publication import NEW_SERIES, Publication, PublicationState, Receipt, failure_notices, next_edition
from vidd.model.rework import REWORK, edition_of
from vidd.ports import PlannedPublisher, resend_from_start

_REWORKED = frozenset({State.PUBLISHED, State.REFUSED})
_STARTS_LATER = frozenset({State.SEEN, State.READY, State.WAITING, State.HELD})
_GIVES_WAY = frozenset({State.PUBLISHED, State.REFUSED, State.UNSURE, State.CANCELLED})


class Commands:
    """Each command changes the records and queues the job. The job's next run does the rest, also after a crash.

    Every command raises IllegalMove if the job's state does not allow it.
    """

    def __init__(self, engine: EngineContext, runner: Runner) -> None:
        self._engine = engine
        self._runner = runner

    async def retry(self, job: Job, settings: Mapping[str, Any] | None = None, *, replace: bool = False) -> Job:
        """Run the job again: retry its refused and unsure publications, and its failed changes.

        settings: replace those with which the job was admitted.
        replace: if another job has published the talk, this job replaces that one.
        """
        self._check_at_rest(job, "needs no retry")
        facts = await self._facts_with_replaced_job(job) if replace else job.facts
        facts = {**facts, RETRIED: self._engine.now().isoformat()}
        if not await self._retry_failed(job) and job.state is State.PUBLISHED:
            raise IllegalMove(f"The job {job.id} is published and all its notices went out: there is nothing to retry.")
        fresh = {} if settings is None else {"settings": settings}
        return await self._queue_again(job, "A person asked for a retry.", facts=facts, **fresh)

    async def _retry_failed(self, job: Job) -> bool:
        """Reset failed publications and failed changes for another series of attempts. Returns False if there are none."""
        failures = failure_notices(job.settings)
        known = [
            publication
            for publication in await self._engine.store.publications(job.id)
            if publication.name not in failures
        ]
        failed = [
            publication
            for publication in known
            if publication.state in {PublicationState.REFUSED, PublicationState.UNSURE, PublicationState.WAITING}
        ]
        unchanged = [
            publication for publication in known if publication.state is PublicationState.DONE and publication.reason
        ]
        for publication in failed:
            await self._save(job, publication, state=PublicationState.PENDING, **NEW_SERIES)
        for publication in unchanged:
            await self._save(job, publication, revision=None, **NEW_SERIES)
        if await self._engine.store.get_flag(retraction_flag(job.id)) is None:
            await self._republish_retracted(job, known)
        return bool(failed or unchanged)

    async def rework(self, job: Job, settings: Mapping[str, Any], step: str | None, asked: Mapping[str, Any]) -> Job:
        """Make another edition of the results: run the job again from `step` with these settings, then update its publications.

        With `step` None no step runs, and vidd publishes the kept results with these settings. `asked` is what the person
        asked for, for the record.
        """
        kept = await self.kept_editions(job)
        of = kept[-1].number if kept else None
        now = {"edition": edition_of(job) + 1, "step": step, "of": of, "before": of, **asked}
        return await self._another_edition(job, settings, now, "A person asked for a rework.")

    async def undo(self, job: Job) -> Job:
        """Publish the results of the edition before the last rework again."""
        edition, newest = await self.edition_to_restore(job), (await self.kept_editions(job))[-1]
        before = {"of": edition.number, "before": newest.number}
        now = {"edition": edition_of(job) + 1, "step": None, **before, "undo": True}
        return await self._another_edition(job, edition.settings, now, "A person asked to undo the rework.")

    async def kept_editions(self, job: Job) -> list[Edition]:
        """The kept editions that a rework can start from, the newest last. IllegalMove if the job cannot be reworked now."""
        left = job.state is State.CANCELLED and edition_of(job) > 1
        if job.state not in _REWORKED and not left:
            raise IllegalMove(
                f"The job {job.id} is {job.state}: only what is published, or was refused, or a rework that was"
                " cancelled, can be reworked."
            )
        return await asyncio.to_thread(kept_results_of(self._engine).editions, job.id)

    async def edition_to_restore(self, job: Job) -> Edition:
        """The edition that an undo would publish again. Refused if none is kept."""
        earlier = [edition for edition in await self.kept_editions(job) if edition.number < edition_of(job)]
        if not earlier:
            raise Refused(
                f"No earlier results of the job {job.id} are kept: it was not reworked, its pipeline has no keep, or the"
                " time it names has passed.",
                code=FaultCode.NOT_FOUND,
            )
        return earlier[-1]

    async def _another_edition(self, job: Job, settings: Mapping[str, Any], now: Mapping[str, Any], reason: str) -> Job:
        await self._retry_failed(job)
        # The approval was for the results of the earlier edition.
        await self._engine.store.set_flag(check_gate.review_flag(job.id), None)
        return await self._queue_again(job, reason, settings=dict(settings), facts={**job.facts, REWORK: dict(now)})

    async def _republish_retracted(self, job: Job, known: Sequence[Publication]) -> None:
        """Publish what was retracted as another edition, and send its notices again to those who got a retraction notice."""
        retracted = [publication for publication in known if publication.state is PublicationState.RETRACTED]
        sent_notices = (
            {publication.name for publication in known if is_retraction_notice(publication) and publication.begun}
            if retracted
            else set()
        )
        again = [
            publication
            for publication in known
            if publication.state is PublicationState.DONE and retraction_notice_name(publication.name) in sent_notices
        ]
        for publication in [*retracted, *again]:
            await self._save(job, publication, **next_edition(publication))

    async def _facts_with_replaced_job(self, job: Job) -> Mapping[str, Any]:
        rival = await find_duplicate(self._engine.store, job)
        if rival is None:
            return job.facts
        if rival.state in UNFINISHED | {State.WAITING, State.HELD, State.UNSURE}:
            raise IllegalMove(f"The talk is still under way as job {rival.id}: cancel that one, or let it end.")
        return {**job.facts, REPLACES: rival.id}

    async def resolve(self, job: Job, *, published: str | None, name: str | None = None) -> Job:
        """Record what a person found: `published` is the address of the publication, None means that it did not arrive.

        The command is about an unsure publication, else about a refused one. Raises Refused if there are several and `name`
        names none.
        """
        known = [
            publication
            for publication in await self._engine.store.publications(job.id)
            if name in {None, publication.name}
        ]
        unsure = [publication for publication in known if publication.state is PublicationState.UNSURE]
        unsure = unsure or [publication for publication in known if publication.state is PublicationState.REFUSED]
        if not unsure:
            of_that = f"the publication {name!r} of" if name else ""
            raise IllegalMove(
                f"Nothing is unsure about {of_that} the job {job.id}: it is {job.state}.".replace("  ", " ")
            )
        if len(unsure) > 1:
            names = ", ".join(publication.name for publication in unsure)
            raise Refused(
                f"Several publications of this job are open ({names}): name the one you looked at (--name).",
                code=FaultCode.CONFLICT,
            )
        publication = unsure[0]
        if published is not None:
            receipt = Receipt(url=published, facts={"resolved": "A person looked and found it."})
            await self._save(job, publication, state=PublicationState.DONE, receipt=receipt, **NEW_SERIES)
        else:
            resend_state = next(
                (plan.resend_state for plan in self._planned_publishers(job) if plan.name == publication.name),
                resend_from_start,
            )
            await self._save(
                job,
                publication,
                state=PublicationState.PENDING,
                begun=False,
                token=resend_state(publication.token),
                **NEW_SERIES,
            )
        if publication.name in failure_notices(job.settings):
            # The job itself does not change. `FailureNotices` observes the change and sends the notice.
            return job
        if is_retraction_notice(publication):
            await self._engine.store.set_flag(retraction_flag(job.id), "")
        found = f"found {publication.name}" if published else f"did not find {publication.name}"
        return await self._queue_again(job, f"A person looked and {found}.")

    async def resend(self, job: Job, names: Sequence[str] = ()) -> Job:
        """Send notices again, as another edition; without `names`, the e-mails. Raises Refused for a notice that was not sent."""
        if job.state is not State.PUBLISHED:
            raise IllegalMove(f"The job {job.id} is {job.state}, not published: its notices are still to come.")
        plan = self._engine.resolve(job.settings)
        wanted = set(names) or {notice.name for notice in plan.notices if notice.is_email}
        failures = failure_notices(job.settings)
        publications = [
            publication
            for publication in await self._engine.store.publications(job.id)
            if publication.name not in failures
        ]
        known = {
            publication.name: publication
            for publication in publications
            if publication.notice and not is_retraction_notice(publication)
        }
        missing = wanted - known.keys()
        if missing or not wanted:
            what = ", ".join(sorted(missing)) or "letter"
            raise Refused(
                f"This job has sent no notice {what}; it has: {', '.join(known) or 'none'}.", code=FaultCode.NOT_FOUND
            )
        unfinished = [name for name in wanted if known[name].state is not PublicationState.DONE]
        if unfinished:
            name = unfinished[0]
            raise IllegalMove(
                f"The notice {name} is {known[name].state}: vidd explain {job.id} says what can be done about it first."
            )
        for publication in [known[name] for name in wanted]:
            await self._save(job, publication, **next_edition(publication))
        return await self._queue_again(job, f"A person asked for {', '.join(sorted(wanted))} once more.")

    async def retract(self, job: Job) -> Job:
        """Retract the job's publications, or send failed retraction notices again."""
        self._check_at_rest(job, "is still under way: cancel it first")
        notices = [
            publication
            for publication in await self._engine.store.publications(job.id)
            if is_retraction_notice(publication)
        ]
        if await is_public(self._engine.store, job):
            for publication in [
                publication for publication in notices if publication.state is not PublicationState.PENDING
            ]:
                await self._save(job, publication, **next_edition(publication))
        elif failed := [
            publication
            for publication in notices
            if publication.state in {PublicationState.REFUSED, PublicationState.UNSURE}
        ]:
            for publication in failed:
                await self._save(job, publication, state=PublicationState.PENDING, **NEW_SERIES)
        else:
            raise IllegalMove(f"The job {job.id} has published nothing: there is nothing to retract.")
        await self._engine.store.set_flag(retraction_flag(job.id), "")
        return await self._queue_again(job, "A person asked for its retraction.")

    async def supersede(self, job: Job) -> None:
        """Retract the publications of the job that a published job replaced."""
        other = await self._engine.store.job(str(job.facts.get(REPLACES, "")))
        if other is None or other.state not in _GIVES_WAY or not await is_public(self._engine.store, other):
            return
        await self._engine.store.set_flag(retraction_flag(other.id), job.id)
        await self._queue_again(other, f"The job {job.id} took its place.")

    async def cancel(self, job: Job, reason: str = "A person cancelled it.") -> Job:
        """Stop a job; its files are removed."""
        return await self._runner.cancel(job, reason)

    async def approve(self, job: Job) -> Job:
        """Publish a held job, whose results a person has seen."""
        if job.state is not State.HELD:
            raise IllegalMove(f"The job {job.id} is {job.state}, not held: there is nothing to approve.")
        await check_gate.approve(self._engine, job)
        # Without a review in the pipeline, this approval must not count for a later one.
        if self._engine.resolve(job.settings).review:
            await self._engine.store.set_flag(check_gate.review_flag(job.id), "yes")
        return await self._runner.requeue(job, "A person approved it.")

    async def reject(self, job: Job, reason: str) -> Job:
        """Stop a held job, with a reason in the person's words."""
        if job.state is not State.HELD:
            raise IllegalMove(f"The job {job.id} is {job.state}, not held: there is nothing to reject.")
        return await self._runner.cancel(job, f"A person rejected it: {reason}")

    async def prioritize(self, job: Job, priority: int) -> Job:
        """Give a job that has not started, or that waits, another priority; the highest starts first."""
        if job.state not in _STARTS_LATER or job.id in self._runner.running:
            raise IllegalMove(f"The job {job.id} is {job.state}: a priority only says which job starts first.")
        moved = job.evolve(priority=priority)
        await self._engine.store.save(moved, expect=job.state)
        if job.id in self._runner.running:
            raise IllegalMove(f"The job {job.id} has just started, with the priority that it had.")
        self._runner.reorder(moved)
        self._engine.observe(JobMoved(moved, job.state))
        return moved

    @staticmethod
    def _check_at_rest(job: Job, otherwise: str) -> None:
        if job.state in UNFINISHED or job.state is State.HELD:
            raise IllegalMove(f"The job {job.id} is {job.state} and {otherwise}.")

    def _planned_publishers(self, job: Job) -> list[PlannedPublisher]:
        plan = self._engine.resolve(job.settings)
        return [*plan.publishers, *plan.notices]

    async def _save(self, job: Job, publication: Publication, **changes: Any) -> None:
        await self._engine.move_publication(job, publication, **changes)

    async def _queue_again(self, job: Job, reason: str, **changes: Any) -> Job:
        job = await self._engine.move(job, State.READY, reason, attempt=0, tried=None, **changes)
        self._runner.queue(job)
        return job
