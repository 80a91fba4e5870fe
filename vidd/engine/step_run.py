"""Runs the steps of one job in order, and records each outcome once its files are complete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.engine.context import Draining, EngineContext
from vidd.errors import Fault, FaultCode, Refused
from vidd.model.event import Progressed, StepEnded, StepStarted, fate_of
from vidd.model.job import Job
from vidd.model.media import Artifact, Outcome, StepRecord, Tree
from vidd.model.rework import base_edition, rework_of
from vidd.model.talk import Talk
from vidd.ports import Plan, PlannedStep, StepContext

_log = structlog.get_logger()
Complete = Callable[[Outcome], Awaitable[Outcome]]


@dataclass
class StepResults:
    """The artifacts (by role) and facts that the steps have made so far."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome; its artifacts and facts replace earlier ones of the same role or name."""
        self.artifacts.update({artifact.role: artifact for artifact in outcome.artifacts})
        self.facts.update(outcome.facts)


async def run_steps(
    engine: EngineContext, job: Job, plan: Plan, talk: Talk | None, *, sent: bool, rerun: str | None = None
) -> StepResults:
    """Run the steps that have no valid recorded outcome, and those that always run again; returns the results of all.

    sent: no publisher needs a file any more, so recorded outcomes count even if their files are gone.
    rerun: the step whose recorded outcome does not count.
    Raises Refused if files that a step needs are gone although the step that left them ran again.
    """
    records = {record.name: record for record in await engine.store.steps(job.id)}
    return await _StepsRun(engine, job, plan, talk, records, sent=sent, rerun=rerun).run()


class _StepsRun:
    """One run through the steps of a job."""

    def __init__(
        self,
        engine: EngineContext,
        job: Job,
        plan: Plan,
        talk: Talk | None,
        records: Mapping[str, StepRecord],
        *,
        sent: bool,
        rerun: str | None,
    ) -> None:
        self._engine, self._job, self._steps, self._talk = engine, job, plan.steps, talk
        self._records, self._sent, self._rerun = dict(records), sent, rerun
        self._ahead = _steps_before_rework(job, plan)
        self._trusted = True
        self._outcomes: list[Outcome] = []
        self._ran: set[str] = set()

    @property
    def _results(self) -> StepResults:
        results = StepResults()
        for outcome in self._outcomes:
            results.add(outcome)
        return results

    async def run(self) -> StepResults:
        """The results of all steps."""
        while len(self._outcomes) < len(self._steps):
            step = self._steps[len(self._outcomes)]
            recorded = await self._recorded_outcome(step)
            if recorded is not None:
                self._outcomes.append(recorded)
                continue
            self._engine.raise_if_draining()
            maker = await self._find_maker_of_lost_files(step)
            if maker is not None:
                # From the step that left them on, no record serves.
                self._trusted = False
                del self._outcomes[maker:]
                continue
            self._outcomes.append(await self._run(step))
        return self._results

    async def _recorded_outcome(self, step: PlannedStep) -> Outcome | None:
        """The outcome of an earlier run if it serves; else None."""
        record = self._records.get(step.name)
        if step.always_rerun:
            return None
        if self._sent and record is not None:
            return record.outcome
        self._trusted = (
            self._trusted and step.name != self._rerun and record is not None and record.fingerprint == step.fingerprint
        )
        if not self._trusted or record is None:
            return None
        if not await self._engine.workspace.has(self._job.id, record.outcome.artifacts):
            return None
        if step.is_still_valid is None or step.is_still_valid(self._context(step), record.outcome):
            return record.outcome
        return None

    async def _run(self, step: PlannedStep) -> Outcome:
        if step.always_rerun:
            # Such a step makes only text. It must not make the steps after it run again.
            return await _run(self._engine, self._job, step, self._context(step))
        before = await self._needed_later()
        outcome = await _run(
            self._engine, self._job, step, self._context(step), lambda made: self._add_left(step, before, made)
        )
        self._ran.add(step.name)
        # The steps after one that ran again used its old files, so they run again, unless the new files are the same.
        record = self._records.get(step.name)
        same = step.name in self._ahead and record is not None and _same_files(record.outcome, outcome)
        self._trusted = self._trusted and same
        return outcome

    async def _needed_later(self, made: Outcome | None = None) -> dict[str, str]:
        """By the name of each step after this one, the digest of the files that it needs; `made` is what this step made."""
        results = self._results
        if made is not None:
            results.add(made)
        found = {}
        for later in self._steps[len(self._outcomes) + 1 :]:
            with suppress(Refused):  # the facts that name the files are not there yet
                found[later.name] = _digest(await self._find_needed(later, results))
        return found

    async def _add_left(self, step: PlannedStep, before: Mapping[str, str], made: Outcome) -> Outcome:
        """The outcome with the digests of the files that it left for later steps."""
        record = self._records.get(step.name)
        known = record.outcome.left if record is not None else {}
        after = await self._needed_later(made)
        left = {name: digest for name, digest in after.items() if name in known or digest != before.get(name, "")}
        return replace(made, left=left)

    async def _find_maker_of_lost_files(self, step: PlannedStep) -> int | None:
        """The position of the step to run again because what it left for this one is gone or changed; None if nothing is.

        Raises Refused if that step ran just now, or if no step left the files.
        """
        needed = {} if self._sent else await self._find_needed(step, self._results)
        makers = [at for at, outcome in enumerate(self._outcomes) if step.name in outcome.left]
        missing = [name for name, tree in needed.items() if not tree.files]
        if not needed or not (missing or (makers and self._outcomes[makers[-1]].left[step.name] != _digest(needed))):
            return None
        what = quoted((missing or list(needed))[0])
        maker = self._steps[makers[-1]].name if makers else None
        if maker is None or maker in self._ran:
            raise _cannot_be_made(step.name, what, maker)
        _log.warning("step runs again", job=self._job.id, step=maker, files_gone=what, needed_by=step.name)
        return makers[-1]

    async def _find_needed(self, step: PlannedStep, results: StepResults) -> Mapping[str, Tree]:
        if step.find_needed is None:
            return {}
        return await in_thread(step.find_needed, self._context(step, results))

    def _context(self, step: PlannedStep, results: StepResults | None = None) -> StepContext:
        return _context(self._engine, self._job, step.name, self._talk, results or self._results)


