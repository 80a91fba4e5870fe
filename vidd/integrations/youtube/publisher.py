"""Publish to YouTube: a resumable upload, never begun again while its fate is unknown, told of once it is processed."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from vidd.errors import Refused
from vidd.integrations.google.resumable_upload import UNIT
from vidd.integrations.youtube.api import Channel, channel_of
from vidd.integrations.youtube.extras import Extras
from vidd.integrations.youtube.metadata import merged_snippet, with_privacy
from vidd.integrations.youtube.metadata_order import Order, marker_of, order_of, playlists_of
from vidd.integrations.youtube.processing import Finish, FinishOptions, Privacy, Template
from vidd.integrations.youtube.state import gone
from vidd.integrations.youtube.upload import VideoUpload
from vidd.model.publication import Receipt
from vidd.settings.types import Size
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vidd.model.media import Artifact
    from vidd.ports import PublishContext, Tools


class Options(FinishOptions):
    """Where a talk's video goes, and how it is described there. The words are those of the step `describe`."""

    account: str = Field(description="The youtube account.")
    accounts: dict[str, str] = Field(default_factory=dict, description="Other accounts by stage: stage id → account.")
    file: str | None = Field(None, description="Role of the video; none means talk, or the first that a step made.")
    privacy: Privacy = Field("unlisted", description="Who may see it; a talk marked private is private in any case.")
    publish_at: Template | None = Field(
        None,
        description='Template of the time it becomes public, like 2026-05-01T12:00:00Z; needs privacy = "private".',
    )
    category: str = Field("22", pattern=r"^\d+$", description="Category id; 22 is people, 27 education, 28 technology.")
    language: str | None = Field(None, description="Language of title and description, such as en.")
    audio_language: str | None = Field(None, description="Language that is spoken.")
    made_for_kids: bool = Field(False, description="Whether the video is made for children.")
    license: Literal["youtube", "creativeCommon"] | None = Field(None, description="Licence; the channel's otherwise.")
    notify_subscribers: bool = Field(True, description="Whether subscribers are told of a new video.")
    marker: Literal["tag", "description"] = Field(
        "tag", description="Where the word stands that tells whose job it is."
    )
    misfits: Literal["mend", "refuse"] = Field(
        "mend", description="What becomes of words YouTube does not take: they are mended and noted, or refused."
    )
    chunk: Size = Field(
        Size(2**30),
        ge=UNIT,
        description="Bytes in one request, a multiple of 256 KiB; of one that breaks off YouTube keeps what came.",
    )
    retract: Literal["private", "delete"] = Field("private", description="What taking back means.")

    @model_validator(mode="after")
    def _sound(self) -> Options:
        if self.publish_at is not None and self.privacy != "private":
            raise ValueError('publish_at needs privacy = "private"; YouTube makes it public then')
        if self.chunk % UNIT:
            raise ValueError(f"chunk must be a multiple of {UNIT} bytes (256 KiB)")
        return self


def _order(options: Options, context: PublishContext) -> Order:
    return order_of(
        context,
        privacy=options.privacy,
        publish_at=options.publish_at,
        in_tags=options.marker == "tag",
        refuse=options.misfits == "refuse",
    )


def _video_file(options: Options, context: PublishContext) -> Artifact:
    role = options.file or ("talk" if "talk" in context.artifacts else None)
    return context.chosen([role] if role else [])[0]


def _account_of(options: Options, context: PublishContext) -> str:
    """What was begun on a channel goes on there, whatever the sheet says now."""
    receipt = context.publication.receipt
    begun = context.publication.token.get("account") or (receipt.facts.get("account") if receipt else None)
    stage = context.talk.stage if context.talk else ""
    return str(begun or options.accounts.get(stage, options.account))


@asynccontextmanager
async def _channel(options: Options, context: PublishContext) -> AsyncIterator[Channel]:
    async with channel_of(_account_of(options, context), context.tools).connected() as channel:
        yield channel


def _upload(options: Options, context: PublishContext, channel: Channel) -> VideoUpload:
    token = dict(context.publication.token)
    return VideoUpload(channel, token, context.checkpoint, marker_of(context), options.settle, context.tools.clock)


