"""Checks every file before it is published, and applies the policy to what the check found.

A held job waits for a person, who decides once per file: an approval names the `id` of the file's record, and another file,
even of the same recording, has another id.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.model.check_policy import findings, policy_of
from vidd.model.media import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vidd.engine.context import EngineContext
    from vidd.engine.step_run import StepResults
    from vidd.model.check_policy import Finding
    from vidd.model.job import Job
    from vidd.model.media import Artifact, StepRecord
    from vidd.ports import Plan


def outgoing_roles(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[str]:
    """The roles of the media files that publishers take. A publisher without roles takes what steps made, else the source."""
    default = [role for role in artifacts if role != "source"] or list(artifacts)
    published = [role for publisher in plan.publishers for role in (publisher.roles or default)]
    return [role for role, artifact in artifacts.items() if role in published and _is_media(artifact)]


def _is_media(artifact: Artifact) -> bool:
    """Whether the check applies. Trees and reports of programs are checked by their own steps."""
    video = artifact.role == "source" or artifact.content_type.startswith(("video/", "audio/"))
    return video and artifact.tree is None


def review_flag(job_id: str) -> str:
    """The name of the flag that is set once a person approved a job of a pipeline with `review`."""
    return f"approved:{job_id}"


async def check_outgoing(engine: EngineContext, job: Job, plan: Plan, results: StepResults) -> None:
    """Check every outgoing file that its step has not checked. Raises Refused if a file is unusable.

    The record of the check is saved with the step that made the file.
    """
    for role in outgoing_roles(plan, results.artifacts):
        artifact = results.artifacts[role]
        known = artifact.facts.get("check", {})
        if "id" in known:
            continue
        media, record = await engine.examine(engine.workspace.directory(job.id) / artifact.path, artifact, job.name)
        facts = {**artifact.facts, "check": {**record, **known}}
        checked = replace(artifact, media=artifact.media or media, facts=facts)
        results.artifacts[role] = checked
        steps = await engine.store.steps(job.id)
        for step in [step for step in steps if step.name == _maker_of(steps, role)]:
            artifacts = tuple(checked if output.role == role else output for output in step.outcome.artifacts)
            await engine.store.record_step(replace(step, outcome=Outcome(artifacts, step.outcome.facts)))


async def find_reasons_to_hold(engine: EngineContext, job: Job, plan: Plan, results: StepResults) -> str | None:
    """What a person must decide before publication, in a sentence; None if nothing.

    Raises Refused if the policy refuses a finding.
    """
    approved = set((await engine.store.get_flag(_approval_flag(job.id)) or "").split())
    steps = await engine.store.steps(job.id)
    refused: list[tuple[str, Finding]] = []
    held: list[tuple[str, Finding]] = []
    for role in outgoing_roles(plan, results.artifacts):
        record = results.artifacts[role].facts.get("check", {})
        for finding in findings(record, policy_of(job.settings, _maker_of(steps, role))):
            if finding.action == "refuse":
                refused.append((role, finding))
            elif finding.action == "hold" and record.get("id") not in approved:
                held.append((role, finding))
    if refused:
        raise Refused(
            f"The check refused it. {_in_words(refused)} Correct the recording or the talk's times; or allow it under [pipelines.{job.pipeline}.check]"
            f" and vidd retry {job.id} --fresh-settings.",
            code=FaultCode.REJECTED,
        )
    return f"The check found: {_in_words(held)}" if held else None


async def approve(engine: EngineContext, job: Job) -> None:
    """Record that a person approved the files as they are now, in spite of the findings."""
    known = (await engine.store.get_flag(_approval_flag(job.id)) or "").split()
    now = [str(record["id"]) for step in await engine.store.steps(job.id) for record in _records(step)]
    if now:
        await engine.store.set_flag(_approval_flag(job.id), " ".join(dict.fromkeys([*known, *now])))


def _approval_flag(job_id: str) -> str:
    return f"check approved:{job_id}"


def _records(step: StepRecord) -> Iterator[Mapping[str, Any]]:
    for artifact in step.outcome.artifacts:
        if "id" in artifact.facts.get("check", {}):
            yield artifact.facts["check"]


def _maker_of(steps: Sequence[StepRecord], role: str) -> str:
    makers = [step.name for step in steps if any(artifact.role == role for artifact in step.outcome.artifacts)]
    return makers[-1] if makers else ""


def _in_words(found: Sequence[tuple[str, Finding]]) -> str:
    """Each sentence once, after the roles of the files that it is about."""
    roles: dict[str, list[str]] = {}
    for role, finding in found:
        roles.setdefault(finding.sentence, []).append(role)
    return " ".join(f"{', '.join(names)}: {sentence}" for sentence, names in roles.items())