def _cannot_be_made(step: str, what: str, maker: str | None) -> Refused:
    sentence = (
        f"The step {step!r} needs {what}, which no step before it left: see their log (vidd log), or correct `needs` of the"
        " step, then retry."
        if maker is None
        else f"The step {step!r} needs {what}, and some of it is gone although the step {maker!r}, which leaves it, ran just"
        " now: see its log (vidd log), then retry."
    )
    refused = Refused(sentence, code=FaultCode.NOT_FOUND)
    refused.step = step
    return refused


def _digest(needed: Mapping[str, Tree]) -> str:
    """One digest of all files that a step needs; empty if some of them are missing, or if it needs none."""
    if not all(tree.files for tree in needed.values()):
        return ""
    return " ".join(tree.digest for tree in needed.values())


def _steps_before_rework(job: Job, plan: Plan) -> set[str]:
    """The steps before the first step of a rework that starts from kept results. Their fetched files were not kept."""
    names = [step.name for step in plan.steps]
    first = rework_of(job).get("step")
    return set(names[: names.index(first)]) if first in names and base_edition(job) is not None else set()


def _same_files(old: Outcome, new: Outcome) -> bool:
    return [(artifact.role, artifact.path, artifact.size) for artifact in old.artifacts] == [
        (artifact.role, artifact.path, artifact.size) for artifact in new.artifacts
    ]


class _Slot:
    """The slot that a step holds while it crowds the machine. `waited` is how long the step waited for it, in seconds."""

    def __init__(self, engine: EngineContext, job: Job, slot: str | None) -> None:
        self._engine, self._job, self._slot = engine, job, slot
        self.waited = 0.0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold the slot. Raises Draining if the daemon drains once the slot is free."""
        waiting_since = time.monotonic()
        async with self._engine.slots.hold(self._slot, self._job.priority, self._job.id):
            self.waited += time.monotonic() - waiting_since
            self._engine.raise_if_draining()
            yield


async def _run(
    engine: EngineContext, job: Job, step: PlannedStep, context: StepContext, complete: Complete | None = None
) -> Outcome:
    """Run a step, and record its outcome as `complete` returns it."""
    slot = _Slot(engine, job, step.pool)
    if step.takes_own_slot:
        outcome, seconds = await _observe_run(engine, step, replace(context, slot=slot.hold), slot)
    else:
        async with slot.hold():
            outcome, seconds = await _observe_run(engine, step, context, slot)
    outcome = await complete(outcome) if complete is not None else outcome
    record = StepRecord(job.id, step.name, step.kind, step.fingerprint, outcome, seconds, engine.now())
    # A step of an hour must not run again because the store was away for a minute.
    await engine.until_saved(lambda: engine.store.record_step(record))
    return outcome


async def _observe_run(
    engine: EngineContext, step: PlannedStep, context: StepContext, slot: _Slot
) -> tuple[Outcome, float]:
    job = context.job
    engine.observe(StepStarted(job.id, job.pipeline, step.name, step.kind))
    started, waited_before, fate = time.monotonic(), slot.waited, "defect"
    try:
        outcome = await step.run(context)
        fate = "done"
    except (Draining, asyncio.CancelledError):
        fate = "cancelled"
        raise
    except Fault as fault:
        fate, fault.step = fate_of(fault), step.name
        engine.observe_fault(step.name, fault)
        raise
    finally:
        seconds = time.monotonic() - started - (slot.waited - waited_before)
        engine.observe(StepEnded(job.id, job.pipeline, step.name, step.kind, seconds, fate))
    return outcome, seconds


def _context(engine: EngineContext, job: Job, part: str, talk: Talk | None, results: StepResults) -> StepContext:
    def progress(done: float, total: float | None, unit: str, speed: float | None) -> None:
        engine.observe(Progressed(job.id, part, done, total, unit, speed))

    artifacts: Mapping[str, Artifact] = dict(results.artifacts)
    directory = engine.workspace.directory(job.id)
    return StepContext(job, directory, engine.tools, talk, artifacts, dict(results.facts), progress, step=part)
