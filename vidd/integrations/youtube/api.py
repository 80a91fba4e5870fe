"""A channel at YouTube: the calls of the Data API v3 that vidd makes, each paid from the day's quota.

developers.google.com/youtube/v3/docs.
"""

from __future__ import annotations

import json
import secrets
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from vidd.errors import Refused, RetryLater
from vidd.integrations.google.api import Answer, Api, NotTaken, QuotaUsedUp, google
from vidd.integrations.google.auth import GoogleAccount
from vidd.integrations.youtube.quota import Quota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from vidd.ports import Tools

SCOPES = (
    "https://www.googleapis.com/auth/youtube",
    "https://www.googleapis.com/auth/youtube.force-ssl",
    "https://www.googleapis.com/auth/youtube.upload",
)
_PAGE = "50"


class Account(GoogleAccount):
    """A channel at YouTube, and who signed in for it."""

    kind: Literal["youtube"] = Field("youtube", description="A YouTube channel.")
    channel: str | None = Field(None, description="The channel's id (UC…); another one behind the token is refused.")
    daily: int = Field(10_000, ge=1, description="Units of quota a day.")
    daily_uploads: int | None = Field(
        100, ge=1, description="Uploads a day; none for projects whose uploads are paid from the units."
    )
    costs: dict[str, int] = Field(
        default_factory=dict,
        description='Units by method where they are not the public ones: {"videos.insert" = 1600}.',
    )
    day: str = Field("America/Los_Angeles", description="Time zone at whose midnight the quota is given anew.")
    api_url: str = Field(
        "https://youtube.googleapis.com", pattern=r"^https?://[^\s@]+$", description="Address of the service."
    )

    @field_validator("day")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError):
            raise ValueError(f"there is no time zone {value!r}") from None
        return value

    @model_validator(mode="after")
    def _a_person(self) -> Account:
        if self.service_account is not None:
            raise ValueError("YouTube gives service accounts no channel: sign a person in")
        return self


