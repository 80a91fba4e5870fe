"""Downloads a small object of a bucket into a file, and checks that it is the one that was listed."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.integrations.aws.account import object_name
from vidd.integrations.aws.errors import ABSENT, code_of, map_errors

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.integrations.aws.s3_tree import ListedObject
    from vidd.integrations.datasets.connection import Connection

_PIECE = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


async def download(connection: Connection, key: str, path: Path, listed: ListedObject) -> None:
    """Write the object to `path`. Refused where it is gone, or no longer the one that was `listed`."""
    name, s3 = object_name(connection.bucket, key), connection.s3

    async def attempt() -> None:
        md5, size = hashlib.md5(usedforsecurity=False), 0
        with map_errors(f"reading {name}"), retry_if_full():
            try:
                answer = await s3.get_object(Bucket=connection.bucket, Key=key)
            except ClientError as error:
                if code_of(error) in ABSENT:
                    raise Refused(
                        f"{name} was deleted while vidd read it: put it there again", code=FaultCode.NOT_FOUND
                    ) from None
                raise
            with path.open("wb") as file:
                async with answer["Body"] as response:
                    async for piece in response.content.iter_chunked(_PIECE):
                        await in_thread(file.write, piece)
                        md5.update(piece)
                        size += len(piece)
        if str(answer.get("ETag", "")).strip('"') != listed.etag:
            raise Refused(
                f"{name} was replaced while vidd read it: ask for the data set again", code=FaultCode.CONFLICT
            )
        # The ETag of an object that was sent in one piece is its MD5, unless KMS encrypts it.
        is_md5 = _MD5.fullmatch(listed.etag) and not str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        if size != listed.size or (is_md5 and md5.hexdigest() != listed.etag):
            raise RetryLater(f"{name} arrived damaged or incomplete; vidd will read it again.")

    await retry(attempt, sleep=connection.sleep)
