"""The timeline service without a daemon: its routes on a real port, jobs in memory that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from builders.engine import HeldClock
from builders.web import FakeControl, open_port
from vidd.engine.intake import Intake
from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.integrations.timeline import source
from vidd.integrations.x.account import Account
from vidd.model.event import JobMoved, Progressed, StepEnded
from vidd.model.job import Job, State
from vidd.model.media import Outcome, StepRecord
from vidd.ports import Encoder, Tools
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore

KINDS = ("posts", "cards", "slideshow")
PLAN = {"programme": None, "steps": [{"name": kind, "kind": kind} for kind in KINDS], "publish": [], "notify": []}


@dataclass
class Life:
    """One life of a daemon with the service in it. The store and the state directory outlive it."""

    options: dict[str, Any]
    state: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: HeldClock = field(default_factory=HeldClock)
    observers: list[Any] = field(default_factory=list)
    http: Any = None

    def event(self, event: Any) -> None:
        for observer in self.observers:
            observer(event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Life]:
        accounts = {"birds": Account(token=SecretStr("secret"))}
        tools = Tools(self.state, Encoder(Path("ffmpeg")), self.clock, accounts, memory=self.store)
        watchers = Watchers(self.clock, lambda _event: None)
        watchers.add("calls", "timeline")
        intake = Intake(self.store, LocalQueue(), {"timelines": PLAN}, self.clock, self.event)
        context = EngineSourceContext(
            "calls", "timelines", tools=tools, store=self.store, intake=intake, watchers=watchers,
            commands=None, programme_read=lambda _name: None, observers=self.observers,
        )  # fmt: skip
        given = {"pipeline": "timelines", "accounts": {"x": "birds"}, **self.options}
        options = source.Options.model_validate(given)
        control = FakeControl()
        control.brought += source.routes(options, context)
        watching = asyncio.create_task(source.watch(options, context))
        async with open_port(control) as (_, url), aiohttp.ClientSession(url) as self.http:
            while not watchers.table["calls"].up:  # noqa: ASYNC110 - until it is read what is under way
                await asyncio.sleep(0)
            yield self
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def get(self, path: str, *, method: str = "GET", **more: Any) -> tuple[int, Any, Any]:
        """The status, the body, and the headers."""
        async with self.http.request(method, path, **more) as answer:
            body = await (answer.json() if answer.content_type.endswith("json") else answer.text())
            return answer.status, body, answer.headers

    async def begin(self, **query: Any) -> str:
        """The id of a new video."""
        status, body, _ = await self.get("/video", params={"user": "ada", **query})
        assert status == 202, body
        return str(body["video_id"])

    async def progress(self, video: str) -> dict[str, Any]:
        status, body, _ = await self.get(f"/progress/{video}")
        assert status == 200, body
        return dict(body)

    async def job(self, video: str) -> Job:
        [job] = [job for job in await self.store.jobs() if job.facts["video_id"] == video]
        return job

    async def move(self, video: str, *states: State, **changes: Any) -> Job:
        """Move the job as the engine would."""
        for state in states:
            before = await self.job(video)
            job = before.evolve(state=state, changed=self.clock.now(), **changes)
            await self.store.save(job, expect=before.state)
            self.event(JobMoved(job, before.state))
        return job

    async def end_step(self, video: str, kind: str, seconds: float = 1.0) -> None:
        job = await self.job(video)
        await self.store.record_step(StepRecord(job.id, kind, kind, "1", Outcome(), seconds))
        self.event(StepEnded(job.id, job.pipeline, kind, kind, seconds, "done"))

    async def report(self, video: str, part: str, fraction: float, unit: str = "s") -> None:
        self.event(Progressed((await self.job(video)).id, part, fraction, 1.0, unit))
