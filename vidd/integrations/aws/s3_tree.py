"""Mirrors directory trees below prefixes of a bucket: sends files that changed, deletes objects that are stale.

An object with a file's size and ETag is equal to it and is not sent. Only objects with the metadata of a job are ever
deleted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import head, object_name
from vidd.integrations.aws.errors import map_errors
from vidd.integrations.aws.s3_parts import manifest
from vidd.integrations.aws.s3_target import JOB, Target, is_job_file
from vidd.integrations.aws.s3_upload import Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.aws.s3_parts import Manifest
    from vidd.transfer.progress_meter import ProgressMeter

    Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file that becomes an object: its path here, its size in bytes, and its target."""

    source: Path
    size: int
    target: Target


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing shows it; the ETag is without quotes."""

    size: int
    etag: str


@dataclass
class UploadCounts:
    """The files and bytes that were sent, the files that were equal already, the objects that were deleted."""

    sent: int = 0
    sent_bytes: int = 0
    equal: int = 0
    dropped: int = 0

    def to_json(self) -> dict[str, int]:
        """The counts, for a receipt."""
        return asdict(self)


@dataclass(frozen=True)
class OpenUploads:
    """The multipart uploads that an earlier attempt began, by key; `save` records one, or with None that it has ended."""

    states: Mapping[str, Mapping[str, Any]]
    save: Callable[[str, Mapping[str, Any] | None], Awaitable[None]]


async def list_objects(s3: Any, bucket: str, prefix: str, sleep: Sleep) -> dict[str, ListedObject]:
    """All objects with this prefix, by key."""
    found: dict[str, ListedObject] = {}
    token: dict[str, str] = {}
    while True:

        async def page(token: dict[str, str] = token) -> Any:
            with map_errors(f"listing {object_name(bucket, prefix)}"):
                return await s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)

        answer = await retry(page, sleep=sleep)
        for row in answer.get("Contents", ()):
            found[row["Key"]] = ListedObject(int(row["Size"]), str(row.get("ETag", "")).strip('"'))
        if not answer.get("IsTruncated"):
            return found
        token = {"ContinuationToken": answer["NextContinuationToken"]}


class TreeUpload:
    """`files` are by key, all of one bucket; `roots` are the trees' prefixes, which end in a slash, or "" for all.

    `at_once` objects are compared or sent at once, large ones in parts of `part_size` bytes, one after the other.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        files: Mapping[str, TreeFile],
        *,
        roots: Sequence[str],
        part_size: int,
        at_once: int,
        sleep: Sleep,
    ) -> None:
        self.s3, self._bucket, self.files = s3, bucket, files
        self._roots, self._part_size, self._at_once, self.sleep = roots, part_size, at_once, sleep
        self._manifests: dict[str, Manifest] = {}
        self.existing: dict[str, ListedObject] = {}

    async def list_existing(self) -> None:
        """List the objects that are there."""
        for root in outermost(self._roots):
            self.existing |= await list_objects(self.s3, self._bucket, root, self.sleep)

    async def manifest(self, key: str) -> Manifest:
        """The parts of a file and their MD5s, computed once."""
        if key not in self._manifests:
            self._manifests[key] = await manifest(self.files[key].source, self._part_size)
        return self._manifests[key]

    async def _is_equal(self, key: str) -> bool:
        found = self.existing.get(key)
        return found is not None and found == ListedObject(self.files[key].size, (await self.manifest(key)).etag)

    async def run(self, meter: ProgressMeter, open_uploads: OpenUploads) -> UploadCounts:
        """Send the files that are not there."""
        counts = UploadCounts()
        missing: list[str] = []

        async def compare(key: str) -> None:
            if await self._is_equal(key):
                counts.equal += 1
            else:
                missing.append(key)

        await gather_bounded(self._at_once, self.files, compare)
        meter.total = (meter.total or 0) + sum(self.files[key].size for key in missing)

        async def send(key: str) -> None:
            if await _TreeFileUpload(self, key, meter, open_uploads).run():
                counts.sent, counts.sent_bytes = counts.sent + 1, counts.sent_bytes + self.files[key].size
            else:
                counts.equal += 1

        await gather_bounded(self._at_once, sorted(missing), send)
        return counts

    async def stale_keys(self, gone: Collection[str] | None = None) -> list[str]:
        """The keys below the roots that no tree has any more and whose objects have the metadata of a job.

        With `gone`, only those that this job put there: by the metadata, or because `gone` (of the revision before) has them.
        """
        unknown = [key for key in self.existing if key not in self.files]
        stale: list[str] = []
        example = next(iter(self.files.values())).target

        async def check(key: str) -> None:
            found = await retry(partial(head, self.s3, self._bucket, key), sleep=self.sleep)
            metadata = (found or {}).get("Metadata") or {}
            own = gone is None or key in gone or metadata.get(JOB) == example.job
            if JOB in metadata and own and example.may_replace(metadata):
                stale.append(key)

        await gather_bounded(self._at_once, unknown, check)
        return sorted(stale)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        await gather_bounded(self._at_once, keys, partial(delete_object, self.s3, self._bucket, self.sleep))

    async def is_complete(self) -> bool:
        """Whether every file is there with its bytes."""
        if any(key not in self.existing or self.existing[key].size != file.size for key, file in self.files.items()):
            return False
        complete = True

        async def check(key: str) -> None:
            nonlocal complete
            if complete and not await self._is_equal(key):
                found = await retry(partial(head, self.s3, self._bucket, key), sleep=self.sleep)
                file, etag = self.files[key], self._manifests[key].etag
                complete = found is not None and await is_job_file(
                    found, file.target.job, file.source, size=file.size, etag=etag
                )

        await gather_bounded(self._at_once, self.files, check)
        return complete