@dataclass(frozen=True)
class Channel:
    """A channel with its account's name. Made by `channel_of`."""

    name: str
    account: Account
    api: Api
    quota: Quota

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Channel]:
        """The same, with connections kept for what may be repeated."""
        async with self.api.connected() as api:
            yield replace(self, api=api)

    async def mine(self) -> dict[str, Any]:
        """The channel behind the token, with `id`, `snippet` and `contentDetails`; Refused where it is another."""
        answer = await self._call("GET", "channels.list", {"part": "snippet,contentDetails", "mine": "true"})
        items = _items(answer)
        if not items:
            raise Refused(
                f"The account {self.name} has no channel at YouTube: make one there, or sign in as its owner."
            )
        if self.account.channel not in {None, items[0]["id"]}:
            raise Refused(
                f"The wrong channel is behind the account {self.name}: {items[0]['id']} instead of {self.account.channel}. "
                f"Sign in with the right one, or correct [accounts.{self.name}] channel."
            )
        return items[0]

    async def begin(self, body: Mapping[str, Any], content_type: str, size: int, *, notify: bool) -> str:
        """Open an upload session; its address. A session without bytes makes no video."""
        headers = {"X-Upload-Content-Type": content_type, "X-Upload-Content-Length": str(size)}
        answer = await self._call(
            "POST",
            "videos.insert",
            {
                "uploadType": "resumable",
                "part": ",".join(sorted(body)),
                "notifySubscribers": str(notify).lower(),
            },
            body=body,
            headers=headers,
            path="/upload/youtube/v3/videos",
        )
        place = answer.headers.get("Location", "")
        if not place.startswith(("https://", "http://")):
            raise RetryLater("YouTube's answer to videos.insert names no upload session; it is asked again.")
        return place

    async def video(self, video: str, parts: str) -> dict[str, Any] | None:
        """A video's parts; None where there is no such video."""
        return next(iter(await self.videos([video], parts)), None)

    async def videos(self, ids: Sequence[str], parts: str) -> list[dict[str, Any]]:
        """The parts of 50 videos at most."""
        return _items(await self._call("GET", "videos.list", {"part": parts, "id": ",".join(ids)}))

    async def update(self, body: Mapping[str, Any]) -> None:
        """Replace the parts of a video that are in the body, each as a whole."""
        await self._call("PUT", "videos.update", {"part": ",".join(sorted(set(body) - {"id"}))}, body=body)

    async def delete(self, video: str) -> None:
        """Delete a video for ever; one that is gone already is well."""
        with _gone_is_well():
            await self._call("DELETE", "videos.delete", {"id": video})

    async def set_thumbnail(self, video: str, image: bytes, content_type: str) -> None:
        """Set a video's picture; once more does no harm."""
        await self._call(
            "POST",
            "thumbnails.set",
            {"videoId": video, "uploadType": "media"},
            data=image,
            headers={"Content-Type": content_type},
            path="/upload/youtube/v3/thumbnails/set",
        )

    async def captions(self, video: str) -> list[dict[str, Any]]:
        """The caption tracks of a video."""
        return _items(await self._call("GET", "captions.list", {"part": "snippet", "videoId": video}))

    async def add_captions(self, video: str, language: str, words: bytes) -> None:
        """Bring a caption track; OutcomeUnknown where the answer is lost."""
        body = {"snippet": {"videoId": video, "language": language, "name": ""}}
        mark = secrets.token_hex(16)
        head = f"--{mark}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(body)}\r\n"
        middle = f"--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
        await self._call(
            "POST",
            "captions.insert",
            {"uploadType": "multipart", "part": "snippet"},
            data=head.encode() + middle.encode() + words + f"\r\n--{mark}--\r\n".encode(),
            headers={"Content-Type": f'multipart/related; boundary="{mark}"'},
            path="/upload/youtube/v3/captions",
            repeatable=False,
        )

    async def playlists(self) -> AsyncIterator[dict[str, Any]]:
        """The channel's own playlists."""
        async for page in self._pages("playlists.list", part="snippet", mine="true"):
            yield page

    async def add_playlist(self, title: str, privacy: str) -> str:
        """Make a playlist; its id. OutcomeUnknown where the answer is lost."""
        body = {"snippet": {"title": title}, "status": {"privacyStatus": privacy}}
        answer = await self._call("POST", "playlists.insert", {"part": "snippet,status"}, body=body, repeatable=False)
        return str(answer.body["id"])

    async def items(self, playlist: str, *, video: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """What is in a playlist, or only where this video is in it; of uploads the newest come first."""
        only = {} if video is None else {"videoId": video}
        async for page in self._pages("playlistItems.list", part="snippet,contentDetails", playlistId=playlist, **only):
            yield page

    async def add_item(self, playlist: str, video: str) -> str:
        """Put a video into a playlist; the item's id. OutcomeUnknown where the answer is lost."""
        body = {"snippet": {"playlistId": playlist, "resourceId": {"kind": "youtube#video", "videoId": video}}}
        answer = await self._call("POST", "playlistItems.insert", {"part": "snippet"}, body=body, repeatable=False)
        return str(answer.body["id"])

    async def delete_item(self, item: str) -> None:
        """Take an item out of its playlist; one that is gone already is well."""
        with _gone_is_well():
            await self._call("DELETE", "playlistItems.delete", {"id": item})

    async def _pages(self, method: str, **params: str) -> AsyncIterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            answer = await self._call("GET", method, {"maxResults": _PAGE, **params, **token})
            for item in _items(answer):
                yield item
            following = answer.body.get("nextPageToken")
            if not isinstance(following, str):
                return
            token = {"pageToken": following}

    async def _call(
        self,
        http: str,
        method: str,
        params: Mapping[str, str],
        *,
        path: str | None = None,
        repeatable: bool = True,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        await self.quota.spend(method)
        url = self.account.api_url.rstrip("/") + (path or f"/youtube/v3/{method.split('.', maxsplit=1)[0]}")
        try:
            return await self.api.call(
                http, url, doing=f"YouTube's {method}", params=params, body=body, data=data, headers=headers,
                repeatable=repeatable,
            )  # fmt: skip
        except QuotaUsedUp:
            raise self.quota.used_up("the quota of the day") from None


def channel_of(name: str, tools: Tools) -> Channel:
    """The channel of a named account."""
    account = tools.account(name, Account)
    quota = Quota(name, account.daily, account.daily_uploads, account.costs, account.day, tools.memory, tools.clock)
    return Channel(name, account, google(name, account, SCOPES, tools.clock), quota)


@contextmanager
def _gone_is_well() -> Iterator[None]:
    try:
        yield
    except NotTaken as refusal:
        if refusal.status != 404:
            raise


def _items(answer: Answer) -> list[dict[str, Any]]:
    items = answer.body.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
