"""The far sides of the lost replies: each is set up, told to lose one, and asked what it holds afterwards."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from builders_aws import Bucket, an_account
from peers.faulty_proxy import faulty_proxy_beside
from peers.servers import ministack

PARTS = 5 * 2**20
FILM = bytes(range(256)) * (PARTS // 256) + b"the end"


class S3:
    """MiniStack behind a proxy; the call that makes an object is the completion of its parts."""

    KIND = "s3"
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

    def held(self) -> list[bytes]:
        """What people can see."""

        async def read():
            return [await self._bucket.get(key) for key in await self._bucket.keys()]

        return asyncio.run(read())
