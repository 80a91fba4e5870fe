"""Publishes to YouTube: a resumable upload that is never repeated while its outcome is unknown, then the wait for processing."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.errors import FaultCode, Refused
from vidd.integrations.google.resumable_upload import UNIT
from vidd.integrations.youtube.api import Channel, open_channel
from vidd.integrations.youtube.errors import video_deleted
from vidd.integrations.youtube.extras import Extras
from vidd.integrations.youtube.metadata import (
    Metadata,
    make_metadata,
    marker_of,
    merge_snippet,
    playlist_titles,
    set_privacy,
)
from vidd.integrations.youtube.playlists import PlaylistLocks, Playlists
from vidd.integrations.youtube.processing import Completion
from vidd.integrations.youtube.upload import VideoUpload
from vidd.model.publication import Receipt
from vidd.settings.marks import AccountOf, Role
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vidd.model.media import Artifact
    from vidd.ports import PublishContext, Tools

_LARGEST_THUMBNAIL = 2 * 2**20

_Template = Annotated[str, AfterValidator(check_template), MayName()]
_Privacy = Literal["public", "unlisted", "private"]


class Options(Base):
    """Settings of a publisher of kind `youtube`. Title, description and tags are those of the step `describe`."""

    account: Annotated[str, AccountOf("youtube")] = Field(description="The youtube account.")
    accounts: dict[str, Annotated[str, AccountOf("youtube")]] = Field(
        default_factory=dict, description="Other accounts by stage: stage id → account."
    )
    file: Annotated[str, Role()] | None = Field(
        None, description="Role of the video; none means talk, or the first that a step made."
    )
    privacy: _Privacy = Field("unlisted", description="Who may see it; a talk marked private is private in any case.")
    publish_at: _Template | None = Field(
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
        "tag", description="Where the word goes by which vidd finds the job's video."
    )
    misfits: Literal["mend", "refuse"] = Field(
        "mend",
        description="What happens to texts that YouTube does not accept: vidd changes and notes them, or refuses the job.",
    )
    chunk: Size = Field(
        Size(2**30),
        ge=UNIT,
        description="Bytes in one request, a multiple of 256 KiB; YouTube keeps what arrived of a request that breaks off.",
    )
    retract: Literal["private", "delete"] = Field("private", description="What a retraction does with the video.")
    thumbnail: Annotated[str, Role()] | None = Field(
        None, description="Role of the thumbnail, a JPEG or PNG of 2 MB at most."
    )
    captions: dict[str, str] = Field(default_factory=dict, description="Roles of captions and their languages.")
    playlists: tuple[_Template, ...] = Field(
        ("{{ talk.stage }}",), description="Templates of playlists, found or made by name; an empty one is none."
    )
    playlist_privacy: _Privacy = Field("public", description="Who may see a playlist that is made.")
    poll: Duration = Field(20.0, gt=0, description="Shortest time until vidd asks again whether it is processed.")
    poll_longest: Duration = Field(300.0, gt=0, description="Longest time until then; it grows with the waiting.")
    settle: Duration = Field(
        120.0,
        ge=0,
        description="How late YouTube's lists may be: only after it does vidd take what they lack as absent.",
    )
    link: Annotated[str, AfterValidator(check_template), MayName("video")] = Field(
        "https://youtu.be/{{ video }}", description="Template of the receipt's link."
    )

    @model_validator(mode="after")
    def _check(self) -> Options:
        if self.publish_at is not None and self.privacy != "private":
            raise ValueError('publish_at needs privacy = "private"; YouTube makes it public then')
        if self.chunk % UNIT:
            raise ValueError(f"chunk must be a multiple of {UNIT} bytes (256 KiB)")
        return self

    def check_side_files(self, context: PublishContext) -> None:
        """Raise Refused where a thumbnail or captions cannot be used, before anything is sent."""
        if self.thumbnail:
            image = context.choose([self.thumbnail])[0]
            if image.size > _LARGEST_THUMBNAIL:
                raise Refused(
                    f"The thumbnail {image.path!a} is larger than the 2 MB YouTube accepts: make a smaller one."
                )
            if image.content_type not in {"image/jpeg", "image/png"}:
                raise Refused(f"The thumbnail {image.path!a} is no JPEG or PNG: make it one.")
        if self.captions:
            context.choose(list(self.captions))

    def channel_playlists(self, tools: Tools, channel: Channel) -> Playlists:
        """The channel's playlists."""
        locks = tools.shared.get(PlaylistLocks)
        return Playlists(channel, tools.memory, tools.clock, locks, self.settle, self.playlist_privacy)

    def address(self, context: PublishContext, video: str) -> str:
        """The receipt's link."""
        return render(self.link, fields_of(context.job, context.talk, context.facts, video=video))


def _metadata(options: Options, context: PublishContext) -> Metadata:
    return make_metadata(
        context,
        privacy=options.privacy,
        publish_at=options.publish_at,
        in_tags=options.marker == "tag",
        refuse=options.misfits == "refuse",
    )


def _video_file(options: Options, context: PublishContext) -> Artifact:
    role = options.file or ("talk" if "talk" in context.artifacts else None)
    return context.choose([role] if role else [])[0]


def _account_of(options: Options, context: PublishContext) -> str:
    """The account of the publication: what began on a channel continues there, whatever the sheet says now."""
    receipt = context.publication.receipt
    begun = context.publication.token.get("account") or (receipt.facts.get("account") if receipt else None)
    stage = context.talk.stage if context.talk else ""
    return str(begun or options.accounts.get(stage, options.account))


