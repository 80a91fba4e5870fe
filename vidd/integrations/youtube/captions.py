"""Adds caption tracks to a video that is already at YouTube, one for each language.

vidd asks for the tracks of the video before it adds one. A track of its own, also of the follow-up that this job replaces,
is updated in place; one that somebody else made stays as it is.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.create_once import create_once
from vidd.errors import FaultCode, Refused
from vidd.integrations.captions import CaptionOptions, caption_files, published_video
from vidd.integrations.google.errors import RequestRejected
from vidd.integrations.youtube.api import Channel, open_channel
from vidd.model.publication import Receipt
from vidd.model.rework import edition_of
from vidd.settings.types import Duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from vidd.ports import PublishContext, Tools

_SCOPE = "https://www.googleapis.com/auth/youtube.force-ssl"


class Options(CaptionOptions):
    """Settings of a publisher of kind `youtube_captions`."""

    account: str | None = Field(None, description="The youtube account; unset: the one that uploaded the video.")
    video_of: str = Field(
        "youtube", description="Label of the publisher, in the pipeline that is followed, that uploaded the video."
    )
    name: str = Field("", max_length=150, description="Name of the tracks, which viewers see beside the language.")
    draft: bool = Field(False, description="Upload tracks as drafts, which nobody sees until a person publishes them.")
    settle: Duration = Field(
        120.0,
        ge=0,
        description="How late YouTube's lists may be: only after it does vidd take what they lack as absent.",
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Add or update a track for each language."""
    async with _open(options, context) as captions:
        return await captions.put_all()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """None: `publish` asks before it sends, and can be repeated."""
    published_video(options, context, _id_in)
    return None


# A track is updated where it is, so its address stays.
replace_files = publish


async def retract(_options: Options, context: PublishContext) -> str:
    """Delete the tracks that the receipt names; one that is already deleted is no error."""
    receipt = context.publication.receipt
    tracks: Mapping[str, str] = receipt.facts.get("tracks", {}) if receipt else {}
    if receipt is None or not tracks:
        return "There was no caption track of vidd to delete."
    video = receipt.facts["video"]
    async with open_channel(str(receipt.facts["account"]), context.tools).connected() as channel:
        with _rights(channel.name, str(video)):
            for track in tracks.values():
                await channel.delete_captions(track)
    return f"The captions ({', '.join(tracks)}) of the video {video} were deleted at YouTube."


async def check(options: Options, tools: Tools) -> str:
    """Ask the account which channel it has."""
    if options.account is None:
        return "Captions go to the channel that has the video."
    channel = open_channel(options.account, tools)
    me = await channel.mine()
    return f"The account {options.account} has the channel {me['id']}."


def _id_in(address: str) -> str | None:
    found = re.search(r"(?:youtu\.be/|[?&]v=)([\w-]+)", address)
    return found[1] if found else None


@asynccontextmanager
async def _open(options: Options, context: PublishContext) -> AsyncIterator[_Captions]:
    video = published_video(options, context, _id_in)
    async with open_channel(video.account, context.tools).connected() as channel:
        with _rights(video.account, video.id):
            yield _Captions(options, context, channel, video.id, video.address)


@contextmanager
def _rights(account: str, video: str) -> Iterator[None]:
    """Say what is missing where YouTube does not let the account touch the captions of the video."""
    try:
        yield
    except RequestRejected as rejection:
        if rejection.status != 403:
            raise
        raise Refused(
            f"YouTube does not let the account {account} change the captions of the video {video} ({rejection.reason}):"
            f" sign it in again with the scope {_SCOPE} too (docs/how-to/youtube.md), or with the channel that has the"
            " video.",
            code=FaultCode.FORBIDDEN,
        ) from None


@dataclass(frozen=True)
class _Captions:
    """The caption tracks of one video."""

    options: Options
    context: PublishContext
    channel: Channel
    video: str
    address: str

    async def put_all(self) -> Receipt:
        """Add or update the track of each language, and delete those of languages that are no longer wanted."""
        context, edition = self.context, edition_of(self.context.job)
        token = dict(context.publication.token)
        if token.get("edition", edition) != edition:
            token = {}  # it tells of the files of an earlier edition
        token["edition"] = edition
        files = caption_files(context)
        earlier, tracks, notes = self._earlier(), dict(token.get("tracks", {})), []
        present = await self.channel.captions(self.video)
        for language, path in files.items():
            if language not in tracks:
                found = self._track_in(present, language)
                known = found is not None and found == earlier.get(language)
                tracks[language] = await self._put(language, path.read_bytes(), token, found, ours=known)
                token["tracks"] = dict(tracks)
                await context.checkpoint(token)
            if tracks[language] is None:
                notes.append(f"The video has captions in {language} that vidd did not upload; they stay as they are.")
        for language, track in earlier.items():
            if language not in files:
                await self.channel.delete_captions(track)
        ours = {language: track for language, track in tracks.items() if track is not None and language in files}
        facts = {"video": self.video, "account": self.channel.name, "tracks": ours, "notes": notes}
        return Receipt(url=self.address, facts=facts)

    def _earlier(self) -> dict[str, str]:
        """The tracks of this video, by language, that vidd uploaded for an earlier edition."""
        receipts = [self.context.replaced, self.context.publication.receipt]
        return {
            language: track
            for receipt in receipts
            if receipt is not None and receipt.facts.get("video") == self.video
            for language, track in receipt.facts.get("tracks", {}).items()
        }

    async def _put(
        self, language: str, content: bytes, token: dict[str, Any], found: str | None, *, ours: bool
    ) -> str | None:
        """The id of the track with this content; None where somebody else made the one that was `found` there."""
        tried = token.get("tried", {}).get(language)

        async def save_attempt(at: str | None) -> None:
            token["tried"] = {**token.get("tried", {}), language: at}
            await self.context.checkpoint(token)

        async def find() -> str | None:
            return found

        async def add() -> str:
            added = await self.channel.add_captions(
                self.video, language, content, name=self.options.name, draft=self.options.draft
            )
            return self._accepted(language, added)

        if found is not None and ours:
            return self._accepted(language, await self.channel.update_captions(found, content))
        if found is not None and tried is None:
            return None
        try:
            return await create_once(
                find,
                add,
                last_attempt=tried,
                save_attempt=save_attempt,
                visibility_delay=self.options.settle,
                clock=self.context.tools.clock,
                doing=f"uploading the captions in {language}",
            )
        except RequestRejected as rejection:
            if rejection.reason != "captionExists":
                raise
            # Its list is late: the track is there, and this attempt did not add it.
            return None

    def _track_in(self, present: Sequence[Mapping[str, Any]], language: str) -> str | None:
        """The id of the track in this language and of this name; None without one."""
        for caption in present:
            snippet = caption.get("snippet", {})
            automatic = str(snippet.get("trackKind", "standard")).lower() == "asr"
            if not automatic and (snippet.get("language"), snippet.get("name", "")) == (language, self.options.name):
                return str(caption["id"])
        return None

    def _accepted(self, language: str, track: Mapping[str, Any]) -> str:
        snippet = track.get("snippet", {})
        if snippet.get("status") == "failed":
            raise Refused(
                f"YouTube cannot use the captions in {language} of the video {self.video}"
                f" ({snippet.get('failureReason', 'no reason given')}): look at the file, then retry.",
                code=FaultCode.REJECTED,
            )
        return str(track["id"])
