"""The far sides of the lost replies: each is set up, told to lose one, and asked what it holds afterwards."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack
from pathlib import Path

from builders.aws import Bucket, an_account
from footage.clips import film
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal
from peers.faulty_proxy import faulty_proxy_beside
from peers.oauth import CLIENT_ID, CLIENT_SECRET
from peers.youtube import YouTube

PARTS = 5 * 2**20
FILM = film(bytes(range(256)) * (PARTS // 256) + b"the end")


class S3:
    """A bucket of its own in MiniStack, behind a proxy; what makes an object is the completion of its parts."""

    server = ""

    SETTINGS = """
[accounts.far]
kind = "s3"
endpoint_url = "{url}"
region = "us-east-1"
access_key = "test"
secret_key = "test"
read_timeout = "2s"
"""
    PUBLISH = """
account = "far"
bucket = "{bucket}"
part_size = "5MiB"
parallel = 1
"""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        name = f"library-{directory.name[5:].lower().replace('_', '-').strip('-')}"
        self._bucket = asyncio.run(Bucket(an_account(self.server), name).make())
        self._proxy = stack.enter_context(faulty_proxy_beside(self.server))
        self.settings = self.SETTINGS.format(url=self._proxy.url)
        self.publish = self.PUBLISH.format(bucket=name)

    def lose(self, how: str) -> None:
        """Lose the answer to what makes the object: "drop", "error" or "hang"; or that to the "session"."""
        if how == "session":
            self._proxy.next_time(lambda method, path: method == "POST" and "uploads" in path, "drop reply")
            return
        words = {"drop": "drop reply", "error": "late error", "hang": "lost"}
        self._proxy.next_time(lambda method, path: method == "POST" and "uploadId=" in path, words[how])

    def expire(self) -> None:
        """A finished upload's id is forgotten at once anyway."""

    def commits(self) -> int:
        """How many calls that make an object came."""
        return len(self._proxy.of("POST", "uploadId="))

    def held(self) -> list[str]:
        """The SHA-256 of what people can see."""

        async def read():
            return [await self._bucket.get(key) for key in await self._bucket.keys()]

        return [hashlib.sha256(one).hexdigest() for one in asyncio.run(read())]


class FacebookPage:
    """The Graph API; the call that makes a video seen is the finish of its upload."""

    SETTINGS = """
[accounts.far]
kind = "facebook"
page = "1001"
token = "{token}"
url = "{url}"
video_url = "{url}"
ca = "{ca}"
read_timeout = "2s"
"""
    publish = """
account = "far"
settle = "1s"
look_again = "500ms"
"""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        certificate = make_certificate(directory)
        self._service = Facebook()
        stack.enter_context(self._service.serving(certificate))
        self._service.page(token="EAAPAGETOKEN1001SECRET")
        self._service.chunk = PARTS
        self.settings = self.SETTINGS.format(token="EAAPAGETOKEN1001SECRET", url=self._service.url, ca=certificate.file)

    def lose(self, how: str) -> None:
        """As S3's."""
        phase = "start" if how == "session" else "finish"
        if how == "error":
            error = GraphRefusal(500, 2, "An unexpected error has occurred.", is_transient=True)
            self._service.goes_wrong(phase, "answer", refusal=error, after=True)
        else:
            self._service.goes_wrong(phase, "hang" if how == "hang" else "drop", after=True)

    def expire(self) -> None:
        """No session is known any more."""
        self._service.expire_sessions()

    def commits(self) -> int:
        """How often a finish came."""
        return self._service.count("finish")

    def held(self) -> list[str]:
        """The SHA-256 of what the page shows."""
        return [one.sha256 for one in self._service.published()]


class YouTubeChannel:
    """The Data API; the call that makes a video is the PUT of its last bytes. Listings lag a little."""

    SETTINGS = """
[accounts.far]
kind = "youtube"
client_id = "{client}"
client_secret = "{secret}"
refresh_token = "{token}"
token_url = "{url}/token"
api_url = "{url}"
ca = "{ca}"
read_timeout = "2s"
"""
    publish = """
account = "far"
settle = "3s"
poll = "500ms"
"""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        certificate = make_certificate(directory)
        self._service = YouTube()
        self._service.lag, self._service.looks = 1.0, 1
        stack.enter_context(self._service.serving(certificate))
        self.settings = self.SETTINGS.format(
            client=CLIENT_ID,
            secret=CLIENT_SECRET,
            token=self._service.oauth.sign_in(),
            url=self._service.url,
            ca=certificate.file,
        )

    def lose(self, how: str) -> None:
        """As S3's."""
        if how == "session":
            self._service.misstep("POST", "/upload/youtube/v3/videos", "drop", after=True)
        elif how == "error":
            self._service.misstep("PUT", "upload_id=", "status", status=500, after=True, skip=1)
        else:
            # The first asks how far the session is.
            self._service.misstep("PUT", "upload_id=", how, after=True, skip=1)

    def expire(self) -> None:
        """No session is known any more."""
        self._service.sessions.expire()

    def commits(self) -> int:
        """How many sessions made a video."""
        return len(self._service.videos)

    def held(self) -> list[str]:
        """The SHA-256 of the channel's videos."""
        return [one.arrived.sum for one in self._service.videos.values()]
