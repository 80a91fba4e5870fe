"""Downloads one S3 object of a pinned state, in chunks side by side that a later attempt resumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.digest import FollowingDigest
from vidd.files.disk_space import check_free_space
from vidd.integrations.aws.account import head, object_name
from vidd.integrations.aws.errors import map_errors
from vidd.integrations.aws.s3_target import md5_of
from vidd.transfer.partial_download import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """An object in the state that HEAD showed. `etag` is without quotes; `md5` is set if the ETag is the object's MD5."""

    bucket: str
    key: str
    size: int
    etag: str
    version: str | None
    md5: str | None

    @property
    def parameters(self) -> dict[str, str]:
        """The request parameters that name exactly this state."""
        named = {"Bucket": self.bucket, "Key": self.key, "IfMatch": f'"{self.etag}"'}
        return named | ({"VersionId": self.version} if self.version else {})

    def to_json(self) -> dict[str, Any]:
        """The state, for the notes of a download."""
        return {"bucket": self.bucket, "key": self.key, "etag": self.etag, "version": self.version, "size": self.size}


async def pin(
    s3: Any, bucket: str, key: str, *, version: str | None = None, etag: str | None = None, size: int | None = None
) -> PinnedObject:
    """Ask for an object's state; Refused if it is gone, or is no longer what arrived (`etag`, `size`)."""
    name = object_name(bucket, key)
    answer = await head(s3, bucket, key, version=version)
    if answer is None:
        raise Refused(
            f"There is no {name}: it was deleted since it arrived, or never was; send it again.",
            code=FaultCode.NOT_FOUND,
        )
    found_etag, found_size = str(answer["ETag"]).strip('"'), int(answer["ContentLength"])
    if not version and ((etag and etag != found_etag) or (size is not None and size != found_size)):
        raise Refused(
            f"{name} was replaced since it arrived: its new state comes as an arrival of its own.",
            code=FaultCode.CONFLICT,
        )
    return PinnedObject(bucket, key, found_size, found_etag, version, md5_of(answer))


async def fetch(
    s3: Any,
    pinned: PinnedObject,
    download: PartialDownload,
    meter: ProgressMeter,
    *,
    promised: Mapping[str, str] | None,
    parallel: int,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Download an object and commit it.

    The checksums in `promised` (hex by algorithm) are compared, and the ETag if it is an MD5; with None neither is.
    """
    if promised is None:
        pinned = replace(pinned, md5=None)
    download.open(pinned.to_json())
    meter.total = pinned.size
    meter.done = min(pinned.size, len(download.done) * download.chunk)
    check_free_space(download.directory, download.reserve, pinned.size - meter.done)
    computed = await _ObjectDownload(s3, pinned, download, meter, sleep).run(parallel)
    checksums = {**(promised or {}), **({"md5": pinned.md5} if pinned.md5 else {})}
    await download.check(pinned.size, checksums, known=computed)
    await download.commit()


@dataclass(frozen=True)
class _ObjectDownload:
    """Fetches the chunks of an object. In memory are 1 MiB for each chunk under way, and the block being hashed."""

    s3: Any
    pinned: PinnedObject
    download: PartialDownload
    meter: ProgressMeter
    sleep: Callable[[float], Awaitable[None]]

    async def run(self, parallel: int) -> dict[str, str]:
        """Fetch the chunks that are missing; returns the MD5 of the file, if the object names its own."""
        pinned, download = self.pinned, self.download
        md5 = FollowingDigest(download.part, "md5", chunk=download.chunk, size=pinned.size)
        md5.add_arrived(*download.done)
        missing = [index for index in range(-(-pinned.size // download.chunk)) if index not in download.done]

        async def fetch_chunk(index: int) -> None:
            await self._fetch_chunk(index)
            md5.add_arrived(index)
            await download.finish_chunk(index)

        async def fetch_chunks() -> None:
            await gather_bounded(parallel, missing, fetch_chunk)

        if pinned.md5 is None:
            await fetch_chunks()
            return {}
        await gather_bounded(2, (fetch_chunks, md5.run), lambda task: task())
        return {"md5": md5.hex}

    async def _fetch_chunk(self, index: int) -> None:
        pinned, name = self.pinned, object_name(self.pinned.bucket, self.pinned.key)
        chunk = ChunkWriter(self.download, self.meter, index, pinned.size)

        async def fetch_rest() -> None:
            with map_errors(f"reading {name}"):
                answer = await self.s3.get_object(**pinned.parameters, Range=f"bytes={chunk.position}-{chunk.end - 1}")
                async with answer["Body"] as response:
                    _check_state(answer, pinned, chunk.end - chunk.position)
                    block = bytearray()
                    async for data in response.content.iter_any():
                        block += data
                        if len(block) >= _BLOCK:
                            await chunk.write(block)
                            block = bytearray()
                    await chunk.write(block)
            if chunk.position != chunk.end:
                raise RetryLater(
                    f"The connection was lost at reading {name}; vidd will retry.", code=FaultCode.UNREACHABLE
                )

        await retry(fetch_rest, sleep=self.sleep, reached=lambda: chunk.position)


def _check_state(answer: Mapping[str, Any], pinned: PinnedObject, expected_size: int) -> None:
    """Some servers do not enforce If-Match, and some ignore ranges: check what the answer really is."""
    name = object_name(pinned.bucket, pinned.key)
    if str(answer.get("ETag", "")).strip('"') != pinned.etag:
        raise Refused(
            f"{name} was replaced while vidd fetched it: its new state comes as an arrival of its own.",
            code=FaultCode.CONFLICT,
        )
    if int(answer["ContentLength"]) != expected_size:
        raise Refused(
            f"The server of {name} does not serve parts of an object: set chunk of the fetch step above its size.",
            code=FaultCode.REJECTED,
        )
