"""Stand-ins for what the engine gives to sources, steps and publishers, and small things the S3 tests share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from vidd.integrations.aws.account import Account, client
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication
from vidd.ports import Encoder, PublishContext, StepContext, Tools

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class QuickClock:
    """A clock that stands still and sleeps at once; `slept` are the waits asked for."""

    def __init__(self):
        self.slept = []

    def now(self):
        return NOW

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)


def an_account(url, **changes):
    return Account(**{"endpoint_url": url, "access_key": "AKIDEXAMPLE123", "secret_key": "SECRETEXAMPLE123", **changes})


def the_tools(state: Path, *, reserve=0, observe=lambda _event: None, **accounts) -> Tools:
    encoder = Encoder(path=Path("ffmpeg"), disk_reserve=reserve)
    return Tools(state=state, encoder=encoder, clock=QuickClock(), accounts=accounts, observe=observe)


def a_job(location, *, name="talk.mp4", facts=None, **changes) -> Job:
    job = Job("01job", "key", "talks", "recordings", location, name, NOW, NOW, facts=facts or {})
    return replace(job, **changes)


def a_step_context(directory: Path, job: Job, tools: Tools, progress=lambda *_: None) -> StepContext:
    directory.mkdir(exist_ok=True)
    return StepContext(job, directory, tools, None, {}, {}, progress)


@dataclass
class Desk:
    """A publication under way: keeps what the engine would save."""

    job: Job
    directory: Path
    tools: Tools
    artifacts: dict = field(default_factory=dict)
    token: dict = field(default_factory=dict)
    checkpoints: list = field(default_factory=list)
    was_sent: bool = False
    talk: object = None
    facts: dict = field(default_factory=dict)

    def add(self, role, name, data: bytes, content_type="video/mp4"):
        (self.directory / name).write_bytes(data)
        self.artifacts[role] = Artifact(role, name, len(data), content_type)
        return self

    @property
    def context(self) -> PublishContext:
        async def checkpoint(token):
            self.token = dict(token)
            self.checkpoints.append(self.token)

        async def sent(token):
            self.token = dict(token)
            self.was_sent = True

        publication = Publication(self.job.id, "library", "s3", NOW, token=self.token)
        return PublishContext(
            self.job, self.directory, self.tools, self.talk, self.artifacts, self.facts, publication, {},
            lambda *_: None, checkpoint, sent,
        )  # fmt: skip


class RecordingSourceContext:
    """Keeps what a source hands in. `admitted` is set with every admission, `idle` when the source has caught up."""

    def __init__(self, tools, *, pipeline=None):
        self.name, self.tools, self.pipeline = "recordings", tools, pipeline
        self.arrivals, self.dead, self.downs, self.pauses = [], [], [], []
        self.ups = 0
        self.changed = asyncio.Condition()
        self.idle = asyncio.Event()
        self.lock = asyncio.Lock()
        self.refuse = None

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def admit(self, arrivals):
        if self.refuse is not None:
            raise self.refuse
        known = {arrival.key for arrival in self.arrivals}
        new = [arrival for arrival in arrivals if arrival.key not in known]
        self.arrivals += new
        await self._tell()
        return len(new)

    async def dead_letter(self, body, reason):
        self.dead.append((body, reason))
        await self._tell()

    async def put_talks(self, talks):
        raise AssertionError("this source has no talks")

    def mark_up(self):
        self.ups += 1

    def mark_down(self, reason):
        self.downs.append(reason)

    def mark_caught_up(self):
        self.idle.set()

    async def pause(self, seconds):
        self.pauses.append(seconds)
        await self._tell()
        await asyncio.sleep(0)

    async def until(self, happened):
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(happened)


class Bucket:
    """One bucket, as a test looks at it."""

    def __init__(self, account, name):
        self.account, self.name = account, name

    async def make(self):
        async with client(self.account, "s3") as s3:
            await s3.create_bucket(Bucket=self.name)
        return self

    async def put(self, key, data, **more):
        async with client(self.account, "s3") as s3:
            return await s3.put_object(Bucket=self.name, Key=key, Body=data, **more)

    async def get(self, key):
        async with client(self.account, "s3") as s3:
            answer = await s3.get_object(Bucket=self.name, Key=key)
            async with answer["Body"] as response:
                return await response.read()

    async def head(self, key):
        async with client(self.account, "s3") as s3:
            return await s3.head_object(Bucket=self.name, Key=key)

    async def delete(self, key):
        async with client(self.account, "s3") as s3:
            await s3.delete_object(Bucket=self.name, Key=key)

    async def keys(self):
        async with client(self.account, "s3") as s3:
            answer = await s3.list_objects_v2(Bucket=self.name)
            return [content["Key"] for content in answer.get("Contents", ())]

    async def open_uploads(self):
        async with client(self.account, "s3") as s3:
            answer = await s3.list_multipart_uploads(Bucket=self.name)
            return [upload["UploadId"] for upload in answer.get("Uploads", ())]
