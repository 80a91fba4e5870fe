"""The newest job of every talk, for the programme: read once, then kept up by events while somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vidd.model.job import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import Store


class TalkJob(NamedTuple):
    """The newest job of a talk."""

    id: str
    state: State
    reason: str | None


class TalkStates:
    """By (pipeline, talk) the newest job. `version` changes whenever one does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[tuple[str, str], TalkJob] | None = None
        self.version = 0

    async def by_talk(self, pipelines: list[str]) -> Mapping[tuple[str, str], TalkJob]:
        """The newest jobs of the talks of these pipelines."""
        if self._jobs is None:
            # What moves while the store answers is noted again by its event, or read anew.
            version = self.version
            entries = await self._store.entries(pipelines)
            found = {
                (entry.pipeline, entry.talk): TalkJob(entry.id, entry.state, entry.reason)
                for entry in entries
                if entry.talk
            }
            if version != self.version:
                return found
            self._jobs = found
        return self._jobs

    def note(self, pipeline: str, talk: str | None, job: TalkJob) -> None:
        """A job moved."""
        if talk is None:
            return
        self.version += 1
        known = self._jobs.get((pipeline, talk)) if self._jobs is not None else None
        if self._jobs is not None and (known is None or known.id <= job.id):
            self._jobs[pipeline, talk] = job

    def forget(self) -> None:
        """Read again next time: nobody notes what moves."""
        self._jobs = None
        self.version += 1
