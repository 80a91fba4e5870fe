"""Admits what a person or a program submits: the same again is the same job, other talks or times are jobs of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from vidd.engine.context import EngineContext
from vidd.engine.duplicate_talks import is_public
from vidd.engine.intake import Intake, talk_of
from vidd.engine.runner import Runner
from vidd.errors import FaultCode, Refused
from vidd.model.job import FAILURE, REPLACES, RETRIED, Arrival, Job, State
from vidd.model.rework import REWORK

SUBMITTED = "submitted"
"""The source of jobs that somebody submitted."""

_MAY_BE_CORRECTED = frozenset({State.REFUSED, State.CANCELLED})
_OF_VIDD = frozenset({FAILURE, REPLACES, RETRIED, REWORK})


class Submissions:
    """Takes submissions."""

    def __init__(self, engine: EngineContext, intake: Intake, runner: Runner) -> None:
        self._engine, self._intake, self._runner = engine, intake, runner

    async def admit(self, pipeline: str, arrival: Arrival) -> tuple[Job, bool]:
        """The job of this submission, and whether it is new; a new one takes the place of refused ones that it corrects.

        Raises Refused if the arrival's key belongs to another location.
        """
        for key in _keys(arrival):
            keyed = replace(arrival, key=key)
            fresh = await self._intake.admit(SUBMITTED, pipeline, [keyed])
            if fresh:
                await self._replace_refused(fresh[0])
                return fresh[0], True
            known = await self._intake.known(pipeline, keyed)
            if known is None or known.location != arrival.location:
                break
            if _is_same(known, arrival):
                return known, False
        raise Refused(
            f"The key {arrival.key!r} stands for another job: use a new one for {arrival.location}.",
            code=FaultCode.CONFLICT,
        )

    async def _replace_refused(self, job: Job) -> None:
        refused = await self._engine.store.jobs(states=[State.REFUSED], pipeline=job.pipeline)
        for other in refused:
            if other.location == job.location and await self._gives_way(other, job):
                await self._runner.cancel(other, f"It was submitted again, corrected, as the job {job.id}.")

    async def _gives_way(self, refused: Job, job: Job) -> bool:
        """Whether the new job corrects a refused one of the same recording, and is not of another talk that there is."""
        if await is_public(self._engine.store, refused):
            return False
        if refused.talk in {None, job.talk}:
            return True
        programme = job.settings.get("programme")
        return programme is not None and await self._engine.store.talk(programme, str(refused.talk)) is None


def _keys(arrival: Arrival) -> Iterator[str]:
    """The arrival's own key; one for each talk and times of the recording; more of them for corrected submissions."""
    yield arrival.key
    cut = hashlib.sha256(json.dumps(_cut(talk_of(arrival), arrival.facts)).encode()).hexdigest()[:12]
    yield f"{arrival.key}#{cut}"
    for number in count(2):
        yield f"{arrival.key}#{cut}#{number}"


def _cut(talk: str | None, facts: Any) -> tuple[Any, ...]:
    """What is to be made of a recording."""
    return talk, facts.get("start"), facts.get("end")


def _is_same(known: Job, arrival: Arrival) -> bool:
    """Whether a submission asks for what this job is. After a refusal or a cancellation whatever differs is a correction."""
    if _cut(known.talk, known.facts) != _cut(talk_of(arrival), arrival.facts):
        return False
    submitted = {name: fact for name, fact in known.facts.items() if name not in _OF_VIDD}
    return known.state not in _MAY_BE_CORRECTED or (submitted == dict(arrival.facts) and known.name == arrival.name)
