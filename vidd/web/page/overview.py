"""`/`: what needs a person, what runs, what waits, what was done today, every job, and the programme."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web
from markupsafe import Markup

from vidd.model.job import State
from vidd.model.job_query import JobQuery, Word
from vidd.model.talk import speakers_in_words
from vidd.web.charts import charts_of, draw
from vidd.web.control_port import CONTROL
from vidd.web.health import COUNTER
from vidd.web.history import read_days
from vidd.web.page.filters import GROUPS, Filter
from vidd.web.page.lines import Line, line_of
from vidd.web.page.templating import render
from vidd.web.serializers import link_of
from vidd.web.talks import TALKS, fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.model.job import Job
    from vidd.model.talk import Talk
    from vidd.web.page.talk_states import TalkJob, TalkStates

_LISTED, _SHORT, _TALKS = 50, 12, 200
_MOST_LETTERS = 20
_MOST_NEEDED = 8
_LOG_BYTES = 400
_LINKS_KEPT = 500
LINKS: web.AppKey[dict[tuple[str, datetime], str | None]] = web.AppKey("links")
"""The addresses of published jobs, which cost a query each."""


@dataclass(frozen=True, slots=True)
class TalkRow:
    """A talk of the programme; `job` is its newest job, `standing` says in words where it is."""

    title: str
    speakers: str
    id: str
    stage: str
    standing: str
    state: str
    job: str | None


class Overview:
    """Renders the parts of the overview for one filter."""

    def __init__(self, app: web.Application, chosen: Filter, states: TalkStates) -> None:
        self._app, self._control, self._filter, self._states = app, app[CONTROL], chosen, states
        self._running: list[tuple[Job, Talk | None, str]] = []
        self._programme: tuple[object, str] = (None, "")
        self._week: tuple[datetime | None, str] = (None, "")

    async def parts(self) -> dict[str, str]:
        """Every part, by the id of its element. Raises RetryLater if the store is away."""
        store, now = self._control.store, self._control.clock.now()
        midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        needed = await store.page(JobQuery(states=GROUPS["person"][1]), _MOST_NEEDED)
        incomplete = await store.page(JobQuery(incomplete=True), _MOST_NEEDED)
        running = await store.page(JobQuery(states=GROUPS["running"][1]), _SHORT)
        waiting = await store.page(JobQuery(states=(State.WAITING,)), _SHORT)
        queued = await store.page(JobQuery(states=(State.READY, State.SEEN)), _SHORT)
        today = await store.page(JobQuery(states=(State.PUBLISHED,), changed_since=midnight), _SHORT)
        listed, following = await self._listed()
        talks = await self._app[TALKS].of([*needed, *incomplete, *running, *waiting, *queued, *today, *listed])
        self._running = [(job, talks.get(job.id), await self._said(job)) for job in running]

        def lines(jobs: Sequence[Job]) -> list[Line]:
            return [line_of(job, talks.get(job.id), eta=self._control.eta(job.id)) for job in jobs]

        links = await self._links(today)
        counts, since = await self._app[COUNTER].count(), await store.counts(midnight)
        by_state = counts.by_state
        asked = {
            "needs": sum(by_state.get(state, 0) for state in GROUPS["person"][1]) + sum(counts.incomplete.values()),
            "running": sum(by_state.get(state, 0) for state in GROUPS["running"][1]),
            "waiting": by_state.get(State.WAITING, 0),
            "queued": by_state.get(State.READY, 0) + by_state.get(State.SEEN, 0),
            "today": sum(count for (_, state), count in since.items() if state is State.PUBLISHED),
            "all": sum(by_state.values()),
        }
        health = await self._control.health()
        letters = await self._letters(now)
        shared: dict[str, Any] = {"counts": asked, "health": health, "filter": self._filter, "letters": letters}
        return {
            "summary": render("summary.html", **shared),
            "needs": render("needs.html", jobs=lines([*needed, *incomplete][:_MOST_NEEDED]), **shared),
            "running": self._render_running(),
            "waiting": render("waiting.html", jobs=lines(waiting), queued=lines(queued), **shared),
            "today": render(
                "today.html", jobs=[replace(line, link=links.get(line.id)) for line in lines(today)], **shared
            ),
            "jobs": render(
                "jobs.html",
                jobs=lines(listed),
                groups={name: words for name, (words, _) in GROUPS.items()},
                following=following,
                **shared,
            ),
            "programme": await self._render_programme(),
            "watchers": render("watchers.html", **shared),
            "week": await self._render_week(now),
        }

    async def progress(self) -> dict[str, str]:
        """The parts that progress changes; asks the store for nothing."""
        return {"running": self._render_running()}

    def _render_running(self) -> str:
        progress = self._control.progress()
        eta = self._control.eta
        jobs = [
            (line_of(job, talk, progress.get(job.id, ()), eta=eta(job.id)), said) for job, talk, said in self._running
        ]
        return render("running.html", jobs=jobs)

    async def _render_week(self, now: datetime) -> str:
        """The charts of the last days, at most a minute old."""
        minute = now.replace(second=0, microsecond=0)
        if self._week[0] != minute:
            charts = charts_of(await read_days(self._control.store, now))
            # `draw` escapes what is in a chart.
            drawn = [(chart.title, Markup(draw(chart))) for chart in charts]  # noqa: S704
            self._week = (minute, render("week.html", charts=drawn))
        return self._week[1]

    @staticmethod
    def _pipelines(counts: Mapping[tuple[str, State], int]) -> set[str]:
        return {pipeline for pipeline, _ in counts}

    async def choices(self) -> dict[str, list[str]]:
        """The pipelines and stages that the filter offers."""
        counts = await self._app[COUNTER].count()
        stages = {
            talk.stage: None
            for programme in dict.fromkeys(self._control.programmes().values())
            for talk in (await self._app[TALKS].programme(programme)).values()
        }
        known = {*self._pipelines(counts.counts), *self._control.programmes()}
        return {"pipelines": sorted(known), "stages": [stage for stage in stages if stage]}

    async def _listed(self) -> tuple[list[Job], str | None]:
        """The jobs of the page, and the address of the next one."""
        chosen, talks, programmes = self._filter, self._app[TALKS], self._control.programmes()
        words = await talks.words(chosen.text, programmes)
        if chosen.stage:
            words.append(Word(None, await talks.of_stage(chosen.stage, programmes)))
        query = JobQuery(
            states=chosen.states, pipeline=chosen.pipeline or None, words=words, after=chosen.after or None
        )
        found = await self._control.store.page(query, _LISTED + 1)
        more = len(found) > _LISTED
        return found[:_LISTED], chosen.address(after=found[_LISTED - 1].id) if more else None

    async def _said(self, job: Job) -> str:
        """The last line of what the job's programs printed."""
        text, _ = await self._control.log(job.id, _LOG_BYTES)
        lines = text.strip().splitlines()
        return lines[-1].strip() if lines else ""

    async def _links(self, jobs: Sequence[Job]) -> dict[str, str | None]:
        known = self._app[LINKS]
        for job in jobs:
            if (job.id, job.changed) not in known:
                known[job.id, job.changed] = link_of(await self._control.store.publications(job.id))
        while len(known) > _LINKS_KEPT:
            del known[next(iter(known))]
        return {job.id: known[job.id, job.changed] for job in jobs}

    async def _letters(self, now: datetime) -> list[tuple[datetime, str, str, str]]:
        """The newest messages that vidd could not read, of the last day."""
        found = await self._control.store.dead_letters(_MOST_LETTERS)
        return [letter for letter in found if (now - letter[0]).total_seconds() < 86400]

    async def _render_programme(self) -> str:
        programmes, talks = self._control.programmes(), self._app[TALKS]
        read = {programme: await talks.programme(programme) for programme in dict.fromkeys(programmes.values())}
        states = await self._states.by_talk(sorted(programmes))
        shows = (self._states.version, *(id(found) for found in read.values()))
        if self._programme[0] != shows:
            tables = []
            for programme, found in read.items():
                pipelines = [pipeline for pipeline, named in programmes.items() if named == programme]
                tables.append(self._table(programme, found, pipelines, states))
            self._programme = (shows, render("programme.html", tables=tables, filter=self._filter))
        return self._programme[1]

    def _table(
        self,
        programme: str,
        talks: Mapping[str, Talk],
        pipelines: Sequence[str],
        states: Mapping[tuple[str, str], TalkJob],
    ) -> dict[str, Any]:
        rows = []
        for talk in talks.values():
            jobs = [job for pipeline in pipelines if (job := states.get((pipeline, talk.id)))]
            rows.append(_row(talk, max(jobs, default=None)))
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.standing] = counts.get(row.standing, 0) + 1
        words = [fold(word) for word in self._filter.text.split()]
        shown = [
            row
            for row in rows
            if self._filter.stage in {"", row.stage}
            and all(word in fold(f"{row.title}\n{row.speakers}\n{row.stage}\n{row.id}") for word in words)
        ]
        most = len(shown) if self._filter.programme == "all" else _TALKS
        stages: dict[str, list[TalkRow]] = {}
        for row in shown[:most]:
            stages.setdefault(row.stage, []).append(row)
        return {
            "name": programme,
            "counts": counts,
            "talks": len(rows),
            "stages": stages,
            "left": len(shown) - min(most, len(shown)),
        }


def _row(talk: Talk, job: TalkJob | None) -> TalkRow:
    state = job.state.value if job is not None else "awaited"
    standing = state if job is not None else "not recorded yet"
    if job is None and talk.must_be_corrected:
        state, standing = "refused", "to be corrected"
    elif job is None and talk.excluded:
        state = standing = "excluded"
    return TalkRow(
        title=talk.title or talk.id,
        speakers=speakers_in_words(talk),
        id=talk.id,
        stage=talk.stage,
        standing=standing,
        state=state,
        job=job.id if job is not None else None,
    )
