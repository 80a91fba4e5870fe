"""Parts of an S3 object (docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html: Range, If-Match)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidd.integrations.aws.account import shown
from vidd.integrations.aws.errors import asking, status_of
from vidd.model.byte_ranges import NotInParts
from vidd.transfer.remote_ranges import Blocks, Replaced, placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.aws.s3_download import Pinned
    from vidd.transfer.remote_ranges import Put


class S3Ranges:
    """One state of an object."""

    def __init__(self, s3: Any, thing: Pinned) -> None:
        """Nothing is asked before `get`."""
        self._s3, self._thing = s3, thing
        self.name = shown(thing.bucket, thing.key)
        # The look at the object (HEAD) was one already.
        self.size, self.requests = thing.size, 1

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change."""
        one = self._thing
        return {"bucket": one.bucket, "key": one.key, "etag": one.etag, "version": one.version, "size": one.size}

    async def get(self, start: int, end: int, put: Put) -> None:
        self.requests += 1
        with asking(f"reading {self.name}"):
            try:
                answer = await self._s3.get_object(**self._thing.which, Range=f"bytes={start}-{end - 1}")
            except ClientError as error:
                if status_of(error) == 412:
                    raise Replaced from error
                if status_of(error) == 416:
                    raise NotInParts("The server does not give parts of it.") from error
                raise
            async with answer["Body"] as response:
                blocks = Blocks(put, self._expected(answer, start, end))
                try:
                    async for piece in response.content.iter_any():
                        await blocks.add(piece)
                finally:
                    await blocks.flush()
                blocks.ended()

    def _expected(self, answer: Mapping[str, Any], start: int, end: int) -> int:
        """Some servers do not enforce If-Match, and some ignore ranges: look at what is really answered."""
        if str(answer.get("ETag", "")).strip('"') != self._thing.etag:
            raise Replaced
        length = int(answer["ContentLength"])
        if placed(answer.get("ContentRange")) != (start, start + length, self.size) or not 0 < length <= end - start:
            raise NotInParts("The server does not give parts of it.")
        return length
