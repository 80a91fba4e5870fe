"""What a rework adds to a job's run: what it begins with, what it is compared with, and what is kept of the result."""

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
    """The results that are kept, beside the jobs' directories."""
    return KeptResults(engine.workspace.root.parent / "kept")


async def restore_kept(engine: EngineContext, job: Job, plan: Plan) -> str | None:
    """Put the kept results into the job's directory, unless steps of this rework were recorded already.

    An attempt that died or failed in between begins once more from what was kept, whatever it left. Returns the step that
    must run then, whatever is recorded of it: what lies there is not what it made.
    """
    number = base_edition(job)
    if number is None or await _under_way(engine, job, plan):
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


async def _under_way(engine: EngineContext, job: Job, plan: Plan) -> bool:
    if not any(engine.workspace.directory(job.id).iterdir()):
        return False  # what an earlier attempt made has been swept away
    first = rework_of(job).get("step")
    records = {record.name: record for record in await engine.store.steps(job.id)}
    planned = next((step for step in plan.steps if step.name == first), None)
    return planned is not None and first in records and records[first].fingerprint == planned.fingerprint


async def compare_with_previous(engine: EngineContext, job: Job, made: StepResults) -> Mapping[str, Any] | None:
    """The job's facts with what its rework changed; None where there is nothing to compare, or it was done before."""
    number, rework = previous_edition(job), rework_of(job)
    if number is None or "compared" in rework:
        return None
    kept, directory, artifacts = kept_results_of(engine), engine.workspace.directory(job.id), dict(made.artifacts)
    edition = await asyncio.to_thread(kept.edition, job.id, number)
    if edition is None:
        return None
    found = await asyncio.to_thread(compare_results, edition, directory, artifacts)
    await asyncio.to_thread(kept.record_published, job.id, edition_of(job), tree_files(directory, artifacts))
    return {**job.facts, REWORK: {**rework, "compared": found}}


async def find_removed_files(engine: EngineContext, job: Job, made: StepResults) -> Mapping[str, Sequence[str]]:
    """Of each tree, the places of files that the edition before, or one that failed since, had and this one has not."""
    number = previous_edition(job)
    if number is None:
        return {}
    now = await asyncio.to_thread(tree_files, engine.workspace.directory(job.id), dict(made.artifacts))
    known = await asyncio.to_thread(kept_results_of(engine).published_since, job.id, number)
    # Where all of it is out already, the files are kept and no longer here.
    return {role: sorted(known.get(role, set()) - places) for role, places in now.items()}


async def keep_results(engine: EngineContext, job: Job, plan: Plan) -> None:
    """Put the results aside for as long as the pipeline says. What was fetched can be fetched again and is left out."""
    if plan.keep is None:
        return
    steps = await engine.store.steps(job.id)
    fetched = [artifact.path for step in steps if step.kind == _FETCH for artifact in step.outcome.artifacts]
    wanted = "source" in set(_texts([row["options"] for row in job.settings.get("publish", ())]))
    await asyncio.to_thread(
        kept_results_of(engine).keep,
        job.id,
        edition_of(job),
        engine.workspace.root / job.id,
        until=engine.now() + timedelta(seconds=plan.keep),
        settings=job.settings,
        steps=steps,
        without=() if wanted else fetched,
    )


def cannot_replace(job: Job, plan: Plan) -> list[str]:
    """The publishers that cannot bring what is out up to the files of a rework that changed some."""
    changes = rework_of(job).get("compared", {})
    some = any(changes.get(what, 1) for what in ("added", "changed", "removed")) and edition_of(job) > 1
    return [publisher.name for publisher in plan.publishers if some and publisher.replace_files is None]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _texts(item)
