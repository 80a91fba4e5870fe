"""The talks of the programmes, for the titles of jobs and for people who look for one by title, speaker or stage."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from vidd.model.job_query import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from vidd.model.job import Job
    from vidd.model.talk import Talk
    from vidd.ports import Store

_MOST_WORDS = 8
"""The most words of a search that count."""


def fold(text: str) -> str:
    """The text without differences of case and accents."""
    marked = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in marked if not unicodedata.combining(character))


@dataclass(frozen=True, slots=True)
class _Reading:
    """A programme as it was read: its talks by id, and by id what people may look for."""

    read: datetime | None
    talks: Mapping[str, Talk]
    texts: Mapping[str, str]


class Talks:
    """Reads the talks of a programme once per reading of the programme."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readings: dict[str, _Reading] = {}

    async def of(self, jobs: Iterable[Job]) -> dict[str, Talk]:
        """The talks of jobs by job id, without those that no programme has."""
        named = [(job.id, programme, job.talk) for job in jobs if (programme := _programme_of(job)) and job.talk]
        readings = {programme: await self._reading(programme) for programme in {programme for _, programme, _ in named}}
        found = {job: readings[programme].talks.get(talk) for job, programme, talk in named}
        return {job: talk for job, talk in found.items() if talk is not None}

    async def words(self, text: str, programmes: Mapping[str, str]) -> list[Word]:
        """The words of a search; `programmes` are those of the pipelines. At most eight words count."""
        readings = {pipeline: await self._reading(programme) for pipeline, programme in programmes.items()}
        return [
            Word(word, [(pipeline, talk) for pipeline in readings for talk in _matching(readings[pipeline], word)])
            for word in text.split()[:_MOST_WORDS]
        ]

    async def programme(self, programme: str) -> Mapping[str, Talk]:
        """The talks of a programme by id, in its order."""
        return (await self._reading(programme)).talks

    async def of_stage(self, stage: str, programmes: Mapping[str, str]) -> list[tuple[str, str]]:
        """(pipeline, talk) of the talks on a stage; `programmes` are those of the pipelines."""
        readings = {pipeline: await self._reading(programme) for pipeline, programme in programmes.items()}
        return [
            (pipeline, talk.id)
            for pipeline, reading in readings.items()
            for talk in reading.talks.values()
            if talk.stage == stage
        ]

    async def _reading(self, programme: str) -> _Reading:
        last, known = await self._store.programme(programme), self._readings.get(programme)
        read = last.read if last else None
        if known is None or known.read != read:
            talks = await self._store.talks(programme) if last else []
            known = _Reading(read, {talk.id: talk for talk in talks}, {talk.id: _text(talk) for talk in talks})
            self._readings[programme] = known
        return known


def _programme_of(job: Job) -> str | None:
    programme = job.settings.get("programme")
    return programme if isinstance(programme, str) else None


def _text(talk: Talk) -> str:
    return fold("\n".join([talk.title, talk.stage, *(speaker.name for speaker in talk.speakers)]))


def _matching(reading: _Reading, word: str) -> Sequence[str]:
    folded = fold(word)
    return [talk for talk, text in reading.texts.items() if folded in text]


TALKS: web.AppKey[Talks] = web.AppKey("talks")
