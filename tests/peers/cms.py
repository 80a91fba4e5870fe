"""A CMS with videos: strawberry over aiohttp, with the fields of PREMIERE's, in this process or in one of its own.

Like a real one it records an upload first and tells of it afterwards, to whoever listens at that moment. As a program
(`python -m peers.cms PORT FILE`) it keeps its videos in a file, so that it can be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import strawberry
from aiohttp import web
from strawberry.aiohttp.views import GraphQLView
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL
from strawberry.types import Info

BOTH = (GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL)


def a_video(number: int, **changes: Any) -> dict[str, Any]:
    """A video as the CMS keeps it."""
    return {
        "id": f"cm{number:06}",
        "pCloudAnnotationsFolderId": str(9000 + number),
        "pCloudFileId": str(5000 + number),
        "uploadedAt": f"2026-11-03T08:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "title": f"Video {number}",
        **changes,
    }


class Shelf:
    """The videos, and who listens. With a file they outlive the process."""

    def __init__(self, file: Path | None = None) -> None:
        self.videos: dict[str, dict[str, Any]] = {}
        self.listeners: list[asyncio.Queue[Any]] = []
        self.asked: list[dict[str, Any]] = []
        self._file = file
        if file is not None and file.exists():
            for line in file.read_text().splitlines():
                video = json.loads(line)
                self.videos[video["id"]] = video

    def put(self, video: dict[str, Any], *, tell: bool = True) -> None:
        """Record an upload, and tell of it."""
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(video) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self.videos[video["id"]] = video
        if tell:
            self.tell(video)

    def tell(self, event: Any) -> None:
        """An event to whoever listens."""
        for listener in self.listeners:
            listener.put_nowait(event)


@strawberry.type
class VideoObject:
    id: strawberry.ID
    p_cloud_annotations_folder_id: str | None = None
    p_cloud_file_id: str | None = None
    uploaded_at: str | None = None
    title: str | None = None

    @classmethod
    def of(cls, video: Any) -> Any:
        if not isinstance(video, dict):
            return video
        names = {"pCloudAnnotationsFolderId", "pCloudFileId", "uploadedAt"}
        assert names <= video.keys()
        return cls(
            id=video["id"],
            p_cloud_annotations_folder_id=video["pCloudAnnotationsFolderId"],
            p_cloud_file_id=video["pCloudFileId"],
            uploaded_at=video["uploadedAt"],
            title=video["title"],
        )


@strawberry.type
class UserAuthenticationWithPasswordSuccess:
    session_token: str


@strawberry.type
class UserAuthenticationWithPasswordFailure:
    message: str


Entered = Annotated[
    UserAuthenticationWithPasswordSuccess | UserAuthenticationWithPasswordFailure,
    strawberry.union("UserAuthenticationWithPasswordResult"),
]


@strawberry.type
class Query:
    @strawberry.field
    def video_objects(
        self, info: Info, since: str | None = None, take: int | None = None, skip: int = 0
    ) -> list[VideoObject | None] | None:
        cms: Cms = info.context["cms"]
        cms.shelf.asked.append({"since": since, "take": take, "skip": skip})
        if cms.fail_query:
            raise RuntimeError("the database is away")
        if not cms.lets_in(info.context["request"]):
            return []
        found = list(cms.shelf.videos.values())
        if take is not None:
            found.sort(key=lambda video: video["uploadedAt"] or "")
        found = [video for video in found if since is None or (video["uploadedAt"] or "") >= since]
        most = min(take, cms.most) if take is not None else None
        return [VideoObject.of(video) for video in found[skip : None if most is None else skip + most]]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def create_video_object(self, info: Info, number: int) -> VideoObject:
        """An upload; the same number again changes nothing."""
        shelf: Shelf = info.context["cms"].shelf
        video = a_video(number)
        if video["id"] not in shelf.videos:
            shelf.put(video)
        return VideoObject.of(video)

    @strawberry.mutation
    def authenticate_user_with_password(self, info: Info, email: str, password: str) -> Entered:
        cms: Cms = info.context["cms"]
        cms.logins.append(email)
        if (email, password) != cms.login:
            return UserAuthenticationWithPasswordFailure(message="Authentication failed.")
        if cms.sets_cookie:
            info.context["response"].set_cookie("keystonejs-session", cms.token or "", httponly=True, path="/")
        return UserAuthenticationWithPasswordSuccess(session_token=cms.token or "")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def video_object_created(self, info: Info) -> AsyncGenerator[VideoObject, None]:
        cms: Cms = info.context["cms"]
        queue: asyncio.Queue[Any] = asyncio.Queue()
        cms.shelf.listeners.append(queue)
        cms.heard.set()
        try:
            while True:
                event = await queue.get()
                if event is None:
                    return
                if isinstance(event, Exception):
                    raise event
                yield VideoObject.of(event)
        finally:
            cms.shelf.listeners.remove(queue)


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)


class View(GraphQLView):
    def __init__(self, cms: Cms, **more: Any) -> None:
        super().__init__(**more)
        self.cms = cms

    async def get_context(self, request: Any, response: Any) -> Any:
        return {"request": request, "response": response, "cms": self.cms}

    async def on_ws_connect(self, context: Any) -> Any:
        payload = context.get("connection_params") or {}
        self.cms.greetings.append(payload)
        if not self.cms.lets_in(context["request"], payload):
            raise ConnectionRejectionError
        return await super().on_ws_connect(context)


class Cms:
    """The server. `token` is what it asks for; `most` objects are in an answer, whatever is asked."""

    def __init__(self, shelf: Shelf | None = None, *, protocols: tuple[str, ...] = BOTH, schema: Any = SCHEMA) -> None:
        self.shelf = shelf or Shelf()
        self.token: str | None = None
        self.login: tuple[str, str] | None = None
        self.sets_cookie = True
        self.fail_query = False
        self.answers: list[web.Response] = []
        self.most = 10**9
        self.heard = asyncio.Event()
        self.logins: list[str] = []
        self.greetings: list[Any] = []
        self.protocols, self.schema = protocols, schema
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/graphql"

    def lets_in(self, request: web.Request, payload: Any = ()) -> bool:
        given = {
            request.headers.get("Authorization"),
            f"Bearer {request.cookies.get('keystonejs-session')}",
            f"Bearer {dict(payload).get('access_token')}",
        }
        return self.token is None or f"Bearer {self.token}" in given

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.answers and request.method == "POST":
            return self.answers.pop(0)
        return await self._view(request)

    async def start(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """Listen, on the same port as before."""
        self._view = View(self, schema=self.schema, subscription_protocols=self.protocols, graphql_ide=None)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/api/graphql", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Go away, with every connection."""
        self.heard.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@asynccontextmanager
async def a_cms(*args: Any, tls: ssl.SSLContext | None = None, **named: Any):
    """A CMS that runs until the end of the block."""
    cms = Cms(*args, **named)
    await cms.start(tls=tls)
    try:
        yield cms
    finally:
        await cms.stop()


async def _serve(port: int, file: Path) -> None:
    cms = Cms(Shelf(file))
    cms.port = port
    await cms.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
