"""Adds the extras to an uploaded video and waits until YouTube has processed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.poll_clock import observed_for
from vidd.errors import FaultCode, RetryLater
from vidd.integrations.youtube.errors import video_deleted
from vidd.integrations.youtube.extras import Extras
from vidd.integrations.youtube.metadata import playlist_titles
from vidd.integrations.youtube.state import is_processed
from vidd.model.publication import Receipt

if TYPE_CHECKING:
    from vidd.integrations.youtube.api import Channel
    from vidd.integrations.youtube.publisher import Options
    from vidd.integrations.youtube.upload import VideoUpload
    from vidd.ports import PublishContext


@dataclass(frozen=True)
class Completion:
    """What a publication still needs once the bytes have arrived. `upload` holds its token."""

    options: Options
    context: PublishContext
    channel: Channel
    upload: VideoUpload

    async def run(self) -> Receipt:
        """The receipt. Raises RetryLater until YouTube has processed the video."""
        video = str(self.upload.token["video"])
        resource = await self.channel.video(video, "status,processingDetails")
        waited, self.upload.token = observed_for(
            self.upload.token, self.context.tools.clock.now(), self.options.poll_longest
        )
        await self.upload.save()
        if resource is None:
            if waited < self.options.settle:
                raise self._not_yet(waited, "YouTube does not list the video yet")
            raise video_deleted(video)
        processed = is_processed(video, resource)
        playlists = await self._add_extras(video)
        if not processed:
            raise self._not_yet(waited, f"YouTube is still processing the video {video}")
        return self._receipt(video, str(resource.get("status", {}).get("privacyStatus", "")), playlists)

    def _not_yet(self, waited: float, sentence: str) -> RetryLater:
        after = min(self.options.poll_longest, max(self.options.poll, waited / 4))
        return RetryLater(f"{sentence}; vidd will ask again.", after=after, counts=False, code=FaultCode.PENDING)

    async def _add_extras(self, video: str) -> list[dict[str, str]]:
        options, context, token = self.options, self.context, self.upload.token
        extras = Extras(
            self.channel, video, context.tools.clock, options.settle, token["steps"], token["notes"], self.upload.save
        )
        if options.thumbnail:
            image = context.choose([options.thumbnail])[0]
            await extras.thumbnail(context.directory / image.path, image.content_type)
        for role, language in options.captions.items():
            await extras.captions(language, context.directory / context.choose([role])[0].path)
        playlists = options.channel_playlists(context.tools, self.channel)
        entries = [await extras.playlist(playlists, title) for title in playlist_titles(context, options.playlists)]
        return [entry for entry in entries if entry]

    def _receipt(self, video: str, privacy: str, playlists: list[dict[str, str]]) -> Receipt:
        text, notes = self.upload.token["words"], list(self.upload.token["notes"])
        if privacy == "private" != text["privacy"]:
            notes.append("YouTube made the video private, as it does with uploads of API projects it has not audited.")
        facts = {
            "video": video,
            "channel": self.upload.token.get("channel"),
            "account": self.channel.name,
            "privacy": privacy or text["privacy"],
            "playlists": playlists,
            "notes": notes,
            "words": text,
        }
        return Receipt(url=self.options.address(self.context, video), facts=facts)
