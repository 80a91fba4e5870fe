"""A CMS's watcher with everything around it that a test holds in its hand."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

from builders.aws import RecordingSourceContext
from builders.engine import HeldClock
from vidd.integrations.graphql_cms import source
from vidd.integrations.graphql_cms.account import Account
from vidd.ports import Encoder, Memory, ShortMemory, Tools

QUERY_SINCE = """query ($since: String!) {
  videoObjects(since: $since) { id pCloudAnnotationsFolderId pCloudFileId uploadedAt }
}"""
QUERY_PAGES = """query ($take: Int!, $skip: Int!) {
  videoObjects(take: $take, skip: $skip) { id pCloudAnnotationsFolderId pCloudFileId uploadedAt }
}"""


class CmsSourceContext(RecordingSourceContext):
    """Keeps what the source hands in; its pauses last until `wake`. `looks` counts the whole looks."""

    def __init__(self, tools):
        super().__init__(tools)
        self.name = "uploads"
        self.notes: list[str | None] = []
        self.looks = 0
        self.handed: list[str] = []
        self.is_up: bool | None = None
        self._woken = asyncio.Event()

    @property
    def names(self):
        return [arrival.name.removesuffix(".mp4") for arrival in self.arrivals]

    async def admit(self, arrivals):
        admitted = await super().admit(arrivals)
        self.handed += [arrival.key for arrival in arrivals]
        self.is_up = True
        return admitted

    def mark_up(self):
        super().mark_up()
        self.is_up = True
        self._soon()

    def mark_down(self, reason):
        super().mark_down(reason)
        self.is_up = False
        self._soon()

    def note(self, sentence):
        self.notes.append(sentence)
        self._soon()

    def mark_caught_up(self):
        super().mark_caught_up()
        self.looks += 1
        self._soon()

    def _soon(self):
        self._telling = asyncio.ensure_future(self._tell())

    async def pause(self, seconds):
        self.pauses.append(seconds)
        await self._tell()
        await self._woken.wait()
        self._woken.clear()

    def wake(self):
        """End the pause that is, or the one that comes."""
        self._woken.set()

    async def look(self):
        """Have it look, and wait until it has."""
        before = self.looks
        self.wake()
        await self.until(lambda: self.looks > before)


def the_tools(tmp_path, url, *, memory: Memory | None = None, **account) -> Tools:
    encoder = Encoder(path=tmp_path / "ffmpeg")
    accounts = {"lab": Account(url=url, **account)}
    return Tools(tmp_path, encoder, HeldClock(), accounts, memory=memory or ShortMemory())


def the_options(**changes):
    return source.Options(**{"account": "lab", "pipeline": "cms", **changes})


@asynccontextmanager
async def watching(options, context):
    """A watch that runs for the length of the block; what it raises is raised at its end."""
    task = asyncio.create_task(source.watch(options, context))
    try:
        yield context
    finally:
        task.cancel()
        async with asyncio.timeout(60):
            with suppress(asyncio.CancelledError):
                await task
