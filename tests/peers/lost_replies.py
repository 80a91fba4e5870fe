"""The far sides of the lost replies: each is set up, told to lose one, and asked what it holds afterwards."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack
from pathlib import Path

from builders_aws import Bucket, an_account
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal
from peers.faulty_proxy import faulty_proxy_beside
from peers.servers import ministack

PARTS = 5 * 2**20
FILM = bytes(range(256)) * (PARTS // 256) + b"the end"


class S3:
    """MiniStack behind a proxy; the call that makes an object is the completion of its parts."""

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
bucket = "library"
part_size = "5MiB"
parallel = 1
"""

    def __init__(self, stack: ExitStack, _directory) -> None:
        server = stack.enter_context(ministack())
        self._bucket = asyncio.run(Bucket(an_account(server), "library").make())
        self._proxy = stack.enter_context(faulty_proxy_beside(server))
        self.settings = self.SETTINGS.format(url=self._proxy.url)

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
    PUBLISH = """
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
