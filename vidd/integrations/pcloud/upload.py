"""Bring one file to pCloud: under a name of its own first, compared, and then by rename to its place.

Uploading over a file replaces it too (docs.pcloud.com/methods/file/uploadfile.html), but an upload that breaks off has
been seen to leave half a file behind, `nopartial` or not, while a rename over a file is promised to be atomic. What was
uploaded and has not got its name yet is found again by the one it has, so a lost answer or a restart sends nothing twice.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.retry import retry
from vidd.display_text import quoted
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.pcloud.api import understood
from vidd.integrations.pcloud.files import File, checksums, delete_file, file_of, listing, rename, sums_of
from vidd.transfer.read_ahead import pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from typing import Any

    from vidd.integrations.pcloud.api import Cloud
    from vidd.transfer.progress_meter import ProgressMeter

ALGORITHM = "sha1"
"""The one checksum that pCloud has in both regions."""
_BEGINS, _ENDS = ".vidd-", ".part"


@dataclass(frozen=True, slots=True)
class Sending:
    """A file of `size` bytes and of this checksum (hex), which is to be `name` in a folder."""

    source: Path
    size: int
    sum: str
    folder: int
    name: str


def part_name(job: str, path: str) -> str:
    """What a file is called until it is whole; `path` is the place it goes to."""
    return f"{_BEGINS}{job}-{hashlib.sha256(path.encode()).hexdigest()[:16]}{_ENDS}"


def is_part(name: str, job: str | None = None) -> bool:
    """Whether a name is one of those, of this job or of any."""
    return name.startswith(f"{_BEGINS}{job}-" if job else _BEGINS) and name.endswith(_ENDS)


class Upload:
    """Brings files there; `job` tells its unfinished ones from those of others."""

    def __init__(self, cloud: Cloud, meter: ProgressMeter, job: str) -> None:
        self._cloud, self._meter, self._job = cloud, meter, job

    async def run(self, sending: Sending, path: str, begun: File | None = None) -> File:
        """Bring a file to its place; `begun` is what an earlier attempt left under its first name."""
        part = part_name(self._job, path)
        stored = begun if begun is not None and await self._is(begun, sending) else None
        if stored is None:
            stored = await retry(lambda: self._store(sending, part), sleep=self._cloud.clock.sleep)
        return await rename(self._cloud, stored.id, sending.folder, sending.name)

    async def _store(self, sending: Sending, part: str) -> File:
        try:
            stored, sums = await self._send(sending, part)
        except OutcomeUnknown as unknown:
            return await self._found(sending, part, unknown)
        if stored.size != sending.size or (sums.get(ALGORITHM) != sending.sum and not await self._is(stored, sending)):
            await delete_file(self._cloud, stored)
            self._meter.back(sending.size)
            raise RetryLater(f"{quoted(sending.name)} was damaged on its way to pCloud; it is sent again.")
        return stored

    async def _found(self, sending: Sending, part: str, unknown: OutcomeUnknown) -> File:
        """What went out and was not answered; RetryLater where it is not there, and may be sent again."""
        try:
            found = await self._there(sending.folder, part)
            arrived = found is not None and await self._is(found, sending)
        except RetryLater as fault:
            raise unknown from fault
        if found is None or not arrived:
            raise RetryLater(f"{unknown.sentence} It is not, so it is sent again.") from unknown
        self._meter.add(sending.size)
        return found

    async def _is(self, found: File, sending: Sending) -> bool:
        if found.size != sending.size:
            return False
        known = await checksums(self._cloud, found)
        return known is not None and known[0].size == sending.size and known[1].get(ALGORITHM) == sending.sum

    async def _there(self, folder: int, name: str) -> File | None:
        found = await listing(self._cloud, folder, deep=False)
        return found.files.get(name) if found is not None else None

    async def _send(self, sending: Sending, part: str) -> tuple[File, dict[str, str]]:
        doing = f"uploading {quoted(sending.name)} into the folder {sending.folder} on pCloud"
        try:
            file = os.open(sending.source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(
                f"The file {quoted(sending.source.name)} cannot be read ({error.strerror}): run the job anew."
            ) from None
        with closing(os.fdopen(file, "rb", buffering=0)):
            answer = await self._sent(file, sending, part, doing)
        try:
            with understood(doing):
                sums: Mapping[str, Any] = (answer.get("checksums") or [{}])[0]
                return file_of(answer["metadata"][0]), sums_of(sums)
        except RetryLater as fault:
            self._meter.back(sending.size)
            raise OutcomeUnknown(
                f"pCloud's answer cannot be understood at {doing}: look whether it is there."
            ) from fault

    async def _sent(self, file: int, sending: Sending, part: str, doing: str) -> dict[str, Any]:
        gone = 0

        async def body() -> AsyncIterator[bytes | bytearray]:
            nonlocal gone
            self._meter.back(gone)
            gone = 0
            async for piece in pieces(file, 0, sending.size, name=sending.source.name):
                gone += len(piece)
                self._meter.add(len(piece))
                yield piece

        try:
            return await self._cloud.send(
                doing, body, size=sending.size, name=part, folderid=sending.folder, nopartial=1
            )
        except BaseException:
            self._meter.back(gone)
            raise
