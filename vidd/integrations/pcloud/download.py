"""Download one file from pCloud: its state is pinned, its ranges come side by side, each finished one is noted.

A link is good for a while and from this host only (docs.pcloud.com/methods/streaming/getfilelink.html). One that a content
server no longer takes is replaced by a new one, and the download goes on where it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from yarl import URL

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.display_text import printable, quoted
from vidd.errors import Refused, RetryLater
from vidd.files.digest import FollowingDigest
from vidd.files.disk_space import check_free_space
from vidd.integrations.pcloud.files import checksums, links, stat
from vidd.transfer.http import asking, fault_of_status, retry_after
from vidd.transfer.remote_ranges import Blocks, placed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import aiohttp

    from vidd.integrations.pcloud.api import Cloud
    from vidd.integrations.pcloud.files import File
    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter
    from vidd.transfer.remote_ranges import Put

_EXPIRED = frozenset({401, 403, 404, 410, 416})
"""Of a content server these speak of the link, not of the file: an API call has just said that it is there."""


class _Expired(RetryLater):
    """A content server no longer takes a link."""


def which_of(location: str) -> Mapping[str, str | int]:
    """The parameter that names the file of `pcloud:<id>` or `pcloud:/path`; Refused where it is neither."""
    _, _, rest = location.partition(":")
    if rest.isascii() and rest.isdecimal():
        return {"fileid": int(rest)}
    path = unquote(rest)
    if path.startswith("/") and not path.startswith("//") and not path.endswith("/"):
        return {"path": path}
    raise Refused(f"{location[:200]!a} names no file on pCloud: write pcloud:<file id> or pcloud:/folder/file.")


async def look(cloud: Cloud, location: str) -> File:
    """The file at a location; Refused where there is none."""
    return await stat(cloud, which_of(location))


class _Links:
    """A link to a file, as long as it holds. Of several who find that it does not, one gets the next."""

    def __init__(self, cloud: Cloud, file: File) -> None:
        self._cloud, self._file = cloud, file
        self._lock = asyncio.Lock()
        self._known: list[str] = []

    async def get(self) -> str:
        """The best one that has not failed yet."""
        async with self._lock:
            if not self._known:
                self._known = await links(self._cloud, self._file)
            return self._known[0]

    def failed(self, link: str, *, expired: bool) -> None:
        """This one was of no use; where it is expired, the others that came with it are too."""
        if link in self._known:
            self._known = [] if expired else [one for one in self._known if one != link]


async def fetch(
    cloud: Cloud,
    location: str,
    landing: PartialDownload,
    meter: ProgressMeter,
    *,
    size: int | None,
    promised: Mapping[str, str] | None,
    parallel: int,
) -> dict[str, Any]:
    """Bring the file at a location to its landing; the facts say which it is.

    Refused where there is none, or its size is not the one it arrived with. pCloud's checksum and those that were
    `promised` are compared; with None neither is.
    """
    file, sums = await _pinned(cloud, location, size)
    if promised is None:
        sums = {}
    landing.open({"file": file.id, "hash": file.hash, "size": file.size})
    meter.total = file.size
    meter.done = min(file.size, len(landing.done) * landing.chunk)
    check_free_space(landing.directory, landing.reserve, file.size - meter.done)
    known = await _download(cloud, file, sums, landing, meter, parallel=parallel)
    await landing.check(file.size, {**sums, **(promised or {})}, known=known)
    await landing.settle()
    return {"file": file.id, "name": file.name, **sums}


async def _pinned(cloud: Cloud, location: str, size: int | None) -> tuple[File, dict[str, str]]:
    """The file as it is now, and its best checksum by algorithm."""
    known = await checksums(cloud, await look(cloud, location))
    if known is None:
        raise RetryLater(
            f"What {printable(location, 200)} is vanished while pCloud was asked for it; it is asked again."
        )
    file, sums = known
    shown = f"The file {file.id} ({quoted(file.name)}) on pCloud"
    if file.size == 0:
        raise Refused(f"{shown} is empty: upload it again.")
    if size not in {None, file.size}:
        raise Refused(f"{shown} was replaced since it arrived: its new state comes as an arrival of its own.")
    return file, dict(list(sums.items())[:1])


async def _download(
    cloud: Cloud, file: File, sums: Mapping[str, str], landing: PartialDownload, meter: ProgressMeter, *, parallel: int
) -> dict[str, str]:
    """Fetch the chunks that are not there yet; the answer is what the checksums in `sums` are of what came."""
    fetch = _Fetch(cloud, file, _Links(cloud, file), landing, meter)
    following = [FollowingDigest(landing.part, key, chunk=landing.chunk, size=file.size) for key in sums]
    for digest in following:
        digest.arrived(*landing.done)
    missing = [index for index in range(-(-file.size // landing.chunk)) if index not in landing.done]

    async def chunk(index: int) -> None:
        await fetch.chunk(index)
        for following_digest in following:
            following_digest.arrived(index)
        await landing.finished(index)

    async def chunks() -> None:
        await gather_bounded(parallel, missing, chunk)

    await gather_bounded(1 + len(following), (chunks, *(digest.run for digest in following)), lambda part: part())
    return {name: digest.hex for name, digest in zip(sums, following, strict=True)}


@dataclass(frozen=True)
class _Fetch:
    """Brings chunks of a file to its landing."""

    cloud: Cloud
    file: File
    links: _Links
    landing: PartialDownload
    meter: ProgressMeter

    @property
    def _doing(self) -> str:
        return f"fetching the file {self.file.id} ({quoted(self.file.name)}) from pCloud"

    async def chunk(self, index: int) -> None:
        """Go on with a chunk, with whatever link holds, until all of it is there."""
        size = self.landing.chunk
        got, end = index * size, min(self.file.size, (index + 1) * size)

        async def put(data: bytearray) -> None:
            nonlocal got
            await self.landing.write(got, data)
            got += len(data)
            self.meter.add(len(data))

        async def rest() -> None:
            link = await self.links.get()
            try:
                await self._stretch(link, got, end, put)
            except RetryLater as fault:
                self.links.failed(link, expired=isinstance(fault, _Expired))
                raise

        await retry(rest, sleep=self.cloud.clock.sleep, reached=lambda: got)

    async def _stretch(self, link: str, start: int, end: int, put: Put) -> None:
        """Hand the bytes from `start` to before `end` to `put`; RetryLater where they do not all come."""
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        with asking(self._doing):
            async with self.cloud.web.get(URL(link, encoded=True), headers=headers, allow_redirects=False) as answer:
                self._expect(answer, start, end)
                blocks = Blocks(put, end - start)
                try:
                    async for piece in answer.content.iter_any():
                        await blocks.add(piece)
                finally:
                    await blocks.flush()

    def _expect(self, answer: aiohttp.ClientResponse, start: int, end: int) -> None:
        """The answer holds exactly these bytes of the file in its size."""
        if answer.status in _EXPIRED:
            raise _Expired(f"pCloud's link no longer holds ({answer.status}) at {self._doing}; another is asked for.")
        if answer.status not in {200, 206}:
            after = retry_after(answer.headers.get("Retry-After"), self.cloud.clock.now())
            raise fault_of_status(answer.status, self._doing, after=after)
        place = placed(answer.headers.get("Content-Range"))
        if answer.status == 200:
            place = (0, answer.content_length or 0, self.file.size)
        if place != (start, end, self.file.size) or answer.content_length != end - start:
            raise RetryLater(f"The server gave other bytes than it was asked for at {self._doing}; it is tried again.")
