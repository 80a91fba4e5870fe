"""Runs one job as far as it can go now: looks up its talk, runs steps, publishers and notices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from vidd.aio.shield import shield_to_end
from vidd.engine import check_gate, rework
from vidd.engine.context import Draining, EngineContext
from vidd.engine.duplicate_talks import describe_public, find_duplicate, find_successor, is_public
from vidd.engine.handover import hand_over
from vidd.engine.publication_run import RESTING, Publishing
from vidd.engine.retraction import retract, retraction_flag, send_retraction_notices
from vidd.engine.step_run import StepResults, run_steps
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.model.event import Retried
from vidd.model.job import FAILED, FAILURE, RETRIED, Job, State
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.model.rework import edition_of, is_of_edition, only_publishes
from vidd.model.talk import Talk, parse_recording_name
from vidd.ports import Conflict, Plan, PlannedPublisher

_log = structlog.get_logger()
_PROGRAMME_PAUSE = 5.0
_OUTCOMES = FAILED | {State.PUBLISHED}
_LEAVES_NO_FILES = frozenset({State.PUBLISHED, State.CANCELLED, State.EXCLUDED})


class JobRun:
    """Owns one job while it runs. `cancel_reason` says why it was cancelled; without it, the daemon stops."""

    def __init__(self, engine: EngineContext, job: Job) -> None:
        self._engine = engine
        self.job = job
        self.cancel_reason: str | None = None

    async def run(self) -> Job:
        """Run the job as far as possible; returns it in its new state. Raises none of the job's own faults."""
        try:
            await self._run()
        except Draining:
            await self._return_to_queue("The daemon was stopped; it goes on after the next start.")
        except Conflict as error:
            _log.warning("job moved by another writer", job=self.job.id, reason=str(error))
        except RetryLater as fault:
            self._observe(fault)
            await self._retry_later(fault)
        except (Refused, OutcomeUnknown) as fault:
            self._observe(fault)
            await self._move(State.REFUSED, fault.sentence, fault=fault)
        except asyncio.CancelledError:
            await asyncio.shield(self._handle_cancellation())
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not lose the job
            _log.exception("job crashed", job=self.job.id)
            await self._move(
                State.REFUSED,
                f"A defect of vidd stopped this job ({type(error).__name__}: {error}); the log has the details. Update vidd, then retry.",
            )
        if self.job.state in _LEAVES_NO_FILES:
            await self._engine.workspace.remove(self.job.id)
        return self.job

    async def _move(
        self,
        state: State,
        reason: str | None = None,
        until: datetime | None = None,
        fault: Fault | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        fresh: dict[str, Any] = {"attempt": 0, "tried": None} if state in {State.PUBLISHED, State.REFUSED} else {}
        if state in _OUTCOMES:
            fresh["facts"] = self._facts(fault)
        elif facts is not None:
            fresh["facts"] = facts
        await shield_to_end(self._save(state, reason, {"until": until, **fresh}))

    def _observe(self, fault: Fault) -> None:
        """Announce a fault of the job as a whole; `step_run` announces a step's."""
        if fault.step is None:
            self._engine.observe_fault("job", fault)

    def _facts(self, fault: Fault | None) -> dict[str, Any]:
        """The job's facts with this failure in place of an earlier one."""
        facts = {name: fact for name, fact in self.job.facts.items() if name != FAILURE}
        if fault is not None and fault.step is not None:
            log = self._engine.tools.log(self.job.id)
            facts[FAILURE] = {"step": fault.step, "said": fault.said, "log": str(log) if log.exists() else None}
        return facts

    async def _save(self, state: State, reason: str | None, changes: Mapping[str, Any]) -> None:
        self.job = await self._engine.move(self.job, state, reason, wait_for_store=True, **changes)

    async def _run(self) -> None:
        plan = self._engine.resolve(self.job.settings)
        successor_id = await self._engine.store.get_flag(retraction_flag(self.job.id))
        if successor_id is not None:
            await self._retract(plan, successor_id)
            return
        talk = await self._look_up(plan)
        if await self._may_not_publish(plan, talk):
            return
        if self.job.state is State.SEEN:
            await self._move(State.READY)
        await self._move(State.WORKING, self.job.reason if self.job.attempt else None)
        sent = await self._all_published(plan)
        rerun = None if sent else await rework.restore_kept(self._engine, self.job, plan)
        results = await run_steps(
            self._engine, self.job, plan, talk, sent=sent or only_publishes(self.job), rerun=rerun
        )
        self._engine.raise_if_draining()
        if not sent:
            await check_gate.check_outgoing(self._engine, self.job, plan, results)
        # A person may have excluded the row meanwhile. A row that is missing for a moment changes nothing.
        now = await self._engine.store.talk(plan.programme, talk.id) if plan.programme and talk else None
        if await self._may_not_publish(plan, now):
            return
        if not sent and (why := await self._why_held(plan, results)) is not None:
            await self._move(State.HELD, why)
            return
        await self._move(
            State.PUBLISHING,
            facts=None if sent else await rework.compare_with_previous(self._engine, self.job, results),
        )
        await self._publish(plan, talk, results)

    async def _may_not_publish(self, plan: Plan, talk: Talk | None) -> bool:
        """Whether the programme excludes the talk; if so, the job is `excluded` then. What is published stays published.

        Raises Refused if another job of the talk forbids the publication.
        """
        if talk is None:
            return False
        successor = await find_successor(self._engine.store, self.job)
        if successor is not None:
            raise Refused(
                f"The job {successor.id} ({successor.name}) took the place of this one: vidd retry {self.job.id} --replace if"
                " it is to be the other way round.",
                code=FaultCode.CONFLICT,
            )
        if await is_public(self._engine.store, self.job):
            return False
        if talk.excluded:
            why = f": {talk.why_excluded}" if talk.why_excluded else ""
            await self._move(State.EXCLUDED, f"The programme {plan.programme!r} excludes the talk {talk.id}{why}.")
            return True
        rival = await find_duplicate(self._engine.store, self.job)
        if rival is not None:
            raise Refused(
                f"The talk {talk.id} is {rival.state} already as job {rival.id} ({rival.name}): if this recording is to take"
                f" its place, vidd retry {self.job.id} --replace, or write another number under reprocess in its row.",
                code=FaultCode.CONFLICT,
            )
        return False

    async def _why_held(self, plan: Plan, results: StepResults) -> str | None:
        """What a person must decide before publication: the pipeline's review, and findings of the check."""
        reviewed = not plan.review or await self._engine.store.get_flag(check_gate.review_flag(self.job.id))
        review = None if reviewed else "A person must look at it and approve it."
        found = await check_gate.find_reasons_to_hold(self._engine, self.job, plan, results)
        return " ".join(reason for reason in (review, found) if reason) or None

    async def _retract(self, plan: Plan, successor_id: str) -> None:
        """Retract the job's publications. `successor_id` is the job that replaces this one, "" after a person's request."""
        why = f"The job {successor_id} took its place." if successor_id else "A person retracted it."
        await self._move(State.WORKING)
        await self._move(State.PUBLISHING, why)
        talk = (
            await self._engine.store.talk(plan.programme, self.job.talk) if plan.programme and self.job.talk else None
        )
        replacing = await self._engine.store.publications(successor_id) if successor_id else []
        outcome = await retract(self._engine, self.job, plan, talk, replacing=replacing)
        if outcome.retry is not None:
            raise outcome.retry
        if outcome.failed:
            await self._engine.store.set_flag(retraction_flag(self.job.id), None)
            raise Refused(" ".join([why, *outcome.failed, *outcome.done]), code=outcome.code)
        notices = [] if successor_id else await send_retraction_notices(self._engine, self.job, plan, talk)
        if any(publication.state is PublicationState.PENDING for publication in notices):
            raise Draining
        if any(_will_retry(publication) for publication in notices):
            await self._wait_for(notices)
            return
        await self._engine.store.set_flag(retraction_flag(self.job.id), None)
        unsent = [
            f"Not told: {publication.name}: {publication.reason}"
            for publication in notices
            if publication.state is not PublicationState.DONE
        ]
        await self._move(State.CANCELLED, " ".join([why, *outcome.done, *unsent]))

    async def _look_up(self, plan: Plan) -> Talk | None:
        if plan.programme is None:
            return None
        talk_id = str(self.job.facts.get("talk") or parse_recording_name(self.job.name).talk)
        # Before the talk, so that a reading between the two calls is not blamed for a row that the earlier one lacked.
        programme = await self._engine.store.programme(plan.programme)
        talk = await self._engine.store.talk(plan.programme, talk_id)
        if talk is None or talk.must_be_corrected:
            if programme is None or programme.read <= self._asked(talk):
                self._engine.wake_source(plan.programme)
                raise RetryLater(
                    f"vidd will look up the talk {talk_id} as soon as it has read the programme {plan.programme!r} again.",
                    after=_PROGRAMME_PAUSE,
                    counts=False,
                    code=FaultCode.PENDING,
                )
            if talk is None:
                raise Refused(
                    f"The programme {plan.programme!r}, read at {programme.read:%Y-%m-%d %H:%M:%S} UTC with"
                    f" {programme.talks} talks, has no talk {talk_id!r}: add it there or correct the file's name, then retry.",
                    code=FaultCode.NOT_FOUND,
                )
        if talk.fault:
            raise Refused(talk.fault)
        return talk

    def _asked(self, talk: Talk | None) -> datetime:
        """The time whose reading of the programme counts: of a person's last retry; for a talk without a row of the arrival."""
        retried = self.job.facts.get(RETRIED)
        if retried is not None:
            return datetime.fromisoformat(retried)
        return self.job.created if talk is None else datetime.min.replace(tzinfo=UTC)

    async def _all_published(self, plan: Plan) -> bool:
        known = {
            publication.name: publication
            for publication in await self._engine.store.publications(self.job.id)
            if publication.state in RESTING
        }
        return bool(plan.publishers) and all(
            publisher.name in known and not self._has_old_files(known[publisher.name], publisher)
            for publisher in plan.publishers
        )

    def _has_old_files(self, publication: Publication, planned: PlannedPublisher) -> bool:
        """Whether it is published with the files of an earlier edition, and its publisher can replace them."""
        outdated = planned.replace_files is not None and not is_of_edition(publication.revision, edition_of(self.job))
        return outdated and publication.state is PublicationState.DONE

    async def _publish(self, plan: Plan, talk: Talk | None, results: StepResults) -> None:
        gone = await rework.find_removed_files(self._engine, self.job, results)
        publishing = Publishing(self._engine, self.job, talk, results, gone=gone)
        planned = sorted(plan.publishers, key=lambda publisher: publisher.runs_last)
        await publishing.check_gates(planned)
        sent: list[Publication] = []
        receipts: dict[str, Receipt] = {}
        for last in (False, True):
            sent += await publishing.run_all(
                [publisher for publisher in planned if publisher.runs_last is last], notice=False, receipts=receipts
            )
            if any(publication.state is PublicationState.PENDING for publication in sent):
                raise Draining
            if self._must_stop(sent, planned[: len(sent)]):
                await self._stop_at(sent, planned[: len(sent)])
                return
            receipts = {
                publication.name: publication.receipt for publication in sent if publication.receipt is not None
            }
        self._engine.raise_if_draining()
        notices = await publishing.run_all(plan.notices, notice=True, receipts=receipts)
        if any(notice.state is PublicationState.PENDING for notice in notices):
            raise Draining
        if any(_will_retry(notice) for notice in notices):
            await self._wait_for(notices)
            return
        left = await hand_over(self._engine, self.job, talk, results, sent)
        await rework.keep_results(self._engine, self.job, plan)
        not_replaced = rework.list_non_replacing(self.job, plan)
        await self._move(State.PUBLISHED, _shortcomings(sent, notices, not_replaced, left))

    def _must_stop(self, sent: list[Publication], planned: Sequence[PlannedPublisher]) -> bool:
        incomplete = [
            publication
            for publication, plan in zip(sent, planned, strict=True)
            if plan.required and self._is_incomplete(publication, plan)
        ]
        return bool(incomplete) or any(_will_retry(publication) for publication in sent)

    def _is_incomplete(self, publication: Publication, planned: PlannedPublisher) -> bool:
        return publication.state is not PublicationState.DONE or self._has_old_files(publication, planned)

    async def _stop_at(self, sent: list[Publication], planned: Sequence[PlannedPublisher]) -> None:
        if any(_will_retry(publication) for publication in sent):
            await self._wait_for(sent)
            return
        unsure = [publication for publication in sent if publication.state is PublicationState.UNSURE]
        incomplete = [
            publication
            for publication, plan in zip(sent, planned, strict=True)
            if self._is_incomplete(publication, plan)
        ]
        reasons = " ".join(
            f"{publication.name}: {publication.reason}" for publication in incomplete if publication.reason
        )
        await self._move(State.UNSURE if unsure else State.REFUSED, reasons)

    async def _wait_for(self, sent: list[Publication]) -> None:
        waiting = [publication for publication in sent if _will_retry(publication)]
        first = min(waiting, key=lambda publication: publication.until or self._engine.now())
        await self._move(State.WAITING, f"{first.name}: {first.reason}", until=first.until)

    async def _retry_later(self, fault: RetryLater) -> None:
        tried = self.job.tried or self._engine.now()
        attempt = self.job.attempt + 1 if fault.counts else self.job.attempt
        if fault.counts:
            until = self._engine.next_try(attempt, tried, fault.after)
        else:
            until = self._engine.next_try(0, self._engine.now(), fault.after)
        if until is None:
            await self._move(State.REFUSED, f"Given up after {attempt} attempts: {fault.sentence}", fault=fault)
            return
        self._engine.observe(Retried("job", fault.sentence))
        changes = {"until": until, "attempt": attempt, "tried": tried, "facts": self._facts(fault)}
        await shield_to_end(self._save(State.WAITING, fault.sentence, changes))

    async def _return_to_queue(self, reason: str) -> None:
        if self.job.state in {State.WORKING, State.PUBLISHING}:
            await self._move(State.READY, reason)

    async def _handle_cancellation(self) -> None:
        if self.cancel_reason is not None:
            out = await describe_public(self._engine.store, self.job)
            await self._move(State.CANCELLED, f"{self.cancel_reason}{out}")
            await self._engine.workspace.remove(self.job.id)
        else:
            await self._return_to_queue("The daemon was stopped; it goes on after the next start.")


def _will_retry(publication: Publication) -> bool:
    """Whether vidd tries it, or a change of it, again later."""
    return publication.until is not None and publication.state in {PublicationState.WAITING, PublicationState.DONE}


def _shortcomings(
    sent: Sequence[Publication],
    notices: Sequence[Publication],
    not_replaced: Sequence[str],
    not_handed_over: Sequence[str],
) -> str | None:
    unsent = [f"{notice.name}: {notice.reason}" for notice in notices if notice.state is not PublicationState.DONE]
    unchanged = [
        f"{publication.name}: {publication.reason}"
        for publication in sent
        if publication.state is PublicationState.DONE and publication.reason
    ]
    unchanged += [f"{name}: it cannot replace what is out." for name in not_replaced]
    parts = (("not told", unsent), ("not changed", unchanged), ("not handed over", not_handed_over))
    parts_in_words = [f"{what}: {' '.join(sentences)}" for what, sentences in parts if sentences]
    return f"Published, but {'; '.join(parts_in_words)}" if parts_in_words else None
