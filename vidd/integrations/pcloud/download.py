"""Downloads one file from pCloud in a pinned state, in chunks side by side that a later attempt resumes.

A link is good for a while and from this host only (docs.pcloud.com/methods/streaming/getfilelink.html). If a content
server no longer accepts it, vidd asks for a new one and resumes the download.
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
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.digest import FollowingDigest
from vidd.files.disk_space import check_free_space
from vidd.integrations.pcloud.files import checksum_file, download_links, stat
from vidd.transfer.http import fault_of_status, map_errors, retry_after
from vidd.transfer.partial_download import ChunkWriter
from vidd.transfer.remote_file import BlockWriter, parse_content_range

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import aiohttp

    from vidd.integrations.pcloud.api import Client
    from vidd.integrations.pcloud.files import File
    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter
    from vidd.transfer.remote_file import Write

_LINK_STATUSES = frozenset({401, 403, 404, 410, 416})
"""From a content server these are about the link, not the file: an API call has just said that the file is there."""


class _LinkExpired(RetryLater):
    """A content server no longer accepts a link."""


def parse_location(location: str) -> Mapping[str, str | int]:
    """The parameter that names the file of `pcloud:<id>` or `pcloud:/path`; Refused if it is neither."""
    _, _, rest = location.partition(":")
    if rest.isascii() and rest.isdecimal():
        return {"fileid": int(rest)}
    path = unquote(rest)
    if path.startswith("/") and not path.startswith("//") and not path.endswith("/"):
        return {"path": path}
    raise Refused(f"{location[:200]!a} names no file on pCloud: write pcloud:<file id> or pcloud:/folder/file.")


async def find_file(client: Client, location: str) -> File:
    """The file at a location; Refused if there is none."""
    return await stat(client, parse_location(location))


class _Links:
    """The links to a file. Those who find that a link has expired share one request for new ones."""

    def __init__(self, client: Client, file: File) -> None:
        self._client, self._file = client, file
        self._lock = asyncio.Lock()
        self._links: list[str] = []

    async def get(self) -> str:
        """The best link that has not failed yet."""
        async with self._lock:
            if not self._links:
                self._links = await download_links(self._client, self._file)
            return self._links[0]

    def report_failure(self, link: str, *, expired: bool) -> None:
        """Drop a link; if it is expired, so are the others that came with it."""
        if link in self._links:
            self._links = [] if expired else [other for other in self._links if other != link]


async def fetch(
    client: Client,
    location: str,
    download: PartialDownload,
    meter: ProgressMeter,
    *,
    size: int | None,
    promised: Mapping[str, str] | None,
    parallel: int,
) -> dict[str, Any]:
    """Download the file at a location and commit it; the facts say which file it is.

    Refused if there is none, or its size is not the one it arrived with. pCloud's checksum and those in `promised` (hex by
    algorithm) are compared; with None neither is.
    """
    file, checksums = await _pin(client, location, size)
    if promised is None:
        checksums = {}
    download.open({"file": file.id, "hash": file.hash, "size": file.size})
    meter.total = file.size
    meter.done = min(file.size, len(download.done) * download.chunk)
    check_free_space(download.directory, download.reserve, file.size - meter.done)
    computed = await _FileDownload(client, file, _Links(client, file), download, meter).run(checksums, parallel)
    await download.check(file.size, {**checksums, **(promised or {})}, known=computed)
    await download.commit()
    return {"file": file.id, "name": file.name, **checksums}


async def _pin(client: Client, location: str, size: int | None) -> tuple[File, dict[str, str]]:
    """The file in its state of now, and its best checksum by algorithm."""
    known = await checksum_file(client, await find_file(client, location))
    if known is None:
        raise RetryLater(
            f"The file {printable(location, 200)} vanished while vidd asked pCloud for it; vidd will ask again.",
            code=FaultCode.NOT_FOUND,
        )
    file, checksums = known
    name = f"The file {file.id} ({quoted(file.name)}) on pCloud"
    if file.size == 0:
        raise Refused(f"{name} is empty: upload it again.")
    if size not in {None, file.size}:
        raise Refused(
            f"{name} was replaced since it arrived: its new state comes as an arrival of its own.",
            code=FaultCode.CONFLICT,
        )
    return file, dict(list(checksums.items())[:1])


@dataclass(frozen=True)
class _FileDownload:
    """Fetches the chunks of a file."""

    client: Client
    file: File
    links: _Links
    download: PartialDownload
    meter: ProgressMeter

    async def run(self, checksums: Mapping[str, str], parallel: int) -> dict[str, str]:
        """Fetch the chunks that are missing; returns the file's own checksums by the algorithms of `checksums`."""
        file, download = self.file, self.download
        digests = {
            name: FollowingDigest(download.part, name, chunk=download.chunk, size=file.size) for name in checksums
        }
        for digest in digests.values():
            digest.add_arrived(*download.done)
        missing = [index for index in range(-(-file.size // download.chunk)) if index not in download.done]

        async def fetch_chunk(index: int) -> None:
            await self._fetch_chunk(index)
            for digest in digests.values():
                digest.add_arrived(index)
            await download.finish_chunk(index)

        async def fetch_chunks() -> None:
            await gather_bounded(parallel, missing, fetch_chunk)

        tasks = (fetch_chunks, *(digest.run for digest in digests.values()))
        await gather_bounded(len(tasks), tasks, lambda task: task())
        return {name: digest.hex for name, digest in digests.items()}

    @property
    def _doing(self) -> str:
        return f"fetching the file {self.file.id} ({quoted(self.file.name)}) from pCloud"

    async def _fetch_chunk(self, index: int) -> None:
        """Fetch a chunk, by whatever link is good, until all of it is there."""
        chunk = ChunkWriter(self.download, self.meter, index, self.file.size)

        async def fetch_rest() -> None:
            link = await self.links.get()
            try:
                await self._fetch_range(link, chunk.position, chunk.end, chunk.write)
            except RetryLater as fault:
                self.links.report_failure(link, expired=isinstance(fault, _LinkExpired))
                raise

        await retry(fetch_rest, sleep=self.client.clock.sleep, reached=lambda: chunk.position)

    async def _fetch_range(self, link: str, start: int, end: int, write: Write) -> None:
        """Hand the bytes from `start` to before `end` to `write`; RetryLater if not all of them come."""
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        with map_errors(self._doing):
            async with self.client.web.get(URL(link, encoded=True), headers=headers, allow_redirects=False) as answer:
                self._check_answer(answer, start, end)
                writer = BlockWriter(write, end - start)
                try:
                    async for data in answer.content.iter_any():
                        await writer.add(data)
                finally:
                    await writer.flush()

    def _check_answer(self, answer: aiohttp.ClientResponse, start: int, end: int) -> None:
        """Raise unless the answer holds exactly these bytes, of a file of this size."""
        if answer.status in _LINK_STATUSES:
            raise _LinkExpired(
                f"pCloud's link has expired ({answer.status}) at {self._doing}; vidd will ask for another.",
                code=FaultCode.UNAVAILABLE,
            )
        if answer.status not in {200, 206}:
            after = retry_after(answer.headers.get("Retry-After"), self.client.clock.now())
            raise fault_of_status(answer.status, self._doing, after=after)
        content_range = parse_content_range(answer.headers.get("Content-Range"))
        if answer.status == 200:
            content_range = (0, answer.content_length or 0, self.file.size)
        if content_range != (start, end, self.file.size) or answer.content_length != end - start:
            raise RetryLater(f"The server sent other bytes than vidd asked for at {self._doing}; vidd will retry.")
