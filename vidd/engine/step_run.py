"""Runs the steps of one job in order, and records each outcome once its files are complete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from vidd.engine.context import Draining, EngineContext
from vidd.errors import Fault
from vidd.model.event import Progressed, StepEnded, StepStarted, fate_of
from vidd.model.job import Job
from vidd.model.media import Artifact, Outcome, StepRecord
from vidd.model.rework import base_edition, rework_of
from vidd.model.talk import Talk
from vidd.ports import Plan, PlannedStep, StepContext


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
    """
    records = {record.name: record for record in await engine.store.steps(job.id)}
    results, trusted, ahead = StepResults(), True, _steps_before_rework(job, plan)
    for step in plan.steps:
        record = records.get(step.name)
        if step.always_rerun:
            # Such a step makes only text. It must not make the steps after it run again.
            engine.raise_if_draining()
            results.add(await _run(engine, job, step, talk, results))
            continue
        if sent and record is not None:
            results.add(record.outcome)
            continue
        trusted = trusted and step.name != rerun and record is not None and record.fingerprint == step.fingerprint
        if trusted and record is not None and await engine.workspace.has(job.id, record.outcome.artifacts):
            context = _context(engine, job, step.name, talk, results)
            if step.is_still_valid is None or step.is_still_valid(context, record.outcome):
                results.add(record.outcome)
                continue
        engine.raise_if_draining()
        outcome = await _run(engine, job, step, talk, results)
        results.add(outcome)
        # The steps after one that ran again used its old files, so they run again, unless the new files are the same.
        trusted = trusted and step.name in ahead and record is not None and _same_files(record.outcome, outcome)
    return results


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
        async with self._engine.slots.hold(self._slot, self._job.priority):
            self.waited += time.monotonic() - waiting_since
            self._engine.raise_if_draining()
            yield


async def _run(engine: EngineContext, job: Job, step: PlannedStep, talk: Talk | None, results: StepResults) -> Outcome:
    slot = _Slot(engine, job, step.pool)
    context = _context(engine, job, step.name, talk, results)
    if step.takes_own_slot:
        outcome, seconds = await _observe_run(engine, step, replace(context, slot=slot.hold), slot)
    else:
        async with slot.hold():
            outcome, seconds = await _observe_run(engine, step, context, slot)
    record = StepRecord(job.id, step.name, step.kind, step.fingerprint, outcome, seconds)
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
