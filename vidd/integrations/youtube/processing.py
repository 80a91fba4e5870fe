"""What a video on YouTube still gets once its bytes are there: pictures, words beside it, playlists, and the waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from vidd.aio.poll_clock import observed_for
from vidd.errors import Refused, RetryLater
from vidd.integrations.youtube.extras import Extras
from vidd.integrations.youtube.metadata_order import playlists_of
from vidd.integrations.youtube.playlists import Playlists
from vidd.integrations.youtube.state import gone, is_processed
from vidd.model.publication import Receipt
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Duration, Options

if TYPE_CHECKING:
    from vidd.integrations.youtube.api import Channel
    from vidd.integrations.youtube.upload import VideoUpload
    from vidd.ports import PublishContext, Tools

Template = Annotated[str, AfterValidator(check_template), MayName()]
Privacy = Literal["public", "unlisted", "private"]

_IMAGE = 2 * 2**20


class FinishOptions(Options):
    """The settings of a publication to YouTube that speak of what comes after the bytes."""

    thumbnail: str | None = Field(None, description="Role of the picture, JPEG or PNG of 2 MB at most.")
    captions: dict[str, str] = Field(default_factory=dict, description="Roles of captions and their languages.")
    playlists: tuple[Template, ...] = Field(
        ("{{ talk.stage }}",), description="Templates of playlists, found or made by name; an empty one is none."
    )
    playlist_privacy: Privacy = Field("public", description="Who may see a playlist that is made.")
    poll: Duration = Field(20.0, gt=0, description="Shortest time until it is asked again whether it is processed.")
    poll_longest: Duration = Field(300.0, gt=0, description="Longest time until then; it grows with the waiting.")
    settle: Duration = Field(
        120.0, ge=0, description="How late YouTube's lists may be: only after it is what they lack taken as absent."
    )
    link: Annotated[str, AfterValidator(check_template), MayName("video")] = Field(
        "https://youtu.be/{{ video }}", description="Template of the receipt's link."
    )

    def side_files(self, context: PublishContext) -> None:
        """Refused where a thumbnail or captions are not there, before anything is sent."""
        if self.thumbnail:
            image = context.chosen([self.thumbnail])[0]
            if image.size > _IMAGE:
                raise Refused(
                    f"The thumbnail {image.path!a} is larger than the 2 MB YouTube takes: make a smaller one."
                )
            if image.content_type not in {"image/jpeg", "image/png"}:
                raise Refused(f"The thumbnail {image.path!a} is no JPEG or PNG: make it one.")
        if self.captions:
            context.chosen(list(self.captions))

    def lists(self, tools: Tools, channel: Channel) -> Playlists:
        """The channel's playlists."""
        return Playlists(channel, tools.memory, tools.clock, self.settle, self.playlist_privacy)

    def address(self, context: PublishContext, video: str) -> str:
        """The receipt's link."""
        return render(self.link, fields_of(context.job, context.talk, context.facts, video=video))


@dataclass(frozen=True)
class Finish:
    """The rest of one publication, whose token `upload` keeps."""

    options: FinishOptions
    context: PublishContext
    channel: Channel
    upload: VideoUpload

    async def run(self) -> Receipt:
        """The receipt; RetryLater until YouTube has processed the video."""
        video = str(self.upload.token["video"])
        resource = await self.channel.video(video, "status,processingDetails")
        waited, self.upload.token = observed_for(
            self.upload.token, self.context.tools.clock.now(), self.options.poll_longest
        )
        await self.upload.save()
        if resource is None:
            if waited < self.options.settle:
                raise self._not_yet(waited, "YouTube does not list the video yet")
            raise gone(video)
        processed = is_processed(video, resource)
        playlists = await self._extras(video)
        if not processed:
            raise self._not_yet(waited, f"YouTube is still processing the video {video}")
        return self._receipt(video, str(resource.get("status", {}).get("privacyStatus", "")), playlists)

    def _not_yet(self, waited: float, sentence: str) -> RetryLater:
        after = min(self.options.poll_longest, max(self.options.poll, waited / 4))
        return RetryLater(f"{sentence}; it is asked again.", after=after, counts=False)

    async def _extras(self, video: str) -> list[dict[str, str]]:
        options, context, token = self.options, self.context, self.upload.token
        extras = Extras(
            self.channel, video, context.tools.clock, options.settle, token["steps"], token["notes"], self.upload.save
        )
        if options.thumbnail:
            image = context.chosen([options.thumbnail])[0]
            await extras.thumbnail(context.directory / image.path, image.content_type)
        for role, language in options.captions.items():
            await extras.captions(language, context.directory / context.chosen([role])[0].path)
        lists = options.lists(context.tools, self.channel)
        found = [await extras.playlist(lists, title) for title in playlists_of(context, options.playlists)]
        return [one for one in found if one]

    def _receipt(self, video: str, privacy: str, playlists: list[dict[str, str]]) -> Receipt:
        words, notes = self.upload.token["words"], list(self.upload.token["notes"])
        if privacy == "private" != words["privacy"]:
            notes.append("YouTube made the video private; it does so with uploads of API projects it has not audited.")
        facts = {
            "video": video,
            "channel": self.upload.token.get("channel"),
            "account": self.channel.name,
            "privacy": privacy or words["privacy"],
            "playlists": playlists,
            "notes": notes,
            "words": words,
        }
        return Receipt(url=self.options.address(self.context, video), facts=facts)