async def _send(options: Options, context: PublishContext, upload: VideoUpload) -> None:
    """Bring the bytes there, from where an earlier attempt stopped."""
    channel, order = upload.channel, _order(options, context)
    options.side_files(context)
    artifact = _video_file(options, context)
    path = context.directory / artifact.path
    stat = path.stat()
    file = {"role": artifact.role, "size": stat.st_size, "changed": stat.st_mtime_ns}
    me = await channel.mine()
    if not upload.goes_on(file):
        kind = artifact.content_type if artifact.content_type.startswith("video/") else "application/octet-stream"
        body = order.body(
            category=options.category,
            languages=(options.language, options.audio_language),
            licence=options.license,
            for_kids=options.made_for_kids,
        )
        token = {"account": channel.name, "channel": me["id"], "file": file, "words": dict(order.words)}
        await upload.begin(
            {**token, "notes": list(order.notes)},
            lambda: channel.begin(body, kind, stat.st_size, notify=options.notify_subscribers),
        )
    meter = ProgressMeter(
        "youtube", "upload", progress=context.progress, observe=context.tools.observe, total=stat.st_size
    )
    await upload.send(path, chunk=int(options.chunk), meter=meter)
    await context.sent(upload.token)


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Bring the video there, then wait for YouTube without holding a place: the next try goes on at `reconcile`."""
    async with _channel(options, context) as channel:
        upload = _upload(options, context, channel)
        if "video" not in upload.token:
            await _send(options, context, upload)
        return await Finish(options, context, channel, upload).run()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask the upload session, then the channel's uploads; None where a session can go on or no video came to be."""
    async with _channel(options, context) as channel:
        upload = _upload(options, context, channel)
        if "video" not in upload.token and not await upload.ask():
            return None
        return await Finish(options, context, channel, upload).run()


async def amend(options: Options, context: PublishContext) -> Receipt:
    """Bring title, description, tags, privacy and playlists up to what the context says now; what did not change stays."""
    channel = channel_of(_account_of(options, context), context.tools)
    video = _published(context)
    receipt = context.publication.receipt or Receipt()
    order, written = _order(options, context), receipt.facts.get("words", {})
    current = await channel.video(video, "snippet,status")
    if current is None:
        raise gone(video)
    body: dict[str, Any] = {}
    snippet = merged_snippet(current["snippet"], written, order.words)
    if snippet is not None:
        body["snippet"] = snippet
    privacy = str(current["status"].get("privacyStatus", ""))
    if order.words["privacy"] not in {written.get("privacy"), privacy}:
        privacy = str(order.words["privacy"])
        body["status"] = with_privacy(current["status"], privacy, order.publish_at)
    if body:
        await channel.update({"id": video, **body})
    notes = list(order.notes)
    extras = Extras(channel, video, context.tools.clock, options.settle, {}, notes, _unrecorded)
    known, wanted = options.lists(context.tools, channel), playlists_of(context, options.playlists)
    playlists = await extras.only_in(known, wanted, receipt.facts.get("playlists", ()))
    more = {"words": dict(order.words), "privacy": privacy, "playlists": playlists, "notes": notes}
    url = receipt.url or options.address(context, video)
    return Receipt(url=url, facts={"account": channel.name, **receipt.facts, "video": video, **more})


async def _unrecorded() -> None:
    """An amendment asks anew each time it is made."""


def _published(context: PublishContext) -> str:
    """The id of the video that is there; Refused where nothing is known to be."""
    receipt = context.publication.receipt
    known = context.publication.token.get("video")
    if receipt is not None:
        named = re.search(r"(?:youtu\.be/|[?&]v=)([\w-]+)", receipt.url or "")
        known = receipt.facts.get("video") or (named[1] if named else known)
    if not known:
        raise Refused("It is not known which video at YouTube this is: say it with vidd resolve JOB --published URL.")
    return str(known)


async def retract(options: Options, context: PublishContext) -> str:
    """Make the video private, or delete it; one that is gone or private already is well."""
    channel = channel_of(_account_of(options, context), context.tools)
    video = _published(context)
    current = await channel.video(video, "status")
    if current is None:
        return f"The video {video} is not at YouTube any more."
    if options.retract == "delete":
        await channel.delete(video)
        return f"The video {video} was deleted at YouTube."
    status = current["status"]
    if status.get("privacyStatus") != "private" or "publishAt" in status:
        await channel.update({"id": video, "status": with_privacy(status, "private")})
    return f"The video {video} is private at YouTube."


async def check(options: Options, tools: Tools) -> str:
    """Ask each account which channel is behind it."""
    said = []
    for name in dict.fromkeys([options.account, *options.accounts.values()]):
        channel = channel_of(name, tools)
        me = await channel.mine()
        title = str(me.get("snippet", {}).get("title", ""))
        said.append(f"The account {name} has the channel {title!a} ({me['id']}).")
    return " ".join(said)