class _TreeFileUpload:
    """The upload of one file of a tree. If an answer is lost, the file is sent again only if it is not there."""

    def __init__(self, tree: TreeUpload, key: str, meter: ProgressMeter, open_uploads: OpenUploads) -> None:
        self._tree, self._key, self._meter, self._open_uploads = tree, key, meter, open_uploads
        self._file = tree.files[key]
        self._state = dict(open_uploads.states.get(key, {}))
        self._absent = key not in tree.existing
        # Whether anything was sent at all, and whether the last attempt sent it.
        self._sent_something = self._sent_now = False

    async def run(self) -> bool:
        """Upload the file; False if a look at the object itself shows that it is equal."""
        self._manifest = await self._tree.manifest(self._key)
        await retry(self._attempt, sleep=self._tree.sleep)
        if self._state:
            await self._open_uploads.save(self._key, None)
        return self._sent_something

    async def _save(self, upload_id: str | None) -> None:
        self._sent_something = self._sent_now = True
        if upload_id is not None:
            identity = {"etag": self._manifest.etag, "size": self._manifest.size, "upload_id": upload_id}
            self._state = {**self._file.target.parameters, **identity}
            await self._open_uploads.save(self._key, self._state)

    async def _sent(self) -> None:
        """Single objects of a tree are not recorded: a listing shows them."""

    async def _attempt(self) -> None:
        tree = self._tree
        upload = Upload(
            tree.s3, self._file.target, self._manifest, self._meter, tree.sleep, self._save, self._sent, 1,
            absent=self._absent,
        )  # fmt: skip
        self._absent = self._sent_now = False
        await upload.resume(self._state)
        try:
            await upload.run()
        except OutcomeUnknown as unknown:
            # The next attempt begins with a look at the object, and sends nothing that is there.
            raise RetryLater(unknown.sentence, code=unknown.code) from unknown
        except Refused:
            await upload.abort()
            raise
        if self._sent_something and not self._sent_now and len(self._manifest.digests) == 1:
            self._meter.add(self._file.size)


def outermost(roots: Iterable[str]) -> list[str]:
    """The prefixes that are not below another of them."""
    prefixes = set(roots)
    return sorted(root for root in prefixes if not any(root != other and root.startswith(other) for other in prefixes))


async def delete_object(s3: Any, bucket: str, sleep: Sleep, key: str) -> None:
    """Delete an object, if it is there."""

    async def delete() -> None:
        with map_errors(f"deleting {object_name(bucket, key)}"):
            await s3.delete_object(Bucket=bucket, Key=key)

    await retry(delete, sleep=sleep)


async def delete_marked(s3: Any, bucket: str, prefix: str, job: str, *, at_once: int, sleep: Sleep) -> int:
    """Delete the objects below a prefix that have the metadata of a job; returns their number."""
    count = 0

    async def delete_if_marked(key: str) -> None:
        nonlocal count
        found = await retry(partial(head, s3, bucket, key), sleep=sleep)
        if ((found or {}).get("Metadata") or {}).get(JOB) == job:
            await delete_object(s3, bucket, sleep, key)
            count += 1

    await gather_bounded(at_once, await list_objects(s3, bucket, prefix, sleep), delete_if_marked)
    return count
