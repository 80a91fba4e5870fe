"""Publishes one job: its publishers run concurrently, each with its own state, retries and receipt.

Before vidd sends anything again, it asks a publisher that started once (`reconcile`) whether the earlier attempt arrived. A
publication with a receipt is amended if the talk's text has changed since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from vidd.aio.shield import shield_to_end
from vidd.engine.context import EngineContext
from vidd.engine.step_run import StepResults
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.event import Progressed, Retried
from vidd.model.job import REPLACES, Job
from vidd.model.publication import Publication, PublicationState, Receipt, next_edition
from vidd.model.rework import edition_of, is_of_edition, revision_for
from vidd.model.talk import Talk
from vidd.ports import PlannedPublisher, PublishContext

_log = structlog.get_logger()
RESTING = frozenset(
    {PublicationState.DONE, PublicationState.REFUSED, PublicationState.UNSURE, PublicationState.RETRACTED}
)


class Publishing:
    """Runs the publishers or the notices of one job.

    `revision` is the revision of what is published, by default that of the talk's text and the edition of the files.
    `gone` and `event` are as in `PublishContext`.
    """

    def __init__(
        self,
        engine: EngineContext,
        job: Job,
        talk: Talk | None,
        results: StepResults,
        *,
        revision: str | None = None,
        gone: Mapping[str, Sequence[str]] | None = None,
        event: str = "published",
    ) -> None:
        self._revision = revision_for(job, talk) if revision is None else revision
        self._gone = gone or {}
        self._engine = engine
        self._job = job
        self._talk = talk
        self._results = results
        self._event = event

    async def run_all(
        self, planned: Sequence[PlannedPublisher], *, notice: bool, receipts: Mapping[str, Receipt]
    ) -> list[Publication]:
        """Run these publishers concurrently; returns their publications, in the same order."""
        if not planned:
            return []
        known = {publication.name: publication for publication in await self._engine.store.publications(self._job.id)}
        replaced = await self._find_replaced_receipts()
        runs = [
            _PublicationRun(
                self._engine,
                self._job,
                plan,
                {**self._context_fields(receipts), "replaced": replaced.get(plan.name)},
                known.get(plan.name),
                revision=self._revision,
                notice=notice,
            )
            for plan in planned
        ]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run.run(), name=f"{self._job.id}:{run.name}") for run in runs]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def check_gates(self, planned: Sequence[PlannedPublisher]) -> None:
        """Call `allow` of the publishers that have it, one after the other. Raises what `allow` raises."""
        gated = [(plan, plan.allow) for plan in planned if plan.allow is not None]
        known = (
            {publication.name: publication for publication in await self._engine.store.publications(self._job.id)}
            if gated
            else {}
        )

        async def ignore(_token: Mapping[str, Any]) -> None:
            """`allow` sends nothing, so there is no token to save."""

        for plan, allow in gated:
            publication = known.get(plan.name) or Publication(
                self._job.id, plan.name, plan.kind, changed=self._engine.now()
            )
            await allow(
                PublishContext(
                    publication=publication,
                    progress=lambda *_: None,
                    checkpoint=ignore,
                    sent=ignore,
                    **self._context_fields({}),
                )
            )

    async def _find_replaced_receipts(self) -> dict[str, Receipt]:
        other = self._job.facts.get(REPLACES)
        known = await self._engine.store.publications(str(other)) if other else []
        return {publication.name: publication.receipt for publication in known if publication.receipt is not None}

    def _context_fields(self, receipts: Mapping[str, Receipt]) -> dict[str, Any]:
        return {
            "job": self._job,
            "directory": self._engine.workspace.root / self._job.id,
            "tools": self._engine.tools,
            "talk": self._talk,
            "artifacts": dict(self._results.artifacts),
            "facts": dict(self._results.facts),
            "receipts": dict(receipts),
            "gone": self._gone,
            "event": self._event,
        }


class _PublicationRun:
    """Runs one publication, from its saved state to a receipt or a fault."""

    def __init__(
        self,
        engine: EngineContext,
        job: Job,
        plan: PlannedPublisher,
        context: Mapping[str, Any],
        known: Publication | None,
        *,
        revision: str | None,
        notice: bool,
    ) -> None:
        self._revision = revision
        self._engine = engine
        self._job = job
        self._plan = plan
        self._context = context
        self._known = known
        self._notice = notice
        self._publication: Publication
        self.name = plan.name

    async def run(self) -> Publication:
        """Publish or amend, unless the publication rests or its time has not come; returns the saved publication."""
        if self._known is None:
            self._publication = Publication(
                self._job.id, self.name, self._plan.kind, changed=self._engine.now(), notice=self._notice
            )
            await shield_to_end(
                self._engine.until_saved(lambda: self._engine.store.save_publication(self._publication, expect=None))
            )
        else:
            self._publication = self._known
        if self._is_of_earlier_edition:
            await self._move(**next_edition(self._publication, revision=self._revision))
        waits = self._publication.until is not None and self._publication.until > self._engine.now()
        if waits or (self._publication.state in RESTING and not self._is_outdated):
            return self._publication
        async with self._engine.slots.hold(self._plan.pool, self._job.priority, self._job.id):
            if not self._engine.draining:
                await (self._amend() if self._is_outdated else self._attempt())
        return self._publication

    @property
    def _is_of_earlier_edition(self) -> bool:
        """Whether it is a notice about an earlier edition of the results."""
        was_sent = self._publication.state in RESTING or self._publication.state is PublicationState.WAITING
        return self._notice and self._plan.on == "published" and was_sent and not self._is_of_edition

    @property
    def _is_of_edition(self) -> bool:
        return is_of_edition(self._publication.revision, edition_of(self._job))

    @property
    def _is_outdated(self) -> bool:
        return self._publication.state is PublicationState.DONE and (self._text_is_outdated or self._files_are_outdated)

    @property
    def _text_is_outdated(self) -> bool:
        """Whether it is published with another text than the present one."""
        outdated = self._revision is not None and self._publication.revision != self._revision
        return outdated and self._plan.amend is not None

    @property
    def _files_are_outdated(self) -> bool:
        """Whether it is published with the files of an earlier edition."""
        return self._plan.replace_files is not None and not self._is_of_edition

    async def _amend(self) -> None:
        """Update what is published to the present files and text. The receipt stays if that fails."""
        try:
            receipt = await self._update()
        except (RetryLater, OutcomeUnknown) as fault:
            self._engine.observe_fault(self.name, fault)
            # vidd can repeat a change that got no answer.
            await self._retry_change(
                fault if isinstance(fault, RetryLater) else RetryLater(fault.sentence, code=fault.code)
            )
        except Refused as fault:
            self._engine.observe_fault(self.name, fault)
            await self._give_up_change(fault.sentence)
        except Exception as error:  # noqa: BLE001 - as in _attempt
            _log.exception("publisher crashed", job=self._job.id, to=self.name)
            await self._give_up_change(
                f"A defect of {self._plan.kind} stopped the change ({type(error).__name__}: {error})."
            )
        else:
            await self._move(receipt=receipt, reason=None, until=None, attempt=0, tried=None, revision=self._revision)

    async def _update(self) -> Receipt | None:
        receipt, text_changed = self._publication.receipt, self._text_is_outdated
        if self._files_are_outdated and self._plan.replace_files is not None:
            receipt = await self._plan.replace_files(self._make_context())
        if text_changed and self._plan.amend is not None:
            receipt = await self._plan.amend(self._make_context())
        return receipt

    async def _retry_change(self, fault: RetryLater) -> None:
        now, first = self._engine.now(), self._publication.until is None
        attempt = 1 if first else self._publication.attempt + fault.counts
        since = now if first or not fault.counts else self._publication.tried or now
        until = self._engine.next_try(attempt if fault.counts else 0, since, fault.after)
        if until is None:
            await self._give_up_change(f"Given up: {fault.sentence}")
            return
        self._engine.observe(Retried(self._plan.kind, fault.sentence))
        await self._move(reason=fault.sentence, until=until, attempt=attempt, tried=since)

    async def _give_up_change(self, reason: str) -> None:
        """Leave it as it is. Its text counts as up to date then, which does no harm; its files do not."""
        await self._move(
            reason=reason,
            until=None,
            revision=self._publication.revision if self._files_are_outdated else self._revision,
        )

    async def _attempt(self) -> None:
        try:
            receipt = await self._receipt()
        except RetryLater as fault:
            self._engine.observe_fault(self.name, fault)
            await self._retry_later(fault)
        except Refused as fault:
            self._engine.observe_fault(self.name, fault)
            await self._move(state=PublicationState.REFUSED, reason=fault.sentence, until=None)
        except OutcomeUnknown as fault:
            self._engine.observe_fault(self.name, fault)
            await self._move(state=PublicationState.UNSURE, reason=fault.sentence, until=None)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the other publishers of the job
            _log.exception("publisher crashed", job=self._job.id, to=self.name)
            sentence = (
                f"A defect of {self._plan.kind} stopped it ({type(error).__name__}: {error}); the log has the details."
            )
            await self._move(state=PublicationState.UNSURE, reason=sentence, until=None)
        else:
            await self._move(
                state=PublicationState.DONE, receipt=receipt, reason=None, until=None, revision=self._revision
            )

    async def _receipt(self) -> Receipt:
        if self._publication.begun:
            found = await self._plan.reconcile(self._make_context())
            if found is not None:
                return found
        await self._start()
        try:
            return await self._plan.publish(self._make_context())
        except OutcomeUnknown as unknown:
            _log.warning("no answer from publisher", job=self._job.id, to=self.name, reason=unknown.sentence)
            found = await self._plan.reconcile(self._make_context())
            if found is None:
                raise RetryLater(
                    f"{unknown.sentence} It did not arrive; vidd will send it again.", code=unknown.code
                ) from unknown
            return found

    async def _start(self) -> None:
        tried = self._publication.tried or self._engine.now()
        if self._publication.state in {PublicationState.STARTED, PublicationState.SENT}:
            await self._move(state=PublicationState.PENDING)
        # A notice gets its revision before the first byte goes out, so vidd never takes it for an earlier edition's.
        revision = self._revision if self._notice else self._publication.revision
        await self._move(
            state=PublicationState.STARTED,
            begun=True,
            tried=tried,
            attempt=self._publication.attempt + 1,
            until=None,
            revision=revision,
        )

    async def _retry_later(self, fault: RetryLater) -> None:
        now = self._engine.now()
        begun = self._publication.state in {PublicationState.STARTED, PublicationState.SENT}
        # An attempt that failed in `reconcile` counts too; an attempt whose fault does not count is subtracted again.
        count = self._publication.attempt + (not begun) if fault.counts else self._publication.attempt - begun
        attempt, since = (count, self._publication.tried or now) if fault.counts else (0, now)
        until = self._engine.next_try(attempt, since, fault.after)
        if until is None:
            reason = f"Given up after {count} attempts: {fault.sentence}"
            await self._move(state=PublicationState.REFUSED, reason=reason, until=None)
            return
        self._engine.observe(Retried(self._plan.kind, fault.sentence))
        await self._move(state=PublicationState.WAITING, reason=fault.sentence, until=until, attempt=count, tried=since)

    async def _move(self, **changes: Any) -> None:
        await shield_to_end(self._save(changes))

    async def _save(self, changes: Mapping[str, Any]) -> None:
        self._publication = await self._engine.move_publication(
            self._job, self._publication, wait_for_store=True, **changes
        )

    def _make_context(self) -> PublishContext:
        def progress(done: float, total: float | None, unit: str, speed: float | None) -> None:
            self._engine.observe(Progressed(self._job.id, self.name, done, total, unit, speed))

        async def checkpoint(token: Mapping[str, Any]) -> None:
            await self._move(token=dict(token))

        async def sent(token: Mapping[str, Any]) -> None:
            await self._move(state=PublicationState.SENT, token=dict(token))

        return PublishContext(
            publication=self._publication, progress=progress, checkpoint=checkpoint, sent=sent, **self._context
        )
