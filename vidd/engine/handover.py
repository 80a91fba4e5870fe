"""Keeps a published job's file for the sources that follow its pipeline, before vidd removes the job's directory.

Each hand-over is a directory `published/<source>/<job>-<token>` in the state directory: the file, and a record of the job
and of where it was published. vidd renames it into place, so it is complete or missing, and does that before the job is
`published`, so a kill loses none. Another edition or another publication of the job has another token.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from vidd.aio.shield import in_thread
from vidd.engine.context import EngineContext
from vidd.engine.step_run import StepResults
from vidd.files.clone import clone_or_link
from vidd.files.removal import remove
from vidd.model.handover import RECORD, handovers_of
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication
from vidd.model.rework import edition_of
from vidd.model.serialization import receipt_to_json
from vidd.model.talk import Talk

_log = structlog.get_logger()


async def hand_over(
    engine: EngineContext, job: Job, talk: Talk | None, results: StepResults, sent: Sequence[Publication]
) -> list[str]:
    """Hand the job over to every source that follows its pipeline; returns a sentence for each that got nothing.

    A job whose file is gone was handed over by an earlier run. Nothing here keeps the job from being published.
    """
    failed = []
    for source, role in engine.followers.get(job.pipeline, ()):
        artifact = results.artifacts.get(role)
        if artifact is None or artifact.tree is not None:
            failed.append(f"{source}: the steps made no file {role!r}; correct file of [sources.{source}].")
            continue
        if "window" in artifact.facts:
            failed.append(f"{source}: of the {role!r} only a part was fetched; set ranged = false of the fetch step.")
            continue
        record = _record(job, talk, results, sent, artifact)
        target = handovers_of(engine.tools.state, source) / f"{job.id}-{record['token']}"
        try:
            await in_thread(_keep, engine.workspace.root / job.id / artifact.path, target, record)
        except OSError as error:
            _log.warning("not handed over", job=job.id, source=source, error=str(error))
            failed.append(f"{source}: its file could not be kept ({error.strerror or error}).")
    return failed


def _record(
    job: Job, talk: Talk | None, results: StepResults, sent: Sequence[Publication], artifact: Artifact
) -> dict[str, Any]:
    places = [(publication.name, publication.edition, publication.receipt) for publication in sent]
    known = [(name, edition, receipt.url if receipt else None) for name, edition, receipt in places]
    return {
        "job": job.id,
        "token": hashlib.sha256(repr((edition_of(job), known)).encode()).hexdigest()[:12],
        "edition": edition_of(job),
        "pipeline": job.pipeline,
        "name": job.name,
        "talk_id": job.talk,
        "talk": _talk_to_json(talk),
        "file": Path(artifact.path).name,
        "facts": dict(results.facts),
        "receipts": {name: receipt_to_json(receipt) for name, _, receipt in places if receipt is not None},
    }


def _talk_to_json(talk: Talk | None) -> Mapping[str, Any]:
    """What follow-ups need to know of a talk; no addresses of people."""
    if talk is None:
        return {}
    return {
        "title": talk.title,
        "stage": talk.stage,
        "speakers": [speaker.name for speaker in talk.speakers],
        "facts": {"columns": talk.facts.get("columns", {})}
        | {name: fact for name, fact in talk.facts.items() if name == "language"},
    }


def _keep(source: Path, target: Path, record: Mapping[str, Any]) -> None:
    if target.exists() or not source.is_file():
        return
    part = target.with_name(f".{target.name}.part")
    remove(part)
    part.mkdir(parents=True)
    if not clone_or_link(source, part / record["file"]):
        shutil.copyfile(source, part / record["file"])
    (part / RECORD).write_text(json.dumps(record))
    part.rename(target)
