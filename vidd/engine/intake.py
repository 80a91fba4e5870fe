"""Records arrivals as jobs. A source may acknowledge an arrival once `admit` has returned, never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from vidd.aio.shield import shield_to_end
from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.model.event import Event, JobMoved
from vidd.model.job import Arrival, Job, new_id
from vidd.model.talk import parse_recording_name
from vidd.ports import Clock, Queue, Store


def talk_of(arrival: Arrival) -> str | None:
    """The id of the talk that an arrival is of; None if neither its facts nor its name say it."""
    if arrival.facts.get("talk"):
        return str(arrival.facts["talk"])
    if "talk" in arrival.facts:
        return None  # its source knows that it belongs to no talk
    try:
        return parse_recording_name(arrival.name).talk
    except Refused:
        # The job is refused with this sentence later. With the talk's id, the talk's row can show that it failed.
        fields = PurePosixPath(arrival.name).stem.split("_")
        return fields[-3] or None if len(fields) >= _FIELDS else None


_FIELDS = 3


def key_of(pipeline: str, arrival: Arrival) -> str:
    """The key of the job that an arrival becomes in a pipeline."""
    return printable(f"{pipeline}|{arrival.key}")


class Intake:
    """Admits arrivals: records the job first, then queues it. `pipelines` are the settings by name, as plain JSON types."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        pipelines: Mapping[str, Mapping[str, Any]],
        clock: Clock,
        observe: Callable[[Event], None],
    ) -> None:
        self._store = store
        self._queue = queue
        self.pipelines = pipelines
        self._clock = clock
        self._observe = observe
        self._last_id = ""

    async def admit(self, source: str, pipeline: str | None, arrivals: Sequence[Arrival]) -> list[Job]:
        """Record the new arrivals in one transaction, and queue them; returns their jobs, without known ones.

        Raises Refused if there is no such pipeline.
        """
        jobs = [self._job(source, arrival.pipeline or pipeline, arrival) for arrival in arrivals]
        fresh: list[Job] = []

        async def record() -> None:
            fresh.extend(await self._store.admit(jobs))
            for job in fresh:
                self._queue.put(job.id, job.priority)
                self._observe(JobMoved(job, None))

        # If its source were stopped in between, vidd would queue the recorded jobs only after its next start.
        await shield_to_end(record())
        return fresh

    async def known(self, pipeline: str, arrival: Arrival) -> Job | None:
        """The job of an arrival that was admitted before; None without one."""
        return await self._store.job_of_key(key_of(pipeline, arrival))

    def _job(self, source: str, pipeline: str | None, arrival: Arrival) -> Job:
        known = ", ".join(self.pipelines) or "none"
        if pipeline is None:
            raise Refused(
                f"The source {source} has no pipeline for this: set pipeline of [sources.{source}]; the settings have:"
                f" {known}.",
                code=FaultCode.BAD_SETTINGS,
            )
        if pipeline not in self.pipelines:
            raise Refused(
                f"There is no pipeline {pipeline!r} for this; the settings have: {known}.", code=FaultCode.BAD_SETTINGS
            )
        now = self._clock.now()
        self._last_id = new_id(now, self._last_id)
        return Job(
            id=self._last_id,
            key=key_of(pipeline, arrival),
            pipeline=pipeline,
            source=source,
            location=printable(arrival.location),
            name=printable(arrival.name),
            created=now,
            changed=now,
            facts=dict(arrival.facts),
            settings=self.pipelines[pipeline],
            priority=arrival.priority,
            talk=talk_of(arrival),
        )
