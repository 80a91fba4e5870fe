"""What a rework adds to a job's run: restores kept results, compares the new ones with them, and keeps those."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from vidd.engine.context import EngineContext
from vidd.engine.kept_results import KeptResults, compare_results, tree_files
from vidd.engine.step_run import StepResults
from vidd.errors import FaultCode, Refused
from vidd.model.job import Job
from vidd.model.rework import REWORK, base_edition, edition_of, only_publishes, previous_edition, rework_of
from vidd.ports import Plan

_FETCH = "fetch"


def kept_results_of(engine: EngineContext) -> KeptResults:
    """The store of kept results, in the state directory beside the jobs' directories."""
    return KeptResults(engine.workspace.root.parent / "kept")


async def restore_kept(engine: EngineContext, job: Job, plan: Plan) -> str | None:
    """Copy the kept results into the job's directory, unless steps of this rework were recorded already.

    An attempt that ended before the rework's first step was recorded starts again from the kept results. Returns the step that must run even if
    an outcome of it is recorded, because the restored files are not from that outcome; None if there is no such step.
    Raises Refused if the rework only publishes kept results and they are gone.
    """
    number = base_edition(job)
    if number is None or await _has_begun(engine, job, plan):
        return None
    edition = await asyncio.to_thread(kept_results_of(engine).edition, job.id, number)
    if edition is None:
        if only_publishes(job):
            raise Refused(
                "The kept results are gone: make them again with vidd rework --step.", code=FaultCode.NOT_FOUND
            )
        return None
    await asyncio.to_thread(kept_results_of(engine).restore, edition, engine.workspace.directory(job.id))
    if only_publishes(job):
        for record in edition.steps:
            await engine.store.record_step(record)
    first: str | None = rework_of(job).get("step")
    return first


async def _has_begun(engine: EngineContext, job: Job, plan: Plan) -> bool:
    if not any(engine.workspace.directory(job.id).iterdir()):
        return False  # vidd has removed the files of an earlier attempt
    first = rework_of(job).get("step")
    records = {record.name: record for record in await engine.store.steps(job.id)}
    planned = next((step for step in plan.steps if step.name == first), None)
    return planned is not None and first in records and records[first].fingerprint == planned.fingerprint


async def compare_with_previous(engine: EngineContext, job: Job, results: StepResults) -> Mapping[str, Any] | None:
    """The job's facts with the comparison; None if there is nothing to compare, or it was compared before."""
    number, rework = previous_edition(job), rework_of(job)
    if number is None or "compared" in rework:
        return None
    kept, directory, artifacts = kept_results_of(engine), engine.workspace.directory(job.id), dict(results.artifacts)
    edition = await asyncio.to_thread(kept.edition, job.id, number)
    if edition is None:
        return None
    found = await asyncio.to_thread(compare_results, edition, directory, artifacts)
    await asyncio.to_thread(kept.record_published, job.id, edition_of(job), tree_files(directory, artifacts))
    return {**job.facts, REWORK: {**rework, "compared": found}}


async def find_removed_files(engine: EngineContext, job: Job, results: StepResults) -> Mapping[str, Sequence[str]]:
    """By role of a tree, the paths of files that an earlier edition may have published and this one does not have."""
    number = previous_edition(job)
    if number is None:
        return {}
    now = await asyncio.to_thread(tree_files, engine.workspace.directory(job.id), dict(results.artifacts))
    known = await asyncio.to_thread(kept_results_of(engine).published_since, job.id, number)
    # Once everything is published, the trees are among the kept results and not in the job's directory.
    return {role: sorted(known.get(role, set()) - paths) for role, paths in now.items()}


async def keep_results(engine: EngineContext, job: Job, plan: Plan) -> None:
    """Keep the results for the time that the pipeline says, without fetched files, which vidd can fetch again."""
    if plan.keep is None:
        return
    steps = await engine.store.steps(job.id)
    fetched = [artifact.path for step in steps if step.kind == _FETCH for artifact in step.outcome.artifacts]
    publishes_source = "source" in set(_texts([row["options"] for row in job.settings.get("publish", ())]))
    await asyncio.to_thread(
        kept_results_of(engine).keep,
        job.id,
        edition_of(job),
        engine.workspace.root / job.id,
        until=engine.now() + timedelta(seconds=plan.keep),
        settings=job.settings,
        steps=steps,
        without=() if publishes_source else fetched,
    )


def list_non_replacing(job: Job, plan: Plan) -> list[str]:
    """The names of publishers that cannot replace their published files, although the rework changed some."""
    changes = rework_of(job).get("compared", {})
    changed = any(changes.get(what, 1) for what in ("added", "changed", "removed")) and edition_of(job) > 1
    return [publisher.name for publisher in plan.publishers if changed and publisher.replace_files is None]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _texts(item)
