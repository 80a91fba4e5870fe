"""Byte ranges of an S3 object (docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html: Range, If-Match)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidd.integrations.aws.account import object_name
from vidd.integrations.aws.errors import map_errors, status_of
from vidd.model.byte_ranges import NotInParts
from vidd.transfer.remote_file import BlockWriter, RemoteFileChanged, parse_content_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.aws.s3_download import PinnedObject
    from vidd.transfer.remote_file import Write


class S3File:
    """One state of an object, as a remote file of `vidd.transfer`."""

    def __init__(self, s3: Any, pinned: PinnedObject) -> None:
        """Nothing is requested before `get`."""
        self._s3, self._pinned = s3, pinned
        self.name = object_name(pinned.bucket, pinned.key)
        # The HEAD request that pinned the object is the first.
        self.size, self.requests = pinned.size, 1

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change between two attempts."""
        return self._pinned.to_json()

    async def get(self, start: int, end: int, write: Write) -> None:
        self.requests += 1
        with map_errors(f"reading {self.name}"):
            try:
                answer = await self._s3.get_object(**self._pinned.parameters, Range=f"bytes={start}-{end - 1}")
            except ClientError as error:
                if status_of(error) == 412:
                    raise RemoteFileChanged from error
                if status_of(error) == 416:
                    raise NotInParts("The server does not give parts of it.") from error
                raise
            async with answer["Body"] as response:
                writer = BlockWriter(write, self._expected_size(answer, start, end))
                try:
                    async for data in response.content.iter_any():
                        await writer.add(data)
                finally:
                    await writer.flush()
                writer.finish()

    def _expected_size(self, answer: Mapping[str, Any], start: int, end: int) -> int:
        """How many bytes will come. Some servers do not enforce If-Match, and some ignore ranges: check the answer."""
        if str(answer.get("ETag", "")).strip('"') != self._pinned.etag:
            raise RemoteFileChanged
        length = int(answer["ContentLength"])
        expected = (start, start + length, self.size)
        if parse_content_range(answer.get("ContentRange")) != expected or not 0 < length <= end - start:
            raise NotInParts("The server does not give parts of it.")
        return length
