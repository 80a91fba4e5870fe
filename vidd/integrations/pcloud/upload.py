"""Uploads one file to pCloud: first under a part name, compared by SHA-1, then renamed to its place.

Uploading over a file replaces it, too (docs.pcloud.com/methods/file/uploadfile.html), but an upload that breaks off has
been seen to leave half a file behind, `nopartial` or not, while a rename over a file is promised to be atomic. A file
that is uploaded and not renamed yet is found by its part name, so a lost answer or a restart sends nothing twice.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.retry import retry
from vidd.display_text import quoted
from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.pcloud.api import parsing
from vidd.integrations.pcloud.files import (
    File,
    checksum_file,
    checksums_of,
    delete_file,
    file_of,
    list_folder,
    rename,
)
from vidd.transfer.read_ahead import read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from typing import Any

    from vidd.integrations.pcloud.api import Client
    from vidd.transfer.progress_meter import ProgressMeter

ALGORITHM = "sha1"
"""The one checksum that pCloud has in both regions."""
_PART_PREFIX, _PART_SUFFIX = ".vidd-", ".part"


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file of `size` bytes with this SHA-1 (hex) that becomes `name` in the folder with the id `folder`."""

    source: Path
    size: int
    sha1: str
    folder: int
    name: str


def part_name(job: str, path: str) -> str:
    """The name of a file until it is complete; `path` is its place below the folder of the publication."""
    return f"{_PART_PREFIX}{job}-{hashlib.sha256(path.encode()).hexdigest()[:16]}{_PART_SUFFIX}"


def is_part(name: str, job: str | None = None) -> bool:
    """Whether a name is a part name, of this job or of any."""
    return name.startswith(f"{_PART_PREFIX}{job}-" if job else _PART_PREFIX) and name.endswith(_PART_SUFFIX)


class Uploader:
    """Uploads files of one job; the job's id is in their part names."""

    def __init__(self, client: Client, meter: ProgressMeter, job: str) -> None:
        self._client, self._meter, self._job = client, meter, job

    async def run(self, upload: FileUpload, path: str, earlier: File | None = None) -> File:
        """Bring a file to its place; `earlier` is what an earlier attempt left under its part name."""
        part = part_name(self._job, path)
        stored = earlier if earlier is not None and await self._is_equal(earlier, upload) else None
        if stored is None:
            stored = await retry(lambda: self._store(upload, part), sleep=self._client.clock.sleep)
        return await rename(self._client, stored.id, upload.folder, upload.name)

    async def _store(self, upload: FileUpload, part: str) -> File:
        """Send the file and compare it."""
        try:
            stored, checksums = await self._send(upload, part)
        except OutcomeUnknown as unknown:
            return await self._find_stored(upload, part, unknown)
        equal = stored.size == upload.size and (
            checksums.get(ALGORITHM) == upload.sha1 or await self._is_equal(stored, upload)
        )
        if not equal:
            await delete_file(self._client, stored)
            self._meter.back(upload.size)
            raise RetryLater(f"{quoted(upload.name)} was damaged on its way to pCloud; vidd will send it again.")
        return stored

    async def _find_stored(self, upload: FileUpload, part: str, unknown: OutcomeUnknown) -> File:
        """The file of an upload that was not answered; RetryLater if it is not there and may be sent again."""
        try:
            listing = await list_folder(self._client, upload.folder, deep=False)
            found = listing.files.get(part) if listing is not None else None
            arrived = found is not None and await self._is_equal(found, upload)
        except RetryLater as fault:
            raise unknown from fault
        if found is None or not arrived:
            raise RetryLater(
                f"No answer came to the upload of {quoted(upload.name)} to pCloud, and the file is not there; vidd will send"
                " it again.",
                code=unknown.code,
            ) from unknown
        self._meter.add(upload.size)
        return found

    async def _is_equal(self, found: File, upload: FileUpload) -> bool:
        if found.size != upload.size:
            return False
        known = await checksum_file(self._client, found)
        return known is not None and known[0].size == upload.size and known[1].get(ALGORITHM) == upload.sha1

    async def _send(self, upload: FileUpload, part: str) -> tuple[File, dict[str, str]]:
        doing = f"uploading {quoted(upload.name)} into the folder {upload.folder} on pCloud"
        try:
            file = os.open(upload.source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(
                f"vidd cannot read the file {quoted(upload.source.name)} ({error.strerror}): run the job anew.",
                code=FaultCode.NOT_FOUND,
            ) from None
        with closing(os.fdopen(file, "rb", buffering=0)):
            answer = await self._send_content(file, upload, part, doing)
        try:
            with parsing(doing):
                checksums: Mapping[str, Any] = (answer.get("checksums") or [{}])[0]
                return file_of(answer["metadata"][0]), checksums_of(checksums)
        except RetryLater as fault:
            self._meter.back(upload.size)
            raise OutcomeUnknown(f"vidd cannot parse pCloud's answer at {doing}: look whether it is there.") from fault

    async def _send_content(self, file: int, upload: FileUpload, part: str, doing: str) -> dict[str, Any]:
        sent = 0

        async def content() -> AsyncIterator[bytes | bytearray]:
            # A log-in that expired makes the client send the content once more.
            nonlocal sent
            self._meter.back(sent)
            sent = 0
            async for chunk in read_chunks(file, 0, upload.size, name=upload.source.name):
                sent += len(chunk)
                self._meter.add(len(chunk))
                yield chunk

        try:
            return await self._client.upload(
                doing, content, size=upload.size, name=part, folderid=upload.folder, nopartial=1
            )
        except BaseException:
            self._meter.back(sent)
            raise
