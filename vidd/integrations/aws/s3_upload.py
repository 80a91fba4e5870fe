"""Uploads one file to S3: resumable, recognisable, and never over an object of somebody else.

docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html, checking-object-integrity.html, conditional-writes.html.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.integrations.aws.account import head
from vidd.integrations.aws.errors import code_of, map_errors, status_of
from vidd.integrations.aws.s3_parts import Manifest, Slice
from vidd.integrations.aws.s3_target import JOB, SUM, Target, is_job_file, md5_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vidd.transfer.progress_meter import ProgressMeter


@dataclass
class Upload:
    """One upload. `save(upload_id)` makes the id durable, `sent()` the fact that only the last answer is outstanding.

    `absent`: a listing has just shown that there is no such object.
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
    _condition: dict[str, str] = field(default_factory=dict, init=False)

    async def run(self) -> dict[str, Any]:
        """Upload the file, unless it is uploaded already; returns the object's answer to HEAD."""
        target = self.target
        found = None if self.absent else await self._head()
        if found is not None:
            if await self._is_uploaded(found):
                await self.abort()
                return found
            if not target.may_replace(found.get("Metadata") or {}):
                raise self._key_taken()
        elif not target.overwrite:
            # Somebody may put an object there during the upload; servers that know this header then refuse ours.
            self._condition = {"IfNoneMatch": "*"}
        if len(self.manifest.digests) == 1:
            await self.abort()
            await self._put_object()
        else:
            await self._multipart()
        return await self._verify()

    async def resume(self, earlier: Mapping[str, Any]) -> None:
        """Resume an upload that an earlier attempt began, or abort it if it is of another file or key.

        `earlier` is what that attempt saved of it: Bucket, Key, etag, size, upload_id.
        """
        upload_id = earlier.get("upload_id")
        if upload_id is None:
            return
        current = {**self.target.parameters, "etag": self.manifest.etag, "size": self.manifest.size}
        if all(earlier.get(name) == value for name, value in current.items()):
            self.upload_id = upload_id
            return
        target = Target(earlier["Bucket"], earlier["Key"], self.target.job)
        await replace(self, target=target, upload_id=upload_id).abort()

    async def abort(self) -> None:
        """Abort an open multipart upload, so that its parts cost nothing; a fault of the abort does not fail the file."""
        if self.upload_id is None:
            return
        with suppress(Fault), map_errors(f"aborting the upload of {self.target.name}"):
            await self.s3.abort_multipart_upload(**self.target.parameters, UploadId=self.upload_id)
        self.upload_id = None

    def _key_taken(self) -> Refused:
        return Refused(
            f"{self.target.name} is there already and is not this job's:"
            " give another key (with job.id in it), or set overwrite = true.",
            code=FaultCode.CONFLICT,
        )

    async def _head(self) -> dict[str, Any] | None:
        return await retry(lambda: head(self.s3, self.target.bucket, self.target.key), sleep=self.sleep)

    async def _is_uploaded(self, found: Mapping[str, Any]) -> bool:
        manifest = self.manifest
        return await is_job_file(found, self.target.job, manifest.path, size=manifest.size, etag=manifest.etag)

    @property
    def _object_parameters(self) -> dict[str, Any]:
        own = {JOB: self.target.job, SUM: self.manifest.etag}
        return {**self.target.parameters, **self.target.extra, "Metadata": {**self.target.metadata, **own}}

    async def _commit(self, doing: str, call: Callable[..., Awaitable[Any]]) -> None:
        """Send the request that creates the object; if its answer is lost, the outcome is unknown."""
        while True:
            with map_errors(doing, commits=True):
                try:
                    await call(**self._condition)
                except ClientError as error:
                    if self._condition and (code_of(error) == "NotImplemented" or status_of(error) == 501):
                        self._condition = {}
                        continue
                    if status_of(error) != 412:
                        raise
                else:
                    return
            found = await self._head()
            if found is None or not await self._is_uploaded(found):
                raise self._key_taken()
            return

    async def _put_object(self) -> None:
        manifest = self.manifest
        await self.save(None)

        async def put(**condition: str) -> None:
            with Slice(manifest.path, 0, manifest.size, self._counter()) as body:
                try:
                    answer = await self.s3.put_object(
                        **self._object_parameters,
                        **condition,
                        Body=body,
                        ContentLength=manifest.size,
                        ContentMD5=base64.b64encode(manifest.digests[0]).decode(),
                    )
                    self._check_digest(answer, manifest.digests[0])
                except BaseException:
                    self.meter.back(body.bytes_read)
                    raise

        await self._commit(f"putting {self.target.name}", put)

    async def _multipart(self) -> None:
        present = await self._uploaded_parts()
        if present is None:
            await retry(self._create, sleep=self.sleep)
            present = {}
        self._etags = present
        for number in present:
            self.meter.done += self.manifest.length(number - 1)
        missing = [index for index in range(len(self.manifest.digests)) if index + 1 not in present]

        async def upload_part(index: int) -> None:
            await retry(lambda: self._upload_part(index), sleep=self.sleep)

        await gather_bounded(self.parallel, missing, upload_part)
        await self.sent()
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]

        async def complete(**condition: str) -> None:
            await self.s3.complete_multipart_upload(
                **self.target.parameters, **condition, UploadId=self.upload_id, MultipartUpload={"Parts": parts}
            )

        try:
            await self._commit(f"completing {self.target.name}", self._raising_vanished(complete))
        except _Vanished:
            found = await self._head()
            if found is None or not await self._is_uploaded(found):
                await self.abort()
                await self.save(None)
                sentence = f"Somebody aborted the upload of {self.target.name}; vidd will start it anew."
                raise RetryLater(sentence, code=FaultCode.CONFLICT) from None

    def _raising_vanished(self, complete: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def call(**condition: str) -> None:
            try:
                await complete(**condition)
            except ClientError as error:
                if code_of(error) in {"NoSuchUpload", "InvalidPart", "InvalidPartOrder"}:
                    raise _Vanished from error
                raise

        return call

    async def _create(self) -> None:
        with map_errors(f"starting the upload of {self.target.name}"):
            answer = await self.s3.create_multipart_upload(**self._object_parameters)
        self.upload_id = answer["UploadId"]
        await self.save(self.upload_id)

    async def _uploaded_parts(self) -> dict[int, str] | None:
        """The ETags of the parts that are uploaded and intact, by number; None if no upload is open."""
        if self.upload_id is None:
            return None
        uploaded: dict[int, str] = {}
        marker: dict[str, Any] = {}
        while True:
            with map_errors(f"resuming the upload of {self.target.name}"):
                try:
                    answer = await self.s3.list_parts(**self.target.parameters, UploadId=self.upload_id, **marker)
                except ClientError as error:
                    if code_of(error) not in {"NoSuchUpload", "404", "NotFound"}:
                        raise
                    self.upload_id = None
                    return None
            for part in answer.get("Parts", ()):
                if self._is_part(part):
                    uploaded[part["PartNumber"]] = part["ETag"]
            if not answer.get("IsTruncated"):
                return uploaded
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def _is_part(self, part: Mapping[str, Any]) -> bool:
        index = part["PartNumber"] - 1
        if index >= len(self.manifest.digests) or part["Size"] != self.manifest.length(index):
            return False
        return bool(part["ETag"].strip('"') == self.manifest.digests[index].hex())

    async def _upload_part(self, index: int) -> None:
        manifest, digest = self.manifest, self.manifest.digests[index]
        length = manifest.length(index)
        with Slice(manifest.path, index * manifest.part_size, length, self._counter()) as body:
            try:
                with map_errors(f"sending part {index + 1} of {self.target.name}"):
                    answer = await self.s3.upload_part(
                        **self.target.parameters,
                        UploadId=self.upload_id,
                        PartNumber=index + 1,
                        Body=body,
                        ContentLength=length,
                        ContentMD5=base64.b64encode(digest).decode(),
                    )
                self._check_digest(answer, digest)
            except BaseException:
                self.meter.back(body.bytes_read)
                raise
        self._etags[index + 1] = answer["ETag"]

    def _check_digest(self, answer: Mapping[str, Any], digest: bytes) -> None:
        """Compare the MD5 that the answer shows, for servers that do not check Content-MD5."""
        if md5_of(answer) not in {None, digest.hex()}:
            raise RetryLater(f"What vidd sent to {self.target.name} was damaged on the way; vidd will send it again.")

    def _counter(self) -> Callable[[int], None]:
        """A function that counts bytes from the thread that reads a part."""
        loop = asyncio.get_running_loop()
        return lambda size: _count_in_loop(loop, self.meter.add, size)

    async def _verify(self) -> dict[str, Any]:
        """The object's answer to HEAD; RetryLater if its size is not the file's."""
        found = await self._head()
        if found is None or int(found["ContentLength"]) != self.manifest.size:
            held = "nothing" if found is None else f"{found['ContentLength']} bytes"
            raise RetryLater(
                f"{self.target.name} holds {held} instead of {self.manifest.size}; vidd will send it again."
            )
        return found


class _Vanished(Exception):
    """The provider no longer knows the multipart upload, or its parts."""


def _count_in_loop(loop: asyncio.AbstractEventLoop, add: Callable[[int], None], size: int) -> None:
    with suppress(RuntimeError):  # the loop closed while the thread still read
        loop.call_soon_threadsafe(add, size)
