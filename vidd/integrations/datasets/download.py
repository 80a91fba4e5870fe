"""Bring a small object of a bucket into a file."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.errors import Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.integrations.aws.account import object_name
from vidd.integrations.aws.errors import ABSENT, code_of, map_errors

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.integrations.aws.s3_tree import ListedObject
    from vidd.integrations.datasets.options import Open

_PIECE = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


async def bring(here: Open, key: str, path: Path, listed: ListedObject) -> None:
    """Write the object as it was `listed` to `path`; Refused where it is gone or another by now."""
    name, s3 = object_name(here.bucket, key), here.s3

    async def once() -> None:
        total = hashlib.md5(usedforsecurity=False)
        with map_errors(f"reading {name}"), retry_if_full():
            try:
                answer = await s3.get_object(Bucket=here.bucket, Key=key)
            except ClientError as error:
                if code_of(error) in ABSENT:
                    raise Refused(f"{name} was deleted while it was read: put it there again") from None
                raise
            with path.open("wb") as file:
                size = 0
                async with answer["Body"] as response:
                    async for piece in response.content.iter_chunked(_PIECE):
                        await in_thread(file.write, piece)
                        total.update(piece)
                        size += len(piece)
        if str(answer.get("ETag", "")).strip('"') != listed.etag:
            raise Refused(f"{name} was replaced while it was read: ask for the data set again")
        plain = _MD5.fullmatch(listed.etag) and not str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        if size != listed.size or (plain and total.hexdigest() != listed.etag):
            raise RetryLater(f"{name} did not arrive whole; it is read again.")

    await retry(once, sleep=here.sleep)
