"""Jobs, plans and an engine with fakes around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from vidd.engine.commands import Commands
from vidd.engine.context import EngineContext
from vidd.engine.failure_notices import FailureNotices
from vidd.engine.intake import Intake
from vidd.engine.runner import Runner
from vidd.engine.slots import Slots
from vidd.engine.workspace import Workspace
from vidd.errors import Fault
from vidd.model.event import Event, JobMoved
from vidd.model.job import Arrival, Job, State
from vidd.model.media import Artifact, Outcome
from vidd.model.publication import Receipt
from vidd.model.retry import RetryRule
from vidd.model.talk import Talk
from vidd.ports import Encoder, Plan, PlannedPublisher, PlannedStep, PublishContext, StepContext, Store, Tools
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DEADLINE = 60.0


class HeldClock:
    """A clock that stands still until it is told to move; who sleeps wakes when his time has come."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), future))
        await future

    def forward(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        for at, future in self._sleepers:
            if at <= self._now and not future.done():
                future.set_result(None)
        self._sleepers = [(at, future) for at, future in self._sleepers if not future.done()]


def arrival(name: str = "Main_t1_000000_000100.mp4", **changes: Any) -> Arrival:
    values = {"key": f"file:/in/{name}", "location": f"file:///in/{name}", "name": name, **changes}
    return Arrival(**values)


def job(job_id: str = "job-1", **changes: Any) -> Job:
    values = {
        "id": job_id,
        "key": job_id,
        "pipeline": "talks",
        "source": "folder",
        "location": "file:///in/x.mp4",
        "name": "x.mp4",
        "created": START,
        "changed": START,
        **changes,
    }
    return Job(**values)


@dataclass
class FakeStep:
    """Writes a file named after itself; `results` are raised or awaited, one a run, before it does."""

    name: str
    pool: str | None = None
    fingerprint: str = "1"
    results: list[Any] = field(default_factory=list)
    runs: int = 0

    async def run(self, context: StepContext) -> Outcome:
        self.runs += 1
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            await result()
        path = context.directory / f"{self.name}.bin"
        path.write_bytes(b"x" * 10)
        return Outcome((Artifact(self.name, path.name, 10),), {self.name: self.runs})

    def planned(self) -> PlannedStep:
        return PlannedStep(self.name, self.name, self.pool, self.fingerprint, self.run)


@dataclass
class FakePublisher:
    """A far side that can be asked. Each of `results` is raised, awaited or, as "lose", committed and not answered."""

    name: str
    pool: str | None = None
    required: bool = True
    results: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    amends: bool = False
    is_email: bool = False
    tells_retraction: bool = False
    address: str | None = None
    runs_last: bool = False
    given: list[dict[str, str | None]] = field(default_factory=list)

    async def publish(self, context: PublishContext) -> Receipt:
        self.given.append({name: one.url for name, one in context.receipts.items()})
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            await result(context)
        self.arrived.append(context.job.id)
        return self._receipt(context)

    def _receipt(self, context: PublishContext) -> Receipt:
        self.said[context.job.id] = context.talk.description if context.talk else None
        return Receipt(self.address or f"far://{self.name}/{context.job.id}")

    async def amend(self, context: PublishContext) -> Receipt:
        if self.faults:
            raise self.faults.pop(0)
        assert context.job.id in self.arrived
        return self._receipt(context)

    async def retract(self, context: PublishContext) -> str:
        if self.faults:
            raise self.faults.pop(0)
        self.arrived.remove(context.job.id)
        return f"{self.name} let go of {context.job.id}."

    async def reconcile(self, context: PublishContext) -> Receipt | None:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return self._receipt(context) if context.job.id in self.arrived else None

    def planned(self) -> PlannedPublisher:
        optional = {"amend": self.amend, "retract": self.retract} if self.amends else {}
        return PlannedPublisher(
            self.name,
            self.name,
            self.pool,
            self.required,
            self.publish,
            self.reconcile,
            is_email=self.is_email,
            tells_retraction=self.tells_retraction,
            runs_last=self.runs_last,
            **optional,
        )


class Gate:
    """Lets a test hold a step or a publisher in the middle."""

    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, *_):
        self.reached.set()
        await self.open.wait()

    async def wait(self):
        async with asyncio.timeout(DEADLINE):
            await self.reached.wait()


