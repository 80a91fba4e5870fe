"""Fetches the videos of existing tasks from their bucket, or over HTTP where their documents have other web addresses."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.files.tree import tree_artifact
from vidd.integrations.aws import s3_download
from vidd.integrations.aws.account import Account, client
from vidd.integrations.aws.s3_uri import key_of
from vidd.model.media import Outcome
from vidd.model.task_video import TaskVideo, task_videos
from vidd.transfer.http_download import fetch_url
from vidd.transfer.partial_download import PartialDownload
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from vidd.integrations.aws.s3_download import PinnedObject
    from vidd.ports import StepContext

_TREE, _PART = "source", ".source.part"
_AT_ONCE = 8


async def fetch_task_videos(context: StepContext, *, chunk: int, parallel: int) -> Outcome:
    """Fetch the task videos of the job into the tree `source`; those that an earlier attempt fetched stay.

    They are in the `bucket` of the job's facts, or else of the `account` that these name. Refused with the key of the first that is missing,
    before any is fetched.
    """
    videos, part = task_videos(context.job.facts), context.directory / _PART
    await in_thread(partial(part.mkdir, exist_ok=True))
    async with AsyncExitStack() as stack:
        store = None
        if (name := context.job.facts.get("account")) is not None:
            account = context.tools.account(str(name), Account)
            bucket = str(context.job.facts.get("bucket") or account.bucket)
            store = _Store(account, bucket, await stack.enter_async_context(client(account, "s3")))
        pins: dict[str, PinnedObject | None] = {}

        async def pin(video: TaskVideo) -> None:
            pins[video.name] = await store.pin(video) if store is not None else None

        await gather_bounded(_AT_ONCE, videos, pin)
        for number, video in enumerate(videos):
            context.progress(float(number), float(len(videos)), "files", None)
            await _fetch(context, video, store, pins[video.name], chunk=chunk, parallel=parallel)
    final = context.directory / _TREE
    await in_thread(partial(shutil.rmtree, final, ignore_errors=True))
    await in_thread(part.rename, final)
    return Outcome((await in_thread(tree_artifact, "source", context.directory, _TREE),))


@dataclass(frozen=True)
class _Store:
    """The bucket of the task videos."""

    account: Account
    bucket: str
    s3: Any

    async def pin(self, video: TaskVideo) -> PinnedObject | None:
        """The object of a video; None where there is none, but a web address to try. Refused where there is neither."""
        key = key_of(self.account, self.bucket, video.address)
        try:
            pinned = await s3_download.pin(self.s3, self.bucket, key)
        except Refused as refused:
            if refused.code is not FaultCode.NOT_FOUND:
                raise
            if video.is_web:
                return None
            raise Refused(
                f"{_shown(key, video)} is not in the bucket {self.bucket}: {_REMEDY}", code=FaultCode.NOT_FOUND
            ) from None
        if pinned.size == 0:
            raise Refused(f"{_shown(key, video)} is empty in the bucket {self.bucket}: {_REMEDY}")
        return pinned


_REMEDY = "put it there again and retry the job, or put the recording back and send the call again."


async def _fetch(
    context: StepContext,
    video: TaskVideo,
    store: _Store | None,
    pinned: PinnedObject | None,
    *,
    chunk: int,
    parallel: int,
) -> None:
    directory, reserve, clock = (
        context.directory / _PART / video.name,
        context.tools.encoder.disk_reserve,
        context.tools.clock,
    )
    await in_thread(partial(directory.mkdir, exist_ok=True))
    meter = ProgressMeter("fetch", "download", progress=lambda *_: None, observe=context.tools.observe)
    with closing(PartialDownload(directory, f"{video.name}.mp4", chunk=chunk, reserve=reserve)) as download:
        if download.final.exists():
            return
        if store is not None and pinned is not None:
            await s3_download.fetch(
                store.s3, pinned, download, meter, promised={}, parallel=parallel, sleep=clock.sleep
            )
        else:
            await _fetch_web(context, video, download, meter)
    meter.report()


async def _fetch_web(context: StepContext, video: TaskVideo, download: PartialDownload, meter: ProgressMeter) -> None:
    shown = _shown(video.shown, video)
    if not video.is_web:
        raise Refused(
            f"{shown} is no web address, and no account says in which bucket it is.", code=FaultCode.BAD_SETTINGS
        )
    try:
        await download.check(await fetch_url(video.address, download, meter, context.tools.clock), {})
    except Refused as refused:
        raise Refused(
            f"{shown} cannot be fetched ({refused.sentence.rstrip('.')}): {_REMEDY}", code=refused.code
        ) from None
    await download.commit()


def _shown(address: str, video: TaskVideo) -> str:
    return f"The video {quoted(address)} of the task {quoted(video.name)}"
