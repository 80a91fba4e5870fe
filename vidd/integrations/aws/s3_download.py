"""Download one object: its state is pinned, its ranges come side by side, each finished one is noted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import Refused, RetryLater
from vidd.files.digest import FollowingDigest
from vidd.files.disk_space import check_free_space
from vidd.integrations.aws.account import head, shown
from vidd.integrations.aws.errors import asking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter

_PIECE = 2**20
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Pinned:
    """An object as it was when it was looked at. `etag` is without quotes; `md5` where the ETag is one."""

    bucket: str
    key: str
    size: int
    etag: str
    version: str | None
    md5: str | None

    @property
    def which(self) -> dict[str, str]:
        """The request parameters that name exactly this state."""
        named = {"Bucket": self.bucket, "Key": self.key, "IfMatch": f'"{self.etag}"'}
        return named | ({"VersionId": self.version} if self.version else {})


async def pin(
    s3: Any, bucket: str, key: str, *, version: str | None = None, etag: str | None = None, size: int | None = None
) -> Pinned:
    """Look at an object; Refused where it is gone, or is no longer what arrived (`etag`, `size`)."""
    name = shown(bucket, key)
    answer = await head(s3, bucket, key, version=version)
    if answer is None:
        raise Refused(f"There is no {name}: it was deleted since it arrived, or never was; send it again.")
    found_etag, found_size = str(answer["ETag"]).strip('"'), int(answer["ContentLength"])
    if not version and ((etag and etag != found_etag) or (size is not None and size != found_size)):
        raise Refused(f"{name} was replaced since it arrived: its new state comes as an arrival of its own.")
    # With a key of KMS or of the customer, an ETag of 32 digits is no MD5.
    sealed = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    plain = _MD5.fullmatch(found_etag) and not sealed
    return Pinned(bucket, key, found_size, found_etag, version, found_etag if plain else None)


async def fetch(
    s3: Any,
    thing: Pinned,
    landing: PartialDownload,
    meter: ProgressMeter,
    *,
    promised: Mapping[str, str] | None,
    parallel: int,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Bring an object to its landing.

    Its MD5, where the ETag is one, and the checksums that were `promised` are compared; with None neither is.
    """
    if promised is None:
        thing = replace(thing, md5=None)
    landing.open({
        "bucket": thing.bucket, "key": thing.key, "etag": thing.etag, "version": thing.version, "size": thing.size,
    })  # fmt: skip
    meter.total = thing.size
    meter.done = min(thing.size, len(landing.done) * landing.chunk)
    check_free_space(landing.directory, landing.reserve, thing.size - meter.done)
    known = await download(s3, thing, landing, meter, parallel=parallel, sleep=sleep)
    sums = {**(promised or {}), **({"md5": thing.md5} if thing.md5 else {})}
    await landing.check(thing.size, sums, known=known)
    await landing.settle()


async def download(
    s3: Any,
    thing: Pinned,
    landing: PartialDownload,
    meter: ProgressMeter,
    *,
    parallel: int,
    sleep: Callable[[float], Awaitable[None]],
) -> dict[str, str]:
    """Fetch the chunks that are not in `landing` yet; the answer is the MD5, where the object says its own.

    In memory are `parallel` pieces of 1 MiB, and the piece that is being summed.
    """
    md5 = FollowingDigest(landing.part, "md5", chunk=landing.chunk, size=thing.size)
    md5.arrived(*landing.done)
    missing = [number for number in range(-(-thing.size // landing.chunk)) if number not in landing.done]

    async def one(index: int) -> None:
        await _chunk(s3, thing, landing, meter, index=index, sleep=sleep)
        md5.arrived(index)
        await landing.finished(index)

    async def chunks() -> None:
        await gather_bounded(parallel, missing, one)

    if thing.md5 is None:
        await chunks()
        return {}
    await gather_bounded(2, (chunks, md5.run), lambda part: part())
    return {"md5": md5.hex}


async def _chunk(
    s3: Any,
    thing: Pinned,
    landing: PartialDownload,
    meter: ProgressMeter,
    *,
    index: int,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    end = min(thing.size, (index + 1) * landing.chunk)
    got = index * landing.chunk
    name = shown(thing.bucket, thing.key)

    async def rest() -> None:
        nonlocal got
        with asking(f"reading {name}"):
            answer = await s3.get_object(**thing.which, Range=f"bytes={got}-{end - 1}")
            async with answer["Body"] as response:
                _same_state(answer, thing, end - got)
                held = bytearray()
                async for piece in response.content.iter_any():
                    held += piece
                    if len(held) >= _PIECE:
                        await landing.write(got, held)
                        got += len(held)
                        meter.add(len(held))
                        held = bytearray()
                await landing.write(got, held)
                got += len(held)
                meter.add(len(held))
        if got != end:
            raise RetryLater(f"The connection was lost at reading {name}; it is tried again.")

    await retry(rest, sleep=sleep, reached=lambda: got)


def _same_state(answer: dict[str, Any], thing: Pinned, expected: int) -> None:
    """Some servers do not enforce If-Match, and some ignore ranges: look at what is really answered."""
    name = shown(thing.bucket, thing.key)
    if str(answer.get("ETag", "")).strip('"') != thing.etag:
        raise Refused(f"{name} was replaced while it was fetched: its new state comes as an arrival of its own.")
    if int(answer["ContentLength"]) != expected:
        raise Refused(
            f"The server of {name} does not serve parts of an object: set chunk of the fetch step above its size."
        )