class Engine:
    """A whole engine over a store; `plan` is what every job is resolved to."""

    def __init__(
        self,
        root: Path,
        *,
        steps: Sequence[FakeStep] = (),
        publishers: Sequence[FakePublisher] = (),
        notices: Sequence[FakePublisher] = (),
        failures: Sequence[FakePublisher] = (),
        programme: str | None = None,
        review: bool = False,
        store: Store | None = None,
        at_once: int = 4,
        background: int | None = None,
        limits: dict[str, int] | None = None,
        retry: RetryRule | None = None,
    ) -> None:
        self.clock = HeldClock()
        self.store = store or MemoryStore()
        self.events: list[Event] = []
        self.observers: list[Callable[[Event], None]] = []
        self._sign = asyncio.Event()
        self.asked: list[str] = []
        tools = Tools(root, Encoder(Path("/usr/bin/false")), self.clock, observe=self.observe, memory=self.store)
        self.queue = LocalQueue()
        self.plan = Plan(
            programme,
            [one.planned() for one in steps],
            [one.planned() for one in publishers],
            [one.planned() for one in notices],
            review,
            [replace(one.planned(), on="failed") for one in failures],
        )
        settings = {
            "programme": programme,
            "notify": [{"name": one.name, "options": {"on": "failed"}} for one in failures],
        }
        workspace = Workspace(root / "jobs")
        workspace.root.mkdir(exist_ok=True)
        self.context = EngineContext(
            store=self.store,
            slots=Slots({"encodes": 1, "uploads": 1, "mails": 1, "fetches": 1, **(limits or {})}),
            workspace=workspace,
            tools=tools,
            resolve=lambda _settings: self.plan,
            observe=self.observe,
            retry=retry or RetryRule(attempts=3, first=10, jitter=0),
            wake_source=self.asked.append,
        )
        self.intake = Intake(self.store, self.queue, {"talks": settings}, self.clock, self.observe)
        self.runner = Runner(self.context, self.queue, at_once, background=background)
        self.commands = Commands(self.context, self.runner)
        self.failure_notices = FailureNotices(self.context)
        self.observers.append(self.failure_notices.note)
        self._tasks: list[asyncio.Task[None]] = []

    def observe(self, event: Event) -> None:
        self.events.append(event)
        self._sign.set()
        for note in self.observers:
            note(event)

    async def __aenter__(self) -> Self:
        await self.runner.recover()
        self._tasks = [asyncio.create_task(one.run()) for one in (self.runner, self.failure_notices)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.stop_now()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def admit(self, *names: str, **changes: Any) -> list[Job]:
        return await self.intake.admit("folder", "talks", [arrival(name, **changes) for name in names])

    async def one(self, name: str = "Main_t1_000000_000100.mp4", **changes: Any) -> Job:
        return (await self.admit(name, **changes))[0]

    async def until(self, job_id: str, state: State, times: int = 1) -> Job:
        """The job as it was saved in this state for the so-manieth time; fails after a deadline."""
        async with asyncio.timeout(DEADLINE):
            while True:
                saved = [
                    one.job
                    for one in self.events
                    if isinstance(one, JobMoved) and one.job.id == job_id and one.job.state is state
                ]
                if len(saved) >= times:
                    return saved[times - 1]
                self._sign.clear()
                await self._sign.wait()

    async def until_idle(self) -> None:
        """Once nothing runs, nothing is queued, and nobody is told of a failure."""
        async with asyncio.timeout(DEADLINE):
            await self.runner.idle(0)
            while self.failure_notices.outstanding(0):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
            # Whoever waits for a time must have looked at the clock before it is moved.
            for _ in range(50):
                await asyncio.sleep(0)

    def path(self, job_id: str) -> list[State]:
        return [one.job.state for one in self.events if isinstance(one, JobMoved) and one.job.id == job_id]


def talk(talk_id: str = "t1", **changes: Any) -> Talk:
    return Talk(**{"id": talk_id, "title": "A talk", **changes})
