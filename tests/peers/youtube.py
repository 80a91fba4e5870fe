"""YouTube Data API v3 on loopback, nastier than the real one.

Every request is judged by the API's own discovery document; what the reference says beyond it (lengths, characters,
scopes, which fields may be written) is checked by hand. Listings lag, processing takes looks, sessions end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from aiohttp import web
from peers.discovery import discovery
from peers.google_service import Asked, Fault, GoogleService
from peers.oauth import Grant
from peers.resumable import Session, Sessions

COSTS = {
    "videos.insert": 1600,
    "captions.insert": 400,
    "captions.update": 450,
    "captions.delete": 50,
    "captions.list": 50,
    "videos.update": 50,
    "videos.delete": 50,
}
COSTS |= {"playlists.insert": 50, "playlistItems.insert": 50, "playlistItems.delete": 50, "thumbnails.set": 50}
_SNIPPET = {"title", "description", "tags", "categoryId", "defaultLanguage", "defaultAudioLanguage"}
_STATUS = {"privacyStatus", "publishAt", "license", "embeddable", "publicStatsViewable"}
_STATUS |= {"selfDeclaredMadeForKids", "containsSyntheticMedia"}
_CATEGORIES = {"1", "2", "10", "15", "17", "20", "22", "23", "24", "25", "26", "27", "28", "29"}
_VIDEO_PARTS = {"id", "snippet", "status", "processingDetails", "contentDetails", "localizations", "recordingDetails"}


@dataclass(frozen=True)
class Arrived:
    """The bytes that came; `kept` are only small ones."""

    size: int
    sum: str
    kept: bytes | None


@dataclass
class Video:
    """A video as it is kept; `looks` are still to be made at it before it is processed."""

    id: str
    channel: str
    snippet: dict[str, Any]
    status: dict[str, Any]
    made: float
    arrived: Arrived
    looks: int = 0
    ends: dict[str, str] = field(default_factory=lambda: {"uploadStatus": "processed"})
    thumbnail: bytes | None = None
    captions: list[dict[str, Any]] = field(default_factory=list)

    def look(self) -> None:
        """Somebody asks how far processing is."""
        if self.looks > 0:
            self.looks -= 1
        elif self.status["uploadStatus"] == "uploaded":
            self.status |= self.ends

    def shown(self, parts: frozenset[str]) -> dict[str, Any]:
        """The resource, as far as it is asked for."""
        known: dict[str, Any] = {
            "snippet": {**self.snippet, "channelId": self.channel, "publishedAt": _when(self.made)}
        }
        known["status"] = dict(self.status)
        state = {"uploaded": "processing", "processed": "succeeded"}.get(self.status["uploadStatus"], "failed")
        known["processingDetails"] = {"processingStatus": state}
        made = {part: known.get(part, {}) for part in parts if part != "id"}
        return {"kind": "youtube#video", "etag": "e", "id": self.id, **made}


@dataclass
class Playlist:
    """A playlist of a channel. `items` are (item id, video id, made)."""

    id: str
    channel: str
    title: str
    made: float
    privacy: str = "public"
    items: list[tuple[str, str, float]] = field(default_factory=list)


class YouTube(GoogleService):
    """Set `lag` (seconds by `now` until a listing shows what is new), `looks` (until a new video is processed), `ends`
    (the status it then has), `quota` (units that are left) and use `sessions`, `missteps`, `oauth`.
    """

    discovery = discovery("youtube.v3")

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions()
        self.now: Callable[[], float] = time.time
        self.lag = 0.0
        self.looks = 0
        self.ends: dict[str, str] = {"uploadStatus": "processed"}
        self.quota: int | None = None
        self.spent = 0
        self.most_a_page = 50
        self.videos: dict[str, Video] = {}
        self.playlists: dict[str, Playlist] = {}
        self._made = 0

    def channel_of(self, grant: Grant) -> str:
        """Everyone who signs in has a channel."""
        return f"UC-{grant.subject}"

    def add_video(self, title: str, subject: str = "somebody", tags: tuple[str, ...] = ()) -> Video:
        """A video that somebody else brought."""
        snippet = {"title": title, "description": "", "tags": list(tags), "categoryId": "22"}
        return self._keep(f"UC-{subject}", snippet, {"privacyStatus": "public"}, Arrived(1, "", b"x"))

    def add_playlist(self, title: str, subject: str = "somebody") -> Playlist:
        """A playlist that somebody made."""
        made = Playlist(self._id("PL"), f"UC-{subject}", title, self.now())
        self.playlists[made.id] = made
        return made

    def titled(self, title: str) -> list[Playlist]:
        """The playlists of this title."""
        return [playlist for playlist in self.playlists.values() if playlist.title == title]

    def spend(self, asked: Asked) -> None:
        cost = COSTS.get(asked.method.name, 1)
        if self.quota is not None and cost > self.quota:
            message = "The request cannot be completed because you have exceeded your quota."
            raise Fault(403, "quotaExceeded", message)
        self.quota = None if self.quota is None else self.quota - cost
        self.spent += cost

    def add_routes(self, app: web.Application) -> None:
        self.oauth.add_routes(app)
        router, v3 = app.router, "/youtube/v3"
        for resource, names in (
            ("videos", ("list", "update", "delete")),
            ("playlists", ("list", "insert")),
            ("playlistItems", ("list", "insert", "delete")),
            ("channels", ("list",)),
            ("captions", ("list", "delete")),
        ):
            for name in names:
                handler = getattr(self, f"_{resource}_{name}")
                judged = self.judged(f"{resource}.{name}", handler)
                router.add_route(self.discovery.method(f"{resource}.{name}").http, f"{v3}/{resource}", judged)
        for prefix in ("/upload", "/resumable/upload"):
            router.add_post(f"{prefix}{v3}/videos", self.judged("videos.insert", self._videos_insert))
            router.add_put(f"{prefix}{v3}/videos", self._bytes)
        thumbnails = self.judged("thumbnails.set", self._thumbnails_set, reads_body=False)
        router.add_post(f"/upload{v3}/thumbnails/set", thumbnails)
        router.add_post(
            f"/upload{v3}/captions", self.judged("captions.insert", self._captions_insert, reads_body=False)
        )
        router.add_put(f"/upload{v3}/captions", self.judged("captions.update", self._captions_update, reads_body=False))

    # Uploads

    def _videos_insert(self, asked: Asked) -> web.Response:
        if asked.query.get("uploadType") != "resumable":
            raise Fault(400, "badRequest", "This double takes resumable uploads only.")
        headers = asked.request.headers
        kind, size = headers.get("X-Upload-Content-Type", ""), headers.get("X-Upload-Content-Length", "")
        if not (kind.startswith("video/") or kind == "application/octet-stream"):
            raise Fault(400, "badRequest", f"Media type {kind!r} is not supported.")
        if not size.isdecimal() or not 0 < int(size) <= 274877906944:
            raise Fault(400, "badRequest", f"X-Upload-Content-Length {size!r} is no size.")
        self._parts(asked)
        snippet, status = self._snippet(asked.body), self._status(asked.body, {})
        channel, parts = self.channel_of(asked.grant), asked.parts

        def finish(session: Session) -> dict[str, Any]:
            kept = bytes(session.kept) if session.kept is not None else None
            arrived = Arrived(session.size, session.sum.hexdigest(), kept)
            video = self._keep(channel, snippet, status, arrived)
            video.looks, video.ends = self.looks, dict(self.ends)
            video.status["uploadStatus"] = "uploaded"
            return video.shown(parts)

        key = self.sessions.begin(int(size), finish)
        place = asked.request.url.update_query(upload_id=key)
        return web.Response(headers={"Location": str(place), "X-GUploader-UploadID": key})

    async def _bytes(self, request: web.Request) -> web.StreamResponse:
        if self.oauth.grant(request.headers.get("Authorization")) is None:
            return Fault(401, "authError", "Invalid Credentials").response()
        try:
            return await self.sessions.put(request)
        except Fault as fault:
            return fault.response()

    def _keep(self, channel: str, snippet: dict[str, Any], status: dict[str, Any], arrived: Arrived) -> Video:
        status = {"uploadStatus": "processed", **status}
        with self.lock:
            video = Video(self._id("vid"), channel, snippet, status, self.now(), arrived)
            self.videos[video.id] = video
        return video

    def _thumbnails_set(self, asked: Asked) -> Any:
        async def take() -> web.Response:
            video = self._mine(asked, asked.query["videoId"])
            data = await asked.request.read()
            if asked.request.content_type not in {"image/jpeg", "image/png"} or not data:
                raise Fault(400, "invalidImage")
            if len(data) > 2 * 2**20:
                raise Fault(400, "mediaBodyTooLarge", "The image is larger than 2 MB.")
            video.thumbnail = data
            return web.json_response({"kind": "youtube#thumbnailSetResponse", "etag": "e", "items": [{}]})

        return take()

    def _captions_insert(self, asked: Asked) -> Any:
        async def take() -> web.Response:
            body, media = _related(asked.request.headers["Content-Type"], await asked.request.read())
            judged = self.judge(asked.method, body)
            snippet = judged.get("snippet", {})
            video = self._mine(asked, snippet.get("videoId", ""))
            if not snippet.get("language") or "name" not in snippet or set(snippet) - {
                "videoId", "language", "name", "isDraft",
            }:  # fmt: skip
                raise Fault(400, "invalidMetadata")
            known = {(caption["snippet"]["language"], caption["snippet"]["name"]) for caption in video.captions}
            if (snippet["language"], snippet["name"]) in known:
                raise Fault(409, "captionExists")
            if not media.strip():
                raise Fault(400, "contentRequired")
            made = {"kind": "youtube#caption", "id": self._id("cap"), "snippet": {**snippet, **_caption_status(media)}}
            video.captions.append({**made, "media": media, "made": self.now()})
            return web.json_response(made)

        return take()

    def _captions_update(self, asked: Asked) -> Any:
        async def take() -> web.Response:
            body, media = _related(asked.request.headers["Content-Type"], await asked.request.read())
            judged = self.judge(asked.method, body)
            caption = self._caption(asked, judged.get("id", ""))
            if set(judged.get("snippet", {})) - {"isDraft"}:
                raise Fault(400, "invalidMetadata")
            if not media.strip():
                raise Fault(400, "contentRequired")
            caption["snippet"] = {**caption["snippet"], **judged.get("snippet", {}), **_caption_status(media)}
            caption["media"] = media
            return web.json_response({key: caption[key] for key in ("kind", "id", "snippet")})

        return take()

    def _captions_delete(self, asked: Asked) -> web.Response:
        caption = self._caption(asked, asked.query["id"])
        for video in self.videos.values():
            video.captions = [other for other in video.captions if other is not caption]
        return web.Response(status=204)

    def _caption(self, asked: Asked, id_: str) -> dict[str, Any]:
        for video in self.videos.values():
            for caption in video.captions:
                if caption["id"] == id_:
                    self._mine(asked, video.id)
                    return caption
        raise Fault(404, "captionNotFound")

    def add_caption(self, video: Video, language: str, media: bytes, kind: str = "standard") -> None:
        """A track that somebody else made, or with `asr` YouTube itself."""
        snippet = {"videoId": video.id, "language": language, "name": "", "trackKind": kind, "status": "serving"}
        made = {"kind": "youtube#caption", "id": self._id("cap"), "snippet": snippet}
        video.captions.append({**made, "media": media, "made": 0.0})

    def _captions_list(self, asked: Asked) -> web.Response:
        video = self._mine(asked, asked.query["videoId"])
        items = [
            {key: caption[key] for key in ("kind", "id", "snippet")}
            for caption in video.captions
            if self._old(caption["made"])
        ]
        return web.json_response({"kind": "youtube#captionListResponse", "items": items})

    # Videos

    def _videos_list(self, asked: Asked) -> web.Response:
        if asked.parts - _VIDEO_PARTS:
            raise Fault(400, "unknownPart", f"{asked.parts - _VIDEO_PARTS}")
        if "id" not in asked.query or "maxResults" in asked.query:
            raise Fault(400, "missingRequiredParameter", "This double lists by id, without maxResults.")
        ids = [part for value in asked.request.query.getall("id") for part in value.split(",")]
        if len(ids) > 50:
            raise Fault(400, "badRequest", "50 ids at most.")
        found = [self.videos[id_] for id_ in ids if id_ in self.videos]
        for video in found:
            if "processingDetails" in asked.parts and video.channel != self.channel_of(asked.grant):
                raise Fault(403, "forbidden")
            if asked.parts & {"status", "processingDetails"}:
                video.look()
        seen = [video for video in found if video.status["uploadStatus"] != "deleted"]
        return web.json_response(
            {"kind": "youtube#videoListResponse", "items": [video.shown(asked.parts) for video in seen]}
        )

    def _videos_update(self, asked: Asked) -> web.Response:
        self._parts(asked, "id")
        video = self._mine(asked, asked.body.get("id", ""))
        if "snippet" in asked.parts:
            if "categoryId" not in asked.body.get("snippet", {}):
                raise Fault(400, "invalidCategoryId", "snippet.categoryId is needed.")
            video.snippet = self._snippet(asked.body)
        if "status" in asked.parts:
            kept = {name: value for name, value in video.status.items() if name not in _STATUS}
            video.status = {**kept, **self._status(asked.body, video.status)}
        return web.json_response(video.shown(asked.parts))

    def _videos_delete(self, asked: Asked) -> web.Response:
        del self.videos[self._mine(asked, asked.query["id"]).id]
        return web.Response(status=204)

    def _mine(self, asked: Asked, video: str) -> Video:
        found = self.videos.get(video)
        if found is None:
            raise Fault(404, "videoNotFound")
        if found.channel != self.channel_of(asked.grant):
            raise Fault(403, "forbidden")
        return found

    def _parts(self, asked: Asked, *free: str) -> None:
        extra = set(asked.body) - asked.parts - set(free)
        if extra:
            raise Fault(400, "unexpectedPart", f"{sorted(extra)} are in the body and not in part.")
        if asked.parts - {"id", "snippet", "status"}:
            raise Fault(400, "unknownPart", f"{asked.parts}")

    def _snippet(self, body: Mapping[str, Any]) -> dict[str, Any]:
        snippet = dict(body.get("snippet", {}))
        if set(snippet) - _SNIPPET:
            raise Fault(400, "badRequest", f"{set(snippet) - _SNIPPET} cannot be written.")
        title, description = snippet.get("title", ""), snippet.get("description", "")
        if not title.strip() or len(title) > 100 or set("<>") & set(title):
            raise Fault(400, "invalidTitle", "The request metadata specifies an invalid or empty video title.")
        if len(description.encode()) > 5000 or set("<>") & set(description):
            raise Fault(400, "invalidDescription", "The request metadata specifies an invalid video description.")
        tags = snippet.get("tags", [])
        counted = sum(len(tag) + 2 * (" " in tag) for tag in tags) + max(0, len(tags) - 1)
        if counted > 500 or any(not tag.strip() or set("<>,") & set(tag) for tag in tags):
            raise Fault(400, "invalidTags", f"The tags count as {counted} characters.")
        if snippet.get("categoryId", "22") not in _CATEGORIES:
            raise Fault(400, "invalidCategoryId")
        return {"categoryId": "22", **snippet, "title": title.strip(), "description": description.strip()}

    def _status(self, body: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        status = dict(body.get("status", {}))
        if set(status) - _STATUS:
            raise Fault(400, "badRequest", f"{set(status) - _STATUS} cannot be written.")
        if "publishAt" in status:
            if status.get("privacyStatus") != "private" or before.get("privacyStatus", "private") != "private":
                raise Fault(400, "invalidPublishAt")
            if datetime.fromisoformat(status["publishAt"]).timestamp() <= self.now():
                del status["publishAt"]
                status["privacyStatus"] = "public"
        # What is left out goes back to its default.
        return {"privacyStatus": "public", "license": "youtube", "embeddable": True, **status}

    # Channels and playlists

    def _channels_list(self, asked: Asked) -> web.Response:
        if asked.query.get("mine") != "true":
            raise Fault(400, "missingRequiredParameter")
        channel = self.channel_of(asked.grant)
        details = {"relatedPlaylists": {"likes": "", "uploads": "UU" + channel[2:]}}
        known = {"snippet": {"title": f"Channel of {asked.grant.subject}"}, "contentDetails": details}
        item = {"kind": "youtube#channel", "id": channel} | {part: known[part] for part in asked.parts - {"id"}}
        return web.json_response({"kind": "youtube#channelListResponse", "items": [item]})

    def _playlists_list(self, asked: Asked) -> web.Response:
        if asked.query.get("mine") != "true":
            raise Fault(400, "missingRequiredParameter")
        mine = [playlist for playlist in self.playlists.values() if playlist.channel == self.channel_of(asked.grant)]
        items = [
            {"kind": "youtube#playlist", "id": playlist.id, "snippet": {"title": playlist.title}}
            for playlist in mine
            if self._old(playlist.made)
        ]
        return self._page(asked, items)

    def _playlists_insert(self, asked: Asked) -> web.Response:
        self._parts(asked)
        title = asked.body.get("snippet", {}).get("title", "")
        if not title.strip() or len(title) > 150 or set("<>") & set(title):
            raise Fault(400, "invalidPlaylistSnippet")
        with self.lock:
            made = Playlist(self._id("PL"), self.channel_of(asked.grant), title.strip(), self.now())
            made.privacy = asked.body.get("status", {}).get("privacyStatus", "public")
            self.playlists[made.id] = made
        return web.json_response({"kind": "youtube#playlist", "id": made.id, "snippet": {"title": made.title}})

    def _playlistItems_list(self, asked: Asked) -> web.Response:  # noqa: N802 - the method's name
        playlist = asked.query.get("playlistId", "")
        if playlist == "UU" + self.channel_of(asked.grant)[2:]:
            mine = [video for video in self.videos.values() if video.channel == self.channel_of(asked.grant)]
            rows = [(f"UUi{video.id}", video.id, video.made) for video in reversed(mine)]
        else:
            rows = self._playlist(asked, playlist).items
        wanted = asked.query.get("videoId")
        items = [
            {
                "kind": "youtube#playlistItem",
                "id": item,
                "snippet": {"publishedAt": _when(made), "playlistId": playlist, "resourceId": _resource(video)},
                "contentDetails": {"videoId": video},
            }
            for item, video, made in rows
            if self._old(made) and wanted in {None, video}
        ]
        kept = asked.parts | {"kind", "id"}
        return self._page(asked, [{name: item[name] for name in item if name in kept} for item in items])

    def _playlistItems_insert(self, asked: Asked) -> web.Response:  # noqa: N802 - the method's name
        self._parts(asked)
        snippet = asked.body.get("snippet", {})
        resource = snippet.get("resourceId", {})
        playlist = self._playlist(asked, snippet.get("playlistId", ""))
        if resource.get("kind") != "youtube#video" or resource.get("videoId") not in self.videos:
            raise Fault(404, "videoNotFound")
        with self.lock:
            item = self._id("PLi")
            playlist.items.append((item, resource["videoId"], self.now()))
        return web.json_response({"kind": "youtube#playlistItem", "id": item, "snippet": snippet})

    def _playlistItems_delete(self, asked: Asked) -> web.Response:  # noqa: N802 - the method's name
        for playlist in self.playlists.values():
            kept = [item for item in playlist.items if item[0] != asked.query["id"]]
            if len(kept) < len(playlist.items):
                playlist.items = kept
                return web.Response(status=204)
        raise Fault(404, "playlistItemNotFound")

    def _playlist(self, asked: Asked, playlist: str) -> Playlist:
        found = self.playlists.get(playlist)
        if found is None:
            raise Fault(404, "playlistNotFound", "The playlist cannot be found.")
        if found.channel != self.channel_of(asked.grant):
            raise Fault(403, "playlistItemsNotAccessible")
        return found

    def _page(self, asked: Asked, items: list[dict[str, Any]]) -> web.Response:
        most = min(int(asked.query.get("maxResults", "5")), self.most_a_page)
        token = asked.query.get("pageToken", "P0")
        if not token.startswith("P") or not token[1:].isdecimal():
            raise Fault(400, "invalidPageToken")
        start = int(token[1:])
        body: dict[str, Any] = {"kind": "list", "items": items[start : start + most]}
        if start + most < len(items):
            body["nextPageToken"] = f"P{start + most}"
        return web.json_response(body)

    def _old(self, made: float) -> bool:
        return made + self.lag <= self.now()

    def _id(self, prefix: str) -> str:
        with self.lock:
            self._made += 1
            return f"{prefix}{self._made:04}"


def _caption_status(media: bytes) -> dict[str, str]:
    """YouTube takes any bytes, and then says whether it could read them."""
    if b"-->" in media:
        return {"status": "serving"}
    return {"status": "failed", "failureReason": "unknownFormat"}


def _resource(video: str) -> dict[str, str]:
    return {"kind": "youtube#video", "videoId": video}


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _related(content_type: str, data: bytes) -> tuple[bytes, bytes]:
    """The JSON and the media of a multipart/related body (RFC 2387)."""
    message: Message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + data
    )
    parts = message.get_payload()
    if message.get_content_type() != "multipart/related" or not isinstance(parts, list) or len(parts) != 2:
        raise Fault(400, "badContent", "JSON and media are wanted.")
    if parts[0].get_content_type() != "application/json":
        raise Fault(400, "badContent", "The first part must be JSON.")
    return parts[0].get_payload(decode=True), parts[1].get_payload(decode=True)
