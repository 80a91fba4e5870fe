"""Make what is below prefixes of a bucket what trees say: equal objects let be, changed ones replaced, old ones dropped.

An object is known as equal by its size and its ETag. Only objects that bear a mark of ours are ever dropped.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import head, shown
from vidd.integrations.aws.errors import asking
from vidd.integrations.aws.s3_parts import manifest
from vidd.integrations.aws.s3_target import JOB, Target, is_this
from vidd.integrations.aws.s3_upload import Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.aws.s3_parts import Manifest
    from vidd.transfer.progress_meter import ProgressMeter

    Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be an object: where it lies here, its size in bytes, and where it goes."""

    source: Path
    size: int
    target: Target


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; the ETag is without quotes."""

    size: int
    etag: str


@dataclass
class Done:
    """What it took: files and bytes that went over the line, files that were equal already, objects dropped."""

    sent: int = 0
    sent_bytes: int = 0
    equal: int = 0
    dropped: int = 0

    def to_json(self) -> dict[str, int]:
        """For a receipt."""
        return asdict(self)


@dataclass(frozen=True)
class Resume:
    """The multipart uploads that an earlier attempt began, by key; `save` makes one durable, with None it is over."""

    begun: Mapping[str, Mapping[str, Any]]
    save: Callable[[str, Mapping[str, Any] | None], Awaitable[None]]


async def listed(s3: Any, bucket: str, prefix: str, sleep: Sleep) -> dict[str, Listed]:
    """All objects whose keys begin so."""
    found: dict[str, Listed] = {}
    more: dict[str, str] = {}
    while True:

        async def page(more: dict[str, str] = more) -> Any:
            with asking(f"listing {shown(bucket, prefix)}"):
                return await s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **more)

        answer = await retry(page, sleep=sleep)
        for row in answer.get("Contents", ()):
            found[row["Key"]] = Listed(int(row["Size"]), str(row.get("ETag", "")).strip('"'))
        if not answer.get("IsTruncated"):
            return found
        more = {"ContinuationToken": answer["NextContinuationToken"]}


class TreeUpload:
    """`wanted` are files by key, all of one bucket; below `roots` (prefixes that end in a slash, or "" for all) lie trees.

    `at_once` objects are looked at or sent at once, large ones in parts of `part_size` bytes, one after the other.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        wanted: Mapping[str, Wanted],
        *,
        roots: Sequence[str],
        part_size: int,
        at_once: int,
        sleep: Sleep,
    ) -> None:
        self.s3, self._bucket, self.wanted = s3, bucket, wanted
        self._roots, self._part_size, self._at_once, self.sleep = roots, part_size, at_once, sleep
        self._manifests: dict[str, Manifest] = {}
        self.there: dict[str, Listed] = {}

    async def look(self) -> None:
        """See what is there."""
        for root in outermost(self._roots):
            self.there |= await listed(self.s3, self._bucket, root, self.sleep)

    async def manifest(self, key: str) -> Manifest:
        """The parts of a file and their sums, made once."""
        if key not in self._manifests:
            self._manifests[key] = await manifest(self.wanted[key].source, self._part_size)
        return self._manifests[key]

    async def _equal(self, key: str) -> bool:
        found = self.there.get(key)
        return found is not None and found == Listed(self.wanted[key].size, (await self.manifest(key)).etag)

    async def bring(self, meter: ProgressMeter, resume: Resume) -> Done:
        """Send what is not there."""
        done = Done()
        missing: list[str] = []

        async def compare(key: str) -> None:
            if await self._equal(key):
                done.equal += 1
            else:
                missing.append(key)

        await gather_bounded(self._at_once, self.wanted, compare)
        meter.total = (meter.total or 0) + sum(self.wanted[key].size for key in missing)

        async def send(key: str) -> None:
            if await _Sending(self, key, meter, resume).run():
                done.sent, done.sent_bytes = done.sent + 1, done.sent_bytes + self.wanted[key].size
            else:
                done.equal += 1

        await gather_bounded(self._at_once, sorted(missing), send)
        return done

    async def stale(self, gone: Collection[str] | None = None) -> list[str]:
        """The keys below the roots that no tree has any more and that bear a mark of ours.

        With `gone`, only those that this job put there: marked by it, or among these keys of its edition before.
        """
        spare = [key for key in self.there if key not in self.wanted]
        marked: list[str] = []
        example = next(iter(self.wanted.values())).target

        async def look(key: str) -> None:
            found = await retry(partial(head, self.s3, self._bucket, key), sleep=self.sleep)
            marks = (found or {}).get("Metadata") or {}
            own = gone is None or key in gone or marks.get(JOB) == example.job
            if JOB in marks and own and example.may_replace(marks):
                marked.append(key)

        await gather_bounded(self._at_once, spare, look)
        return sorted(marked)

    async def drop(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        await gather_bounded(self._at_once, keys, partial(delete, self.s3, self._bucket, self.sleep))

    async def complete(self) -> bool:
        """Whether every file is there with its bytes."""
        if any(key not in self.there or self.there[key].size != one.size for key, one in self.wanted.items()):
            return False
        whole = True

        async def look(key: str) -> None:
            nonlocal whole
            if whole and not await self._equal(key):
                found = await retry(partial(head, self.s3, self._bucket, key), sleep=self.sleep)
                one, parts = self.wanted[key], self._manifests[key]
                job = one.target.job
                whole = found is not None and await is_this(found, job, one.source, size=one.size, etag=parts.etag)

        await gather_bounded(self._at_once, self.wanted, look)
        return whole


class _Sending:
    """One file of a tree on its way. What is lost on the way is looked for, and sent again only where it is not there."""

    def __init__(self, tree: TreeUpload, key: str, meter: ProgressMeter, resume: Resume) -> None:
        self._tree, self._key, self._meter, self._resume = tree, key, meter, resume
        self._one = tree.wanted[key]
        self._begun = dict(resume.begun.get(key, {}))
        self._absent = key not in tree.there
        self._went = self._fresh = False

    async def run(self) -> bool:
        """Bring it there; False where a look at the object itself shows that it is equal."""
        self._parts = await self._tree.manifest(self._key)
        await retry(self._once, sleep=self._tree.sleep)
        if self._begun:
            await self._resume.save(self._key, None)
        return self._went

    @property
    def _state(self) -> dict[str, Any]:
        return {**self._one.target.where, "etag": self._parts.etag, "size": self._parts.size}

    async def _save(self, upload_id: str | None) -> None:
        self._went = self._fresh = True
        if upload_id is not None:
            self._begun = {**self._state, "upload_id": upload_id}
            await self._resume.save(self._key, self._begun)

    async def _sent(self) -> None:
        """How far single objects are is not kept: a listing tells it."""

    async def _once(self) -> None:
        tree, target = self._tree, self._one.target
        upload = Upload(
            tree.s3, target, self._parts, self._meter, tree.sleep, self._save, self._sent, 1, absent=self._absent
        )
        self._absent = self._fresh = False
        await upload.take_up(self._begun)
        try:
            await upload.run()
        except OutcomeUnknown as unknown:
            # The next attempt begins with a look, and sends nothing that is there.
            raise RetryLater(unknown.sentence) from unknown
        except Refused:
            await upload.abandon()
            raise
        if self._went and not self._fresh and len(self._parts.digests) == 1:
            self._meter.add(self._one.size)


def outermost(roots: Iterable[str]) -> list[str]:
    """The prefixes that are not below another of them."""
    several = set(roots)
    return sorted(root for root in several if not any(root != other and root.startswith(other) for other in several))


async def delete(s3: Any, bucket: str, sleep: Sleep, key: str) -> None:
    """Delete an object; one that is gone already is as good."""

    async def once() -> None:
        with asking(f"deleting {shown(bucket, key)}"):
            await s3.delete_object(Bucket=bucket, Key=key)

    await retry(once, sleep=sleep)


async def unmirror(s3: Any, bucket: str, prefix: str, job: str, *, at_once: int, sleep: Sleep) -> int:
    """Delete the objects below a prefix that bear the mark of a job; returns how many were."""
    count = 0

    async def look(key: str) -> None:
        nonlocal count
        found = await retry(partial(head, s3, bucket, key), sleep=sleep)
        if ((found or {}).get("Metadata") or {}).get(JOB) == job:
            await delete(s3, bucket, sleep, key)
            count += 1

    await gather_bounded(at_once, await listed(s3, bucket, prefix, sleep), look)
    return count
