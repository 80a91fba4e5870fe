"""The Graph API's page videos by chunked upload, on loopback, stricter and nastier than the real one.

Sources: Meta's Video API guide and its error codes (start, transfer, finish; error_data of subcode 1363037), the
reference of Page Videos, Video, Video Status and User Accounts, and the parameter tables of facebook-business 26.
Of a video only its size and SHA-256 are kept. `trouble` is what goes wrong with a phase ("start", "transfer",
"finish", "look", "list", "update", "delete", "me", "accounts"), which paths alone do not tell apart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from multidict import CIMultiDict
from peers.service import Service

_METADATA = frozenset(
    {"title", "description", "published", "custom_labels", "content_category", "embeddable", "no_story",
     "unpublished_content_type", "social_actions", "secret"}
)  # fmt: skip
_PHASES = {
    "start": frozenset({"file_size"}),
    "transfer": frozenset({"upload_session_id", "start_offset", "video_file_chunk"}),
    "finish": frozenset({"upload_session_id"}) | _METADATA,
}
_UPDATES = frozenset(
    {"name", "description", "published", "custom_labels", "content_category", "embeddable", "expire_now", "privacy"}
)
_FIELDS = frozenset(
    {"id", "title", "description", "published", "custom_labels", "permalink_url", "status", "created_time", "length",
     "updated_time", "from", "content_category", "embeddable", "privacy", "source", "post_id"}
)  # fmt: skip
_CAPTIONS = re.compile(r"[^.]+\.([a-z]{2}_[A-Z]{2})\.srt")
LOCALES = frozenset(
    {"en_US", "en_GB", "de_DE", "es_LA", "es_ES", "fr_FR", "fr_CA", "it_IT", "pt_BR", "pt_PT", "ja_JP", "nl_NL"}
)
_COMMON = frozenset({"access_token", "appsecret_proof", "fields", "limit", "after", "before"})


class GraphRefusal(Exception):
    """An answer of the API's error shape."""

    def __init__(self, status: int, code: int, message: str, subcode: int | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.headers = status, more.pop("headers", {})
        self.error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf", **more}
        if subcode is not None:
            self.error["error_subcode"] = subcode


def bad(message: str, subcode: int | None = None) -> GraphRefusal:
    return GraphRefusal(400, 100, f"(#100) {message}", subcode)


def gone(node: str) -> GraphRefusal:
    text = (
        f"Unsupported get request. Object with ID '{node}' does not exist, cannot be loaded due to missing permissions"
    )
    return GraphRefusal(400, 100, text, 33, type="GraphMethodException")


@dataclass
class Trouble:
    """What goes wrong with the coming requests of a phase; `after` says that its work is done first."""

    phase: str
    action: Literal["drop", "hang", "answer"]
    refusal: GraphRefusal | None = None
    after: bool = False
    skip: int = 0
    times: int = 1


@dataclass
class Node:
    """A page, or an account for advertisements, whose videos may be uploaded."""

    id: str
    name: str
    moved_to: str | None = None


@dataclass
class Film:
    """A video; it is `finished` once the finish of its upload took effect."""

    id: str
    node: str
    size: int
    finished: bool = False
    sha256: str = ""
    title: str = ""
    description: str = ""
    labels: list[str] = field(default_factory=list)
    published: bool = True
    fate: str = "ready"
    looks: int = 0
    unlisted: int = 0
    made: int = 0
    captions: dict[str, bytes] = field(default_factory=dict)
    automatic: set[str] = field(default_factory=set)


@dataclass
class Session:
    """An upload under way."""

    id: str
    film: Film
    at: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class _Parts(MultipartReader):
    """The provider's own client calls its chunks multipart/form-data; they are bytes all the same."""

    def _get_part_reader(self, headers: Any) -> Any:
        plain = CIMultiDict(headers)
        if plain.get(hdrs.CONTENT_TYPE, "").startswith("multipart/"):
            plain[hdrs.CONTENT_TYPE] = "application/octet-stream"
        return super()._get_part_reader(plain)


class Facebook(Service):
    """`chunk` is what the service asks for at once, `looks` how often a finished video is still being processed."""

    def __init__(self) -> None:
        super().__init__()
        self.version = "v26.0"
        self.nodes: dict[str, Node] = {}
        self.tokens: dict[str, str | list[str]] = {}
        self.without_rights: set[str] = set()
        self.revoked: dict[str, int] = {}
        self.without_rights: set[str] = set()
        self.app_secret: str | None = None
        self.films: dict[str, Film] = {}
        self.sessions: dict[str, Session] = {}
        self.trouble: list[Trouble] = []
        self.did: list[tuple[str, int]] = []
        self.wrong_offsets = 0
        self.received = 0
        self.updates: list[dict[str, str]] = []
        self.chunk = 2**20
        self.looks = 1
        self.unlisted = 0
        self.fate = "ready"
        self.unfinished_are_seen = True
        self.may_unpublish = True
        self.page_size = 25
        self._number = 1000

    def page(self, node: str = "1001", name: str = "Main Stage", token: str = "EAAPAGETOKEN1001SECRET") -> Node:
        """A page with a token of its own."""
        self.nodes[node] = Node(node, name)
        self.tokens[token] = node
        return self.nodes[node]

    def add_film(self, node: str = "1001") -> Film:
        """A video that is there already."""
        self._number += 2
        film = Film(str(self._number), node, 2048, finished=True)
        self.films[film.id] = film
        return film

    def user(self, token: str, pages: list[str]) -> None:
        """A token of a person who may manage these pages."""
        self.tokens[token] = pages

    def goes_wrong(self, phase: str, action: Literal["drop", "hang", "answer"], **how: Any) -> Trouble:
        made = Trouble(phase, action, **how)
        self.trouble.append(made)
        return made

    def expire_sessions(self) -> None:
        with self.lock:
            self.sessions.clear()

    def published(self, node: str = "1001") -> list[Film]:
        """What people who look at the page could see, sooner or later."""
        with self.lock:
            return [film for film in self.films.values() if film.finished and film.node == node]

    def count(self, phase: str) -> int:
        return sum(done == phase for done, _ in self.did)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/{version}/me", self._handler(self._me))
        app.router.add_get("/{version}/me/accounts", self._handler(self._accounts))
        for edge in ("videos", "advideos"):
            app.router.add_post(f"/{{version}}/{{node}}/{edge}", self._handler(self._upload))
            app.router.add_get(f"/{{version}}/{{node}}/{edge}", self._handler(self._list))
        app.router.add_get("/{version}/{video}/captions", self._handler(self._captions))
        app.router.add_post("/{version}/{video}/captions", self._handler(self._caption))
        app.router.add_get("/{version}/{video}", self._handler(self._look))
        app.router.add_post("/{version}/{video}", self._handler(self._update))
        app.router.add_delete("/{version}/{video}", self._handler(self._delete))

    def _handler(self, work: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            about: dict[str, str] = {"phase": work.__name__.strip("_")}
            trouble = None
            try:
                given = await self._given(request)
                about["phase"] = given.get("upload_phase", about["phase"])
                trouble = self._next_trouble(about["phase"])
                if trouble and not trouble.after:
                    return await self._trouble(request, trouble)
                self._authorize(request, given)
                answer = web.json_response(work(request, given))
                if trouble:
                    return await self._trouble(request, trouble)
            except GraphRefusal as refusal:
                if trouble and trouble.after:
                    return await self._trouble(request, trouble)
                answer = web.json_response({"error": refusal.error}, status=refusal.status, headers=refusal.headers)
            self.did.append((about["phase"], answer.status))
            return answer

        return handle

    def _next_trouble(self, phase: str) -> Trouble | None:
        for trouble in self.trouble:
            if trouble.phase != phase or trouble.times <= 0:
                continue
            if trouble.skip:
                trouble.skip -= 1
                continue
            trouble.times -= 1
            return trouble
        return None

    async def _trouble(self, request: web.Request, trouble: Trouble) -> web.StreamResponse:
        self.did.append((trouble.phase, trouble.refusal.status if trouble.refusal else 0))
        if trouble.action == "answer":
            assert trouble.refusal is not None
            refusal = trouble.refusal
            return web.json_response({"error": refusal.error}, status=refusal.status, headers=refusal.headers)
        if trouble.action == "hang":
            await self._leave.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _given(self, request: web.Request) -> dict[str, Any]:
        """The parameters of a request, of address and body; a chunk is hashed as it comes and never kept."""
        if request.match_info["version"] != self.version:
            raise GraphRefusal(400, 2635, "(#2635) You are calling a deprecated version of the API")
        given: dict[str, Any] = dict(request.query)
        if request.method != "POST":
            return given
        if not request.content_type.startswith("multipart/"):
            return given | {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        parts = _Parts(request.headers, request.content)
        while (part := await parts.next()) is not None:
            assert isinstance(part, BodyPartReader)
            if part.name == "video_file_chunk":
                if not part.filename:
                    raise GraphRefusal(400, 6001, "No Video Selected.", 1363020)
                given["video_file_chunk"] = await self._take(part, given.get("upload_session_id", ""))
            elif part.name == "captions_file":
                given["captions_file"] = (part.filename or "", bytes(await part.read()))
            else:
                given[part.name or ""] = (await part.read()).decode()
        return given

    async def _take(self, part: BodyPartReader, session_id: str) -> tuple[int, Any]:
        session = self.sessions.get(session_id)
        digest = session.digest.copy() if session else hashlib.sha256()
        size = 0
        while piece := await part.read_chunk(2**16):
            digest.update(piece)
            size += len(piece)
        self.received += size
        return size, digest

    def _authorize(self, request: web.Request, given: Mapping[str, Any]) -> None:
        scheme, _, header = request.headers.get("Authorization", "").partition(" ")
        token = header if scheme in {"Bearer", "OAuth"} else given.get("access_token", "")
        if not token:
            raise GraphRefusal(
                400, 2500, "An active access token must be used to query information about the current user."
            )
        if token in self.revoked:
            text = "Error validating access token: The session has been invalidated"
            raise GraphRefusal(400, 190, text, self.revoked[token])
        if token not in self.tokens:
            raise GraphRefusal(400, 190, "Invalid OAuth access token - Cannot parse access token")
        self._prove(token, given)
        whose = self.tokens[token]
        node = request.match_info.get("node")
        film = self.films.get(request.match_info.get("video", ""))
        wanted = node or (film.node if film else None)
        if wanted is None:
            return
        if wanted in self.nodes and self.nodes[wanted].moved_to:
            new = self.nodes[wanted].moved_to
            raise GraphRefusal(400, 21, f"(#21) Page ID {wanted} was migrated to page ID {new}.")
        if wanted not in self.nodes:
            raise gone(wanted)
        if whose != wanted or token in self.without_rights:
            raise GraphRefusal(403, 200, "(#200) Subject does not have permission to post videos on this target")

    def _prove(self, token: str, given: Mapping[str, Any]) -> None:
        if self.app_secret is None:
            return
        right = hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if "appsecret_proof" not in given:
            raise GraphRefusal(400, 100, "API calls from the server require an appsecret_proof argument")
        if given["appsecret_proof"] != right:
            raise GraphRefusal(400, 100, "Invalid appsecret_proof provided in the API argument")

    def _whose(self, request: web.Request, given: Mapping[str, Any]) -> str | list[str]:
        header = request.headers.get("Authorization", "").partition(" ")[2]
        return self.tokens[header or given["access_token"]]

    def _me(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset())
        whose = self._whose(request, given)
        if isinstance(whose, str):
            return {"id": whose, "name": self.nodes[whose].name}
        return {"id": "4000", "name": "A Person"}

    def _accounts(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset())
        whose = self._whose(request, given)
        if isinstance(whose, str):
            raise bad("Tried accessing nonexisting field (accounts) on node type (Page)")
        if self.without_rights & {request.headers.get("Authorization", "").partition(" ")[2]}:
            raise GraphRefusal(403, 200, "(#200) Requires pages_show_list permission to manage the object")
        tokens = {node: token for token, node in self.tokens.items() if isinstance(node, str)}
        rows = [
            {"id": node, "name": self.nodes[node].name, "access_token": tokens[node], "category": "Event",
             "tasks": ["CREATE_CONTENT", "MANAGE"]}
            for node in whose
        ]  # fmt: skip
        return self._paged(request, given, rows, frozenset({"id", "name", "access_token", "category", "tasks"}))

    def _paged(
        self, request: web.Request, given: Mapping[str, Any], rows: list[dict[str, Any]], known: frozenset[str]
    ) -> dict[str, Any]:
        limit = min(_number(given.get("limit", str(self.page_size)), "limit"), self.page_size)
        first = 0
        if "after" in given:
            ids = [str(row["id"]) for row in rows]
            if not given["after"].startswith("c-") or given["after"][2:] not in ids:
                raise bad("Invalid cursors values", 1357046)
            first = ids.index(given["after"][2:]) + 1
        fields = _fields(given, known)
        shown = rows[first : first + limit]
        answer: dict[str, Any] = {"data": [{name: row[name] for name in row if name in fields} for row in shown]}
        if shown:
            answer["paging"] = {"cursors": {"before": f"c-{shown[0]['id']}", "after": f"c-{shown[-1]['id']}"}}
            if first + limit < len(rows):
                # The real one's address of the next page holds the token, so nobody should follow it.
                answer["paging"]["next"] = f"{self.url}/a-link-with-a-token-in-it"
        return answer

    def _upload(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        phase = given.get("upload_phase")
        if phase not in _PHASES:
            raise bad("Param upload_phase must be one of {START, TRANSFER, FINISH, CANCEL}")
        _only(given, _PHASES[phase] | {"upload_phase"})
        with self.lock:
            if phase == "start":
                return self._start(request.match_info["node"], _number(given.get("file_size"), "file_size"))
            session = self.sessions.get(given.get("upload_session_id", ""))
            if session is None or session.film.node != request.match_info["node"]:
                raise GraphRefusal(400, 6000, "The upload session is invalid or has expired.", 1363041)
            return self._transfer(session, given) if phase == "transfer" else self._finish(session, given)

    def _start(self, node: str, size: int) -> dict[str, Any]:
        if size < 1024:
            raise GraphRefusal(400, 6000, "The video you tried to upload is too small.", 1363022)
        self._number += 2
        film = Film(str(self._number), node, size)
        session = Session(f"9{self._number + 1}", film)
        self.films[film.id], self.sessions[session.id] = film, session
        return {"upload_session_id": session.id, "video_id": film.id, **self._offsets(session)}

    def _offsets(self, session: Session) -> dict[str, str]:
        end = min(session.film.size, session.at + self.chunk)
        return {"start_offset": str(session.at), "end_offset": str(end)}

    def _transfer(self, session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
        if "video_file_chunk" not in given:
            raise GraphRefusal(400, 6001, "No Video Selected.", 1363020)
        size, digest = given["video_file_chunk"]
        due = self._offsets(session)
        if _number(given.get("start_offset"), "start_offset") != session.at:
            self.wrong_offsets += 1
            numbers: Any = {name: int(value) for name, value in due.items()}
            raise GraphRefusal(
                400, 6001, "There was a problem uploading your video. Please try again.", 1363037,
                error_data=json.dumps(numbers) if self.wrong_offsets % 2 == 0 else numbers,
                is_transient=False, error_user_title="Error Uploading Video",
                error_user_msg="There was a problem uploading your video. Please try uploading it again.",
            )  # fmt: skip
        if size != int(due["end_offset"]) - session.at:
            raise GraphRefusal(400, 6001, "There was a problem uploading your video.", 1363033, is_transient=True)
        session.at += size
        session.digest = digest
        return self._offsets(session)

    def _finish(self, session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
        film = session.film
        if session.at != film.size:
            raise GraphRefusal(400, 6000, "Video Upload Is Missing.", 1363130)
        labels = json.loads(given.get("custom_labels", "[]"))
        if not isinstance(labels, list) or any(not isinstance(label, str) or len(label) > 25 for label in labels):
            raise bad("Param custom_labels must be an array of strings")
        published = _boolean(given.get("published", "true"), "published")
        film.title, film.description, film.labels = given.get("title", ""), given.get("description", ""), labels
        film.sha256, film.published, film.fate = session.digest.hexdigest(), published, self.fate
        film.finished, film.looks, film.unlisted = True, self.looks, self.unlisted
        film.made = max(other.made for other in self.films.values()) + 1
        # As with the real one, a session is of no use once it was finished.
        del self.sessions[session.id]
        return {"success": True}

    def _row(self, film: Film) -> dict[str, Any]:
        path = f"/{film.node}/videos/{film.id}/"
        return {
            "id": film.id, "title": film.title, "description": film.description, "custom_labels": film.labels,
            "published": film.published and film.finished, "permalink_url": path, "status": self._status(film),
        }  # fmt: skip

    def _status(self, film: Film) -> dict[str, Any]:
        done, idle = {"status": "complete"}, {"status": "not_started"}
        if not film.finished:
            session = next((candidate for candidate in self.sessions.values() if candidate.film is film), None)
            moved = session.at if session else 0
            if session is None:
                return {"video_status": "expired", "uploading_phase": {"status": "error"}}
            phase = {"status": "complete" if moved == film.size else "in_progress", "bytes_transferred": moved}
            return {"video_status": "uploading" if moved < film.size else "processing", "uploading_phase": phase,
                    "processing_phase": idle, "publishing_phase": idle}  # fmt: skip
        if film.looks > 0:
            return {"video_status": "processing", "processing_progress": 10, "uploading_phase": done,
                    "processing_phase": idle, "publishing_phase": idle}  # fmt: skip
        if film.fate == "error":
            broken = {"status": "error", "errors": [{"code": 1363008, "message": "The video file is corrupt."}]}
            return {"video_status": "error", "uploading_phase": done, "processing_phase": broken,
                    "publishing_phase": idle}  # fmt: skip
        return {"video_status": "ready", "uploading_phase": done, "processing_phase": done,
                "publishing_phase": {"status": "complete", "publish_status": "published"}}  # fmt: skip

    def _found(self, request: web.Request) -> Film:
        film = self.films.get(request.match_info["video"])
        if film is None or (not film.finished and not self.unfinished_are_seen):
            raise gone(request.match_info["video"])
        return film

    def _look(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset())
        with self.lock:
            film = self._found(request)
            wanted = _fields(given, _FIELDS)
            row = self._row(film)
            if "status" in wanted:
                film.looks -= 1
            # What a video does not have is left out, not empty.
            return {name: value for name, value in row.items() if name in wanted and value not in ("", [])}

    def _list(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset({"type"}))
        with self.lock:
            films = [video for video in self.published(request.match_info["node"]) if video.published]
            for film in films:
                film.unlisted -= 1
            newest = sorted((film for film in films if film.unlisted < 0), key=lambda film: -film.made)
            return self._paged(request, given, [self._row(film) for film in newest], _FIELDS)

    def _captions(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset())
        with self.lock:
            film = self._found(request)
            rows = [
                {"id": locale, "locale": locale, "is_auto_generated": locale in film.automatic, "is_default": False}
                for locale in film.captions
            ]
            answer = self._paged(request, given, rows, frozenset({"locale", "is_auto_generated", "is_default"}))
            # A row has no id of its own.
            return {**answer, "data": [{k: v for k, v in row.items() if k != "id"} for row in answer["data"]]}

    def _caption(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset({"captions_file", "default_locale", "locales_to_delete"}))
        with self.lock:
            film = self._found(request)
            for locale in json.loads(given.get("locales_to_delete", "[]")):
                film.captions.pop(locale, None)
            if "captions_file" in given:
                name, content = given["captions_file"]
                match = _CAPTIONS.fullmatch(name)
                if match is None or match[1] not in LOCALES:
                    raise bad("The captions file name must be in the format filename.locale.srt", 1363131)
                if b"-->" not in content:
                    raise bad("The captions file is not a valid SubRip file", 1363132)
                film.captions[match[1]] = content
                film.automatic.discard(match[1])
            return {"success": True}

    def _update(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, _UPDATES)
        with self.lock:
            film = self._found(request)
            if "published" in given:
                wanted = _boolean(given["published"], "published")
                if film.published and not wanted and not self.may_unpublish:
                    raise bad("A published video cannot be unpublished")
                film.published = wanted
            film.title = given.get("name", film.title)
            film.description = given.get("description", film.description)
            self.updates.append({name: value for name, value in given.items() if name in _UPDATES})
            return {"success": True}

    def _delete(self, request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
        _only(given, frozenset())
        with self.lock:
            del self.films[self._found(request).id]
            return {"success": True}


def _only(given: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in given:
        if name not in known | _COMMON:
            raise bad(f'Unexpected key "{name}" on param: it\'s not a recognized parameter')


def _fields(given: Mapping[str, Any], known: frozenset[str]) -> set[str]:
    wanted = {part for part in given.get("fields", "").split(",") if part}
    for name in wanted - known:
        raise bad(f"Tried accessing nonexisting field ({name})")
    return wanted | {"id"}


def _number(text: Any, name: str) -> int:
    if not isinstance(text, str) or not text.isdecimal():
        raise bad(f"Param {name} must be an integer")
    return int(text)


def _boolean(text: str, name: str) -> bool:
    if text not in {"true", "false", "1", "0"}:
        raise bad(f"Param {name} must be a boolean")
    return text in {"true", "1"}
