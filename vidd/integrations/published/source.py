"""Starts a job for each job that another pipeline has published, such as one that makes its captions.

Level-triggered: a hand-over (`vidd.engine.handover`) is there before its job is published and stays until the job that
follows has no more use for its file. So the source looks at what there is, at its start and whenever a job moved. Another
edition of a job has another key; the job for it replaces the one for the edition before. What a retracted job's follow-ups
published is taken back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.files.removal import remove
from vidd.model.event import Event, JobMoved
from vidd.model.handover import PUBLISHED, RECORD, handovers_of
from vidd.model.job import FAILED, REPLACES, Arrival, Job, State
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import SourceContext, Tools

_GONE = frozenset({State.CANCELLED, State.EXCLUDED})
_DONE = _GONE | {State.PUBLISHED}
_RESTING = _DONE | FAILED


class Options(Base):
    """Settings of a source of kind `published`."""

    of: str = Field(description="The pipeline whose published jobs are followed.")
    pipeline: str = Field(description="The pipeline that the follow-ups go through.")
    file: str = Field("talk", description="Role of the file that the follow-up works on.")
    priority: int = Field(
        -10, ge=-1000, le=1000, description="Priority of the follow-ups; below 0 they leave room for other jobs."
    )
    keep: Duration = Field(
        30 * 86400.0, gt=0, description="How long the file of a follow-up that failed is kept for a retry."
    )


def followed(options: Options) -> tuple[str, str]:
    """The pipeline that is followed, and the role of the file."""
    return options.of, options.file


async def watch(options: Options, context: SourceContext) -> None:
    """Follow until cancelled."""
    following = _Following(options, context)
    with context.listen(following.note):
        while True:
            await following.settle()
            context.mark_up()
            context.mark_caught_up()
            await context.pause(3600.0)


async def check(options: Options, _tools: Tools) -> str:
    """Nothing outside is asked: the pipelines are checked with the settings."""
    return f"Jobs of the pipeline {options.of!r} are followed once they are published."


@dataclass
class _Following:
    """Follows one pipeline. `retracted` are the ids of jobs that may have been retracted; None: any may."""

    options: Options
    context: SourceContext
    retracted: set[str] | None = None
    replacing: set[str] = field(default_factory=set)

    def note(self, event: Event) -> None:
        """Look again once a job of either pipeline has come to rest."""
        if not isinstance(event, JobMoved) or event.job.state not in _RESTING:
            return
        if event.job.pipeline == self.options.of and event.job.state in _GONE and self.retracted is not None:
            self.retracted.add(event.job.id)
        if event.job.pipeline in {self.options.of, self.options.pipeline}:
            self.context.wake()

    async def settle(self) -> None:
        """Admit what was published, take back what was retracted, and drop files that nobody needs."""
        retracted, self.retracted = self.retracted, set()
        try:
            follow_ups = list(await self.context.jobs())
            await self._admit(follow_ups)
            await self._replace(follow_ups)
            await self._take_back(follow_ups, retracted)
        except BaseException:
            self.retracted = None  # the next look must be a whole one
            raise

    async def _admit(self, follow_ups: list[Job]) -> None:
        root = handovers_of(self.context.tools.state, self.context.name)
        for directory in await in_thread(_handovers, root):
            record = await in_thread(_read, directory / RECORD)
            arrival = None if record is None else self._arrival(directory, record)
            if record is None or arrival is None:
                await in_thread(remove, directory)
                continue
            followed = await self.context.job(str(record["job"]))
            known = next((job for job in follow_ups if job.key.endswith(arrival.key)), None)
            if known is None and followed is not None and followed.state is State.PUBLISHED:
                known = await self._take(arrival, followed, follow_ups)
                follow_ups.insert(0, known)
            if followed is None or followed.state in _GONE or (known is not None and self._needs_no_file(known)):
                await in_thread(remove, directory)

    def _arrival(self, directory: Path, record: Mapping[str, Any]) -> Arrival | None:
        file = directory / str(record["file"])
        if not file.is_file():
            return None
        about = {name: fact for name, fact in record.items() if name != "file"}
        return Arrival(
            key=f"published:{record['job']}:{record['token']}",
            location=file.absolute().as_uri(),
            name=str(record["name"]),
            facts={"talk": record["talk_id"], "size": file.stat().st_size, PUBLISHED: about},
            priority=self.options.priority,
            pipeline=self.options.pipeline,
        )

    async def _take(self, arrival: Arrival, followed: Job, follow_ups: Sequence[Job]) -> Job:
        """Admit an arrival. It replaces the follow-up of the edition before, or of the job that this one replaced."""
        before = {followed.id, str(followed.facts.get(REPLACES, followed.id))}
        earlier = next((job for job in follow_ups if any(_follows(job, job_id) for job_id in before)), None)
        if earlier is not None:
            await self.context.cancel(earlier, f"There is a newer edition of what it follows ({followed.id}).")
            arrival = replace(arrival, facts={**arrival.facts, REPLACES: earlier.id})
        job, _ = await self.context.take(arrival)
        return job

    def _needs_no_file(self, follow_up: Job) -> bool:
        kept_since = self.context.tools.clock.now() - timedelta(seconds=self.options.keep)
        return follow_up.state in _DONE or (follow_up.state in FAILED and follow_up.changed < kept_since)

    async def _replace(self, follow_ups: Sequence[Job]) -> None:
        """Retract what published follow-ups have replaced."""
        for job in follow_ups:
            if job.state is State.PUBLISHED and REPLACES in job.facts and job.id not in self.replacing:
                await self.context.retract(job, successor=job)
                self.replacing.add(job.id)

    async def _take_back(self, follow_ups: Sequence[Job], retracted: set[str] | None) -> None:
        """Take back the follow-ups of jobs that are gone, unless a successor will replace what they published."""
        replaced: set[str] = set()
        for job in follow_ups:  # the newest first, so a successor comes before what it replaces
            gone = job.state in _GONE or await self._is_gone(job, retracted)
            if not gone and job.state not in FAILED:
                replaced.add(str(job.facts.get(REPLACES)))
            if not gone or job.state in _GONE or job.id in replaced:
                continue
            await self.context.cancel(job, f"What it follows ({_record_of(job).get('job')}) was taken back.")
            now = await self.context.job(job.id)
            if now is not None:
                await self.context.retract(now)

    async def _is_gone(self, follow_up: Job, retracted: set[str] | None) -> bool:
        """Whether the job that it follows is gone. Only those in `retracted` may be; None: any may."""
        followed = str(_record_of(follow_up).get("job"))
        if retracted is not None and followed not in retracted:
            return False
        found = await self.context.job(followed)
        return found is not None and found.state in _GONE


def _handovers(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("[!.]*") if path.is_dir())


def _read(path: Path) -> dict[str, Any] | None:
    """The record of a hand-over; None if it is none."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    needed = {"job", "token", "file", "name", "talk_id"}
    return record if isinstance(record, dict) and needed <= record.keys() else None


def _record_of(job: Job) -> Mapping[str, Any]:
    found = job.facts.get(PUBLISHED)
    return found if isinstance(found, dict) else {}


def _follows(job: Job, job_id: object) -> bool:
    return _record_of(job).get("job") == job_id
