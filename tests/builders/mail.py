"""Benches, parcels and an context whose next look is the test's to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication, Receipt
from vidd.model.talk import Speaker, Talk
from vidd.ports import Encoder, PublishContext, StepContext, Tools

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TALK = Talk(
    id="t-1",
    title="Loops & more",
    description="How to go round.",
    speakers=(Speaker("Ada Lovelace", "ada@example.org"), Speaker("Alan Turing", "alan@example.org")),
    stage="Main",
)


class HeldClock:
    def __init__(self, now: datetime = NOON):
        self.time = now

    def now(self):
        return self.time

    async def sleep(self, seconds: float):
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float):
        self.time += timedelta(seconds=seconds)


def tools(state: Path, *, now: datetime = NOON, **accounts) -> Tools:
    return Tools(state=state, encoder=Encoder(Path("ffmpeg")), clock=HeldClock(now), accounts=accounts)


def job(**changes) -> Job:
    fields = {"id": "06abcdefghijkmnp", "key": "k", "pipeline": "talks", "source": "drop", "location": "file:///x"}
    name = f"rec_{TALK.id}_000100_000200.mp4"
    return Job(**{**fields, "name": name, "created": NOON, "changed": NOON, "talk": TALK.id, **changes})


class Sent:
    """A context whose checkpoints are kept as a store would, so that it can be taken up again after a crash."""

    def __init__(self, directory: Path, *, kind: str, state: Path | None = None, **changes):
        self.tokens: list[dict] = []
        self.on_checkpoint: Callable[[dict], Awaitable[None]] | None = None
        self.progress: list[tuple] = []
        self._made = {
            "job": job(),
            "directory": directory,
            "tools": tools(state or directory),
            "talk": TALK,
            "artifacts": {},
            "facts": {},
            "publication": Publication("06abcdefghijkmnp", kind, kind, NOON),
            "receipts": {},
            **changes,
        }

    @property
    def token(self) -> dict:
        return self.tokens[-1] if self.tokens else {}

    def context(self) -> PublishContext:
        made = dict(self._made)
        if self.tokens:
            made["publication"] = made["publication"].evolve(token=self.token)
        return PublishContext(
            **made,
            progress=lambda *words: self.progress.append(words),
            checkpoint=self._checkpoint,
            sent=self._checkpoint,
        )

    async def _checkpoint(self, token):
        self.tokens.append(dict(token))
        if self.on_checkpoint:
            await self.on_checkpoint(dict(token))


def context(directory: Path, **changes) -> StepContext:
    made = {"job": job(), "talk": TALK, "artifacts": {}, "facts": {}, **changes}
    return StepContext(directory=directory, tools=tools(directory), progress=lambda *_: None, **made)


def artifact(directory: Path, role: str, content: bytes, name: str | None = None) -> Artifact:
    path = directory / (name or f"{role}.mp4")
    path.write_bytes(content)
    return Artifact(role, path.name, len(content))


LINK = {"library": Receipt(url="https://video.example.org/t-1")}


class HeldInlet:
    """`look` lets the source look once more; `until` waits for something that a look finds."""

    def __init__(self, state: Path, *, now: datetime | None = None):
        self.name = "programme"
        self.pipeline = None
        self.tools = tools(state, now=now or datetime.now(UTC))
        self.arrivals: list = []
        self.batches: list[int] = []
        self.dead: list[tuple[str, str]] = []
        self.readings: list[list[Talk]] = []
        self.standing: str | None = None
        self.pauses: list[float] = []
        self.quiet = 0
        self.noted: str | None = None
        self._go = asyncio.Event()
        self._moved = asyncio.Condition()

    async def admit(self, arrivals):
        self.batches.append(len(arrivals))
        known = {arrival.key for arrival in self.arrivals}
        fresh = [arrival for arrival in arrivals if arrival.key not in known]
        self.arrivals += fresh
        return len(fresh)

    async def dead_letter(self, body, reason):
        self.dead.append((body, reason))

    async def put_talks(self, talks):
        self.readings.append(list(talks))

    def mark_up(self):
        self.standing = "up"

    def mark_down(self, reason):
        self.standing = reason

    def mark_caught_up(self):
        self.quiet += 1

    def note(self, sentence):
        self.noted = sentence

    async def pause(self, seconds):
        self.pauses.append(seconds)
        async with self._moved:
            self._moved.notify_all()
        await self._go.wait()
        self._go.clear()

    async def look(self, advance: float = 0.0):
        """Give the source its next look, so many seconds later, and wait until it rests again."""
        self.tools.clock.advance(advance)
        before = len(self.pauses)
        self._go.set()
        await self.until(lambda: len(self.pauses) > before)

    async def until(self, true: Callable[[], bool]):
        async with asyncio.timeout(60), self._moved:
            await self._moved.wait_for(true)


@asynccontextmanager
async def watching(coroutine, context: HeldInlet) -> AsyncIterator[None]:
    """A source that runs, and has looked once."""
    task = asyncio.create_task(coroutine)
    task.add_done_callback(lambda _: context.pauses.append(-1.0))
    try:
        waiting = asyncio.create_task(context.until(lambda: bool(context.pauses)))
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            task.result()
        await waiting
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
