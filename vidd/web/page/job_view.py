"""`/jobs/{id}`: what a job waits for, its steps in time, its frames, its video, receipts, findings, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.model.check_policy import describe_file, findings, policy_of
from vidd.model.job import FAILURE
from vidd.model.publication import PUBLICATION_MEANING, PublicationState
from vidd.web.control_port import CONTROL
from vidd.web.notes import notes_of
from vidd.web.page.filters import RUNNING
from vidd.web.page.lines import line_of
from vidd.web.page.stills import places_of
from vidd.web.page.templating import render
from vidd.web.page.time_axis import Axis, marks_of, rows_of
from vidd.web.problem import Problem
from vidd.web.serializers import link_of, public_location

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiohttp import web

    from vidd.model.job import Job
    from vidd.model.media import Artifact, StepRecord
    from vidd.model.publication import Publication
    from vidd.model.talk import Talk
    from vidd.web.page.stills import Place

_LOG_BYTES = 4000
_OPEN = frozenset({PublicationState.UNSURE, PublicationState.REFUSED})
_FACT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class FileView:
    """A file that a step made. `video` is the address of its player, None where it is no video or is gone."""

    role: str
    summary: str
    findings: Sequence[tuple[str, str]]
    axis: Axis | None
    video: str | None
    content_type: str


class JobView:
    """Renders the parts of a job's page."""

    def __init__(self, app: web.Application, job_id: str) -> None:
        self._control, self._id = app[CONTROL], job_id
        self._last: tuple[Job, Talk | None] | None = None

    async def parts(self) -> dict[str, str]:
        """Every part, by the id of its element. Raises RetryLater if the store is away, Problem 404 without the job."""
        control = self._control
        job = await control.store.job(self._id)
        if job is None:
            raise Problem(404, "There is no such job: the overview lists them.")
        steps, publications = await control.store.steps(job.id), await control.store.publications(job.id)
        talk = await self._talk(job)
        self._last = job, talk
        history = await control.store.history(job.id)
        line = line_of(job, talk, control.progress().get(job.id, ()), link_of(publications), control.eta(job.id))
        actions = [*line.actions]
        if "resolve" not in actions and any(publication.state in _OPEN for publication in publications):
            actions.insert(0, "resolve")
        files = await self._files(job, steps)
        text, _ = await control.log(job.id, _LOG_BYTES)
        return {
            "head": render("job_head.html", job=line, explanation=await control.explain(job), actions=actions),
            "progress": self._render_progress(),
            "timeline": render(
                "job_timeline.html",
                rows=rows_of(job, steps, publications, control.progress().get(job.id, ())),
                history=history,
                attempt=job.attempt,
            ),
            "frames": render("job_frames.html", job=job.id, frames=await self._frames(job, steps)),
            "player": render("job_player.html", file=_played(files), receipts=_receipts(publications)),
            "receipts": render("job_receipts.html", publications=publications, meanings=PUBLICATION_MEANING),
            "check": render("job_check.html", files=files, notes=notes_of(talk, steps, publications)),
            "facts": render("job_facts.html", facts=_facts(job, talk, steps)),
            "log": render("job_log.html", text=text or _said(job)),
        }

    async def progress(self) -> dict[str, str]:
        """The parts that progress changes; asks the store for nothing."""
        return {"progress": self._render_progress()}

    def _render_progress(self) -> str:
        if self._last is None or self._last[0].state not in RUNNING:
            return ""
        job, talk = self._last
        return render("job_progress.html", job=line_of(job, talk, self._control.progress().get(job.id, ())))

    async def _talk(self, job: Job) -> Talk | None:
        programme = job.settings.get("programme")
        return await self._control.store.talk(programme, job.talk) if programme and job.talk else None

    async def _files(self, job: Job, steps: Sequence[StepRecord]) -> list[FileView]:
        found = []
        for step in steps:
            policy = policy_of(job.settings, step.name)
            for artifact in step.outcome.artifacts:
                record = artifact.facts.get("check")
                what = [(finding.action, finding.sentence) for finding in findings(record, policy)] if record else []
                found.append(
                    FileView(
                        artifact.role,
                        describe_file(artifact),
                        what,
                        marks_of(artifact, record) if record else None,
                        await self._address(job, artifact),
                        artifact.content_type,
                    )
                )
        return found

    async def _address(self, job: Job, artifact: Artifact) -> str | None:
        if artifact.tree is not None or not artifact.content_type.startswith(("video/", "audio/")):
            return None
        path = await self._control.file(job, artifact.path)
        return f"/jobs/{job.id}/video/{artifact.role}" if path is not None else None

    async def _frames(self, job: Job, steps: Sequence[StepRecord]) -> list[Place]:
        there = {place.path: await self._control.file(job, place.path) for place in places_of(job, steps)}
        return [place for place in places_of(job, steps) if there[place.path] is not None]


def _played(files: Iterable[FileView]) -> FileView | None:
    """The file to play: the newest that is no source."""
    playable = [file for file in files if file.video and file.content_type.startswith("video/")]
    made = [file for file in playable if file.role != "source"]
    talk = [file for file in made if file.role == "talk"]
    return next(iter([*talk, *reversed(made), *playable]), None)


def _receipts(publications: Iterable[Publication]) -> list[tuple[str, str]]:
    return [
        (publication.name, publication.receipt.url)
        for publication in publications
        if not publication.notice and publication.receipt and publication.receipt.url
    ]


def _facts(job: Job, talk: Talk | None, steps: Iterable[StepRecord]) -> list[tuple[str, str]]:
    found: list[tuple[str, Any]] = [
        ("job", job.id),
        ("pipeline", job.pipeline),
        ("source", job.source),
        ("file", job.name),
        ("location", public_location(job.location)),
        ("priority", job.priority),
    ]
    if talk is not None:
        found += [("talk", talk.id), ("channel", talk.channel), ("e-mail", _addressed(talk))]
    found += [(name, fact) for name, fact in job.facts.items() if name != FAILURE]
    for step in steps:
        found += [(f"{step.name}: {name}", fact) for name, fact in step.outcome.facts.items() if name != "notes"]
    return [(name, str(fact)[:_FACT_LENGTH]) for name, fact in found if fact not in ("", None, [], {})]


def _addressed(talk: Talk) -> str:
    return ", ".join(speaker.name for speaker in talk.speakers if speaker.email)


def _said(job: Job) -> str:
    """The last words of the program that failed."""
    failure: Mapping[str, Any] = job.facts.get(FAILURE) or {}
    said = failure.get("said", "")
    return "\n".join(map(str, said)) if isinstance(said, list | tuple) else str(said or "")
