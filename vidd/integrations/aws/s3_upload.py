"""Upload one file to S3 so that it can be resumed, recognised, and is never sent over somebody else's.

docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html, checking-object-integrity.html, conditional-writes.html.
"""

from __future__ import annotations

import asyncio
import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import Fault, Refused, RetryLater
from vidd.integrations.aws.account import head
from vidd.integrations.aws.errors import asking, code_of, status_of
from vidd.integrations.aws.s3_parts import Manifest, Slice
from vidd.integrations.aws.s3_target import JOB, SUM, Target, is_this

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vidd.transfer.progress_meter import ProgressMeter

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass
class Upload:
    """One upload. `save(upload_id)` makes the id durable, `sent()` that only the last answer is outstanding.

    `absent` says that it has just been seen that nothing is there.
    """

    s3: Any
    target: Target
    manifest: Manifest
    meter: ProgressMeter
    sleep: Callable[[float], Awaitable[None]]
    save: Callable[[str | None], Awaitable[None]]
    sent: Callable[[], Awaitable[None]]
    parallel: int = 4
    upload_id: str | None = None
    absent: bool = False
    _etags: dict[int, str] = field(default_factory=dict, init=False)
    _guard: dict[str, str] = field(default_factory=dict, init=False)

    async def run(self) -> dict[str, Any]:
        """Bring the file there; the answer is what HEAD says of it."""
        target = self.target
        found = None if self.absent else await self._look()
        if found is not None:
            if await self._is_this(found):
                await self.abandon()
                return found
            if not target.may_replace(found.get("Metadata") or {}):
                raise self._taken()
        elif not target.overwrite:
            # Somebody may put an object there while ours is on its way; servers that know this header refuse then.
            self._guard = {"IfNoneMatch": "*"}
        if len(self.manifest.digests) == 1:
            await self.abandon()
            await self._put()
        else:
            await self._multipart()
        return await self._landed()

    async def take_up(self, earlier: Mapping[str, Any]) -> None:
        """Go on with what was begun (Bucket, Key, etag, size, upload_id); of another file or place it is ended there."""
        begun = earlier.get("upload_id")
        if begun is None:
            return
        here = {**self.target.where, "etag": self.manifest.etag, "size": self.manifest.size}
        if all(earlier.get(name) == value for name, value in here.items()):
            self.upload_id = begun
            return
        place = Target(earlier["Bucket"], earlier["Key"], self.target.job)
        await replace(self, target=place, upload_id=begun).abandon()

    async def abandon(self) -> None:
        """End an open multipart upload, so that its parts cost nothing; what stops that is not the file's failure."""
        if self.upload_id is None:
            return
        with suppress(Fault), asking(f"ending the upload of {self.target.shown}"):
            await self.s3.abort_multipart_upload(**self.target.where, UploadId=self.upload_id)
        self.upload_id = None

    def _taken(self) -> Refused:
        return Refused(
            f"{self.target.shown} is there already and is not this job's:"
            " give another key (with job.id in it), or set overwrite = true."
        )

    async def _look(self) -> dict[str, Any] | None:
        return await retry(lambda: head(self.s3, self.target.bucket, self.target.key), sleep=self.sleep)

    async def _is_this(self, found: Mapping[str, Any]) -> bool:
        manifest = self.manifest
        return await is_this(found, self.target.job, manifest.path, size=manifest.size, etag=manifest.etag)

    @property
    def _described(self) -> dict[str, Any]:
        marks = {JOB: self.target.job, SUM: self.manifest.etag}
        return {**self.target.where, **self.target.extra, "Metadata": {**self.target.metadata, **marks}}

    async def _commit(self, doing: str, call: Callable[..., Awaitable[Any]]) -> None:
        """Make the request that makes the object; its answer lost, nobody knows."""
        while True:
            with asking(doing, commits=True):
                try:
                    await call(**self._guard)
                except ClientError as error:
                    if self._guard and (code_of(error) == "NotImplemented" or status_of(error) == 501):
                        self._guard = {}
                        continue
                    if status_of(error) != 412:
                        raise
                else:
                    return
            found = await self._look()
            if found is None or not await self._is_this(found):
                raise self._taken()
            return

    async def _put(self) -> None:
        manifest = self.manifest
        await self.save(None)

        async def put(**guard: str) -> None:
            with Slice(manifest.path, 0, manifest.size, self._counter()) as body:
                try:
                    answer = await self.s3.put_object(
                        **self._described,
                        **guard,
                        Body=body,
                        ContentLength=manifest.size,
                        ContentMD5=base64.b64encode(manifest.digests[0]).decode(),
                    )
                    self._undamaged(answer, manifest.digests[0])
                except BaseException:
                    self.meter.back(body.given)
                    raise

        await self._commit(f"putting {self.target.shown}", put)

    async def _multipart(self) -> None:
        present = await self._present()
        if present is None:
            await retry(self._begin, sleep=self.sleep)
            present = {}
        self._etags = present
        for number in present:
            self.meter.done += self.manifest.length(number - 1)
        missing = [index for index in range(len(self.manifest.digests)) if index + 1 not in present]
        await gather_bounded(self.parallel, missing, lambda one: retry(lambda: self._part(one), sleep=self.sleep))
        await self.sent()
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]

        async def complete(**guard: str) -> None:
            await self.s3.complete_multipart_upload(
                **self.target.where, **guard, UploadId=self.upload_id, MultipartUpload={"Parts": parts}
            )

        try:
            await self._commit(f"completing {self.target.shown}", self._until_known(complete))
        except _Vanished:
            found = await self._look()
            if found is None or not await self._is_this(found):
                await self.abandon()
                await self.save(None)
                sentence = f"The upload of {self.target.shown} was ended by somebody; it is begun anew."
                raise RetryLater(sentence) from None

    def _until_known(self, complete: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def call(**guard: str) -> None:
            try:
                await complete(**guard)
            except ClientError as error:
                if code_of(error) in {"NoSuchUpload", "InvalidPart", "InvalidPartOrder"}:
                    raise _Vanished from error
                raise

        return call

    async def _begin(self) -> None:
        with asking(f"beginning the upload of {self.target.shown}"):
            answer = await self.s3.create_multipart_upload(**self._described)
        self.upload_id = answer["UploadId"]
        await self.save(self.upload_id)

    async def _present(self) -> dict[int, str] | None:
        """The parts that are there and right, by number; None where no upload is open."""
        if self.upload_id is None:
            return None
        there: dict[int, str] = {}
        marker: dict[str, Any] = {}
        while True:
            with asking(f"resuming the upload of {self.target.shown}"):
                try:
                    answer = await self.s3.list_parts(**self.target.where, UploadId=self.upload_id, **marker)
                except ClientError as error:
                    if code_of(error) not in {"NoSuchUpload", "404", "NotFound"}:
                        raise
                    self.upload_id = None
                    return None
            for part in answer.get("Parts", ()):
                if self._is_part(part):
                    there[part["PartNumber"]] = part["ETag"]
            if not answer.get("IsTruncated"):
                return there
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def _is_part(self, part: Mapping[str, Any]) -> bool:
        index = part["PartNumber"] - 1
        if index >= len(self.manifest.digests) or part["Size"] != self.manifest.length(index):
            return False
        return bool(part["ETag"].strip('"') == self.manifest.digests[index].hex())

    async def _part(self, index: int) -> None:
        manifest, digest = self.manifest, self.manifest.digests[index]
        length = manifest.length(index)
        with Slice(manifest.path, index * manifest.part_size, length, self._counter()) as body:
            try:
                with asking(f"sending part {index + 1} of {self.target.shown}"):
                    answer = await self.s3.upload_part(
                        **self.target.where,
                        UploadId=self.upload_id,
                        PartNumber=index + 1,
                        Body=body,
                        ContentLength=length,
                        ContentMD5=base64.b64encode(digest).decode(),
                    )
                self._undamaged(answer, digest)
            except BaseException:
                self.meter.back(body.given)
                raise
        self._etags[index + 1] = answer["ETag"]

    def _undamaged(self, answer: Mapping[str, Any], digest: bytes) -> None:
        """A server that does not check Content-MD5 still says by the ETag what it got, unless it is sealed with a key."""
        etag = str(answer.get("ETag", "")).strip('"')
        sealed = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in answer
        if _MD5.fullmatch(etag) and not sealed and etag != digest.hex():
            raise RetryLater(f"What was sent to {self.target.shown} was damaged on the way; it is sent again.")

    def _counter(self) -> Callable[[int], None]:
        """A way to count from the thread that reads a part."""
        loop = asyncio.get_running_loop()
        return lambda size: _tell(loop, self.meter.add, size)

    async def _landed(self) -> dict[str, Any]:
        """What is there now; a size that differs is no upload."""
        found = await self._look()
        if found is None or int(found["ContentLength"]) != self.manifest.size:
            there = "nothing" if found is None else f"{found['ContentLength']} bytes"
            raise RetryLater(f"{self.target.shown} holds {there} instead of {self.manifest.size}; it is sent again.")
        return found


class _Vanished(Exception):
    """The provider no longer knows the multipart upload, or its parts."""


def _tell(loop: asyncio.AbstractEventLoop, add: Callable[[int], None], size: int) -> None:
    with suppress(RuntimeError):  # the loop was closed under a thread that still read
        loop.call_soon_threadsafe(add, size)