@asynccontextmanager
async def _channel(options: Options, context: PublishContext) -> AsyncIterator[Channel]:
    async with open_channel(_account_of(options, context), context.tools).connected() as channel:
        yield channel


def _upload(options: Options, context: PublishContext, channel: Channel) -> VideoUpload:
    token = dict(context.publication.token)
    return VideoUpload(channel, token, context.checkpoint, marker_of(context), options.settle, context.tools.clock)


async def _send(options: Options, context: PublishContext, upload: VideoUpload) -> None:
    """Upload the video from where an earlier attempt stopped."""
    channel, metadata = upload.channel, _metadata(options, context)
    options.check_side_files(context)
    artifact = _video_file(options, context)
    path = context.directory / artifact.path
    stat = path.stat()
    file = {"role": artifact.role, "size": stat.st_size, "changed": stat.st_mtime_ns}
    me = await channel.mine()
    if not upload.can_resume(file):
        kind = artifact.content_type if artifact.content_type.startswith("video/") else "application/octet-stream"
        body = metadata.body(
            category=options.category,
            languages=(options.language, options.audio_language),
            licence=options.license,
            for_kids=options.made_for_kids,
        )
        token = {"account": channel.name, "channel": me["id"], "file": file, "words": dict(metadata.text)}
        await upload.begin(
            {**token, "notes": list(metadata.notes)},
            lambda: channel.begin(body, kind, stat.st_size, notify=options.notify_subscribers),
        )
    meter = ProgressMeter(
        "youtube", "upload", progress=context.progress, observe=context.tools.observe, total=stat.st_size
    )
    await upload.send(path, chunk=int(options.chunk), meter=meter)
    await context.sent(upload.token)


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Upload the video, then wait for YouTube without holding a slot: the next attempt continues in `reconcile`."""
    async with _channel(options, context) as channel:
        upload = _upload(options, context, channel)
        if "video" not in upload.token:
            await _send(options, context, upload)
        return await Completion(options, context, channel, upload).run()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask the upload session, then the channel's uploads; None where a session can be resumed or there is no video."""
    async with _channel(options, context) as channel:
        upload = _upload(options, context, channel)
        if "video" not in upload.token and not await upload.recover():
            return None
        return await Completion(options, context, channel, upload).run()


async def amend(options: Options, context: PublishContext) -> Receipt:
    """Update title, description, tags, privacy and playlists to what the context says now."""
    channel = open_channel(_account_of(options, context), context.tools)
    video = _published_video(context)
    receipt = context.publication.receipt or Receipt()
    metadata, written = _metadata(options, context), receipt.facts.get("words", {})
    current = await channel.video(video, "snippet,status")
    if current is None:
        raise video_deleted(video)
    body: dict[str, Any] = {}
    snippet = merge_snippet(current["snippet"], written, metadata.text)
    if snippet is not None:
        body["snippet"] = snippet
    privacy = str(current["status"].get("privacyStatus", ""))
    if metadata.text["privacy"] not in {written.get("privacy"), privacy}:
        privacy = str(metadata.text["privacy"])
        body["status"] = set_privacy(current["status"], privacy, metadata.publish_at)
    if body:
        await channel.update({"id": video, **body})
    notes = list(metadata.notes)
    extras = Extras(channel, video, context.tools.clock, options.settle, {}, notes, _save_nothing)
    known, wanted = options.channel_playlists(context.tools, channel), playlist_titles(context, options.playlists)
    playlists = await extras.only_in(known, wanted, receipt.facts.get("playlists", ()))
    more = {"words": dict(metadata.text), "privacy": privacy, "playlists": playlists, "notes": notes}
    url = receipt.url or options.address(context, video)
    return Receipt(url=url, facts={"account": channel.name, **receipt.facts, "video": video, **more})


async def _save_nothing() -> None:
    """An amendment has no token: it asks YouTube anew each time."""


def _published_video(context: PublishContext) -> str:
    """The id of the published video. Raises Refused where vidd knows of none."""
    receipt = context.publication.receipt
    known = context.publication.token.get("video")
    if receipt is not None:
        named = re.search(r"(?:youtu\.be/|[?&]v=)([\w-]+)", receipt.url or "")
        known = receipt.facts.get("video") or (named[1] if named else known)
    if not known:
        raise Refused(
            "vidd does not know which video at YouTube this is: say it with vidd resolve JOB --published URL.",
            code=FaultCode.NOT_FOUND,
        )
    return str(known)


async def retract(options: Options, context: PublishContext) -> str:
    """Make the video private, or delete it; a video that is already deleted or private is no error."""
    channel = open_channel(_account_of(options, context), context.tools)
    video = _published_video(context)
    current = await channel.video(video, "status")
    if current is None:
        return f"The video {video} is not at YouTube any more."
    if options.retract == "delete":
        await channel.delete(video)
        return f"The video {video} was deleted at YouTube."
    status = current["status"]
    if status.get("privacyStatus") != "private" or "publishAt" in status:
        await channel.update({"id": video, "status": set_privacy(status, "private")})
    return f"The video {video} is private at YouTube."


async def check(options: Options, tools: Tools) -> str:
    """Ask each account which channel it has."""
    channels = []
    for name in dict.fromkeys([options.account, *options.accounts.values()]):
        channel = open_channel(name, tools)
        me = await channel.mine()
        title = str(me.get("snippet", {}).get("title", ""))
        channels.append(f"The account {name} has the channel {title!a} ({me['id']}).")
    return " ".join(channels)
