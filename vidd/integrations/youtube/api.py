"""The calls of the YouTube Data API v3 that vidd makes, each counted against the day's quota.

developers.google.com/youtube/v3/docs.
"""

from __future__ import annotations

import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.google.api import Answer, Api, Call, google
from vidd.integrations.youtube.account import Account
from vidd.integrations.youtube.errors import ignore_missing, quota_errors
from vidd.integrations.youtube.quota import Quota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from vidd.ports import Tools

SCOPES = (
    "https://www.googleapis.com/auth/youtube",
    "https://www.googleapis.com/auth/youtube.force-ssl",
    "https://www.googleapis.com/auth/youtube.upload",
)
_PAGE_SIZE = "50"


@dataclass(frozen=True)
class Channel:
    """A channel and its account's name. Made by `open_channel`."""

    name: str
    account: Account
    api: Api
    quota: Quota

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Channel]:
        """The same channel, which reuses connections for repeatable requests."""
        async with self.api.connected() as api:
            yield replace(self, api=api)

    async def mine(self) -> dict[str, Any]:
        """The channel of the token: `id`, `snippet` and `contentDetails`. Raises Refused where it is another channel."""
        answer = await self._call("channels.list", {"part": "snippet,contentDetails", "mine": "true"})
        items = _items(answer)
        if not items:
            raise Refused(
                f"The account {self.name} has no channel at YouTube: make one there, or sign in as its owner.",
                code=FaultCode.BAD_SETTINGS,
            )
        if self.account.channel not in {None, items[0]["id"]}:
            raise Refused(
                f"The account {self.name} is signed in to the channel {items[0]['id']} instead of {self.account.channel}. "
                f"Sign in with the right channel, or correct [accounts.{self.name}] channel.",
                code=FaultCode.BAD_SETTINGS,
            )
        return items[0]

    async def begin(self, body: Mapping[str, Any], content_type: str, size: int, *, notify: bool) -> str:
        """Open an upload session; returns its address. A session without bytes makes no video."""
        headers = {"X-Upload-Content-Type": content_type, "X-Upload-Content-Length": str(size)}
        answer = await self._call(
            "videos.insert",
            {
                "uploadType": "resumable",
                "part": ",".join(sorted(body)),
                "notifySubscribers": str(notify).lower(),
            },
            http="POST",
            body=body,
            headers=headers,
            path="/upload/youtube/v3/videos",
        )
        address = answer.headers.get("Location", "")
        if not address.startswith(("https://", "http://")):
            raise RetryLater("YouTube's answer to videos.insert names no upload session; vidd will ask again.")
        return address

    async def video(self, video: str, parts: str) -> dict[str, Any] | None:
        """These parts of a video; None where there is no such video."""
        return next(iter(await self.videos([video], parts)), None)

    async def videos(self, ids: Sequence[str], parts: str) -> list[dict[str, Any]]:
        """These parts of at most 50 videos."""
        return _items(await self._call("videos.list", {"part": parts, "id": ",".join(ids)}))

    async def update(self, body: Mapping[str, Any]) -> None:
        """Replace the parts of a video that are in the body, each as a whole."""
        parts = ",".join(sorted(set(body) - {"id"}))
        await self._call("videos.update", {"part": parts}, http="PUT", body=body)

    async def delete(self, video: str) -> None:
        """Delete a video for ever; one that is already deleted is no error."""
        with ignore_missing():
            await self._call("videos.delete", {"id": video}, http="DELETE")

    async def set_thumbnail(self, video: str, image: bytes, content_type: str) -> None:
        """Set a video's thumbnail; doing so twice does no harm."""
        await self._call(
            "thumbnails.set",
            {"videoId": video, "uploadType": "media"},
            http="POST",
            data=image,
            headers={"Content-Type": content_type},
            path="/upload/youtube/v3/thumbnails/set",
        )

    async def captions(self, video: str) -> list[dict[str, Any]]:
        """The caption tracks of a video."""
        return _items(await self._call("captions.list", {"part": "snippet", "videoId": video}))

    async def add_captions(
        self, video: str, language: str, track: bytes, *, name: str = "", draft: bool = False
    ) -> dict[str, Any]:
        """Add a caption track; returns its resource. Raises OutcomeUnknown where the answer is lost."""
        snippet: dict[str, Any] = {"videoId": video, "language": language, "name": name}
        body = {"snippet": snippet | ({"isDraft": True} if draft else {})}
        return await self._send_captions("captions.insert", "POST", body, track, repeatable=False)

    async def update_captions(self, track_id: str, track: bytes) -> dict[str, Any]:
        """Replace the text of a caption track; returns its resource."""
        return await self._send_captions("captions.update", "PUT", {"id": track_id}, track, repeatable=True)

    async def delete_captions(self, track_id: str) -> None:
        """Delete a caption track; one that is already deleted is no error."""
        with ignore_missing():
            await self._call("captions.delete", {"id": track_id}, http="DELETE")

    async def _send_captions(
        self, method: str, http: str, body: Mapping[str, Any], track: bytes, *, repeatable: bool
    ) -> dict[str, Any]:
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(body)}\r\n"
        middle = f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        answer = await self._call(
            method,
            {"uploadType": "multipart", "part": "snippet"},
            http=http,
            data=head.encode() + middle.encode() + track + f"\r\n--{boundary}--\r\n".encode(),
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            path="/upload/youtube/v3/captions",
            repeatable=repeatable,
        )
        return answer.body

    async def playlists(self) -> AsyncIterator[dict[str, Any]]:
        """The channel's own playlists."""
        async for playlist in self._items("playlists.list", part="snippet", mine="true"):
            yield playlist

    async def add_playlist(self, title: str, privacy: str) -> str:
        """Create a playlist; returns its id. Raises OutcomeUnknown where the answer is lost."""
        body = {"snippet": {"title": title}, "status": {"privacyStatus": privacy}}
        answer = await self._call(
            "playlists.insert", {"part": "snippet,status"}, http="POST", body=body, repeatable=False
        )
        return str(answer.body["id"])

    async def items(self, playlist: str, *, video: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """The items of a playlist, or only those of this video; of uploads the newest come first."""
        only = {} if video is None else {"videoId": video}
        parts = "snippet,contentDetails"
        async for item in self._items("playlistItems.list", part=parts, playlistId=playlist, **only):
            yield item

    async def add_item(self, playlist: str, video: str) -> str:
        """Add a video to a playlist; returns the item's id. Raises OutcomeUnknown where the answer is lost."""
        body = {"snippet": {"playlistId": playlist, "resourceId": {"kind": "youtube#video", "videoId": video}}}
        answer = await self._call("playlistItems.insert", {"part": "snippet"}, http="POST", body=body, repeatable=False)
        return str(answer.body["id"])

    async def delete_item(self, item: str) -> None:
        """Remove an item from its playlist; one that is already removed is no error."""
        with ignore_missing():
            await self._call("playlistItems.delete", {"id": item}, http="DELETE")

    async def _items(self, method: str, **params: str) -> AsyncIterator[dict[str, Any]]:
        """The items of all pages of a listing."""
        token: dict[str, str] = {}
        while True:
            answer = await self._call(method, {"maxResults": _PAGE_SIZE, **params, **token})
            for item in _items(answer):
                yield item
            following = answer.body.get("nextPageToken")
            if not isinstance(following, str):
                return
            token = {"pageToken": following}

    async def _call(
        self,
        method: str,
        params: Mapping[str, str],
        *,
        http: str = "GET",
        path: str | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Count a method of the Data API against the quota and call it; `path` is set where it is not the usual one."""
        await self.quota.spend(method)
        url = self.account.api_url.rstrip("/") + (path or f"/youtube/v3/{method.split('.', maxsplit=1)[0]}")
        with quota_errors(self.quota):
            return await self.api.call(
                Call(http, url, f"YouTube's {method}", params, body, data, headers, repeatable=repeatable)
            )


def open_channel(name: str, tools: Tools) -> Channel:
    """The channel of a named account."""
    account = tools.account(name, Account)
    quota = Quota(name, account.daily, account.daily_uploads, account.costs, account.day, tools.memory, tools.clock)
    return Channel(name, account, google(name, account, SCOPES, tools), quota)


def _items(answer: Answer) -> list[dict[str, Any]]:
    items = answer.body.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
