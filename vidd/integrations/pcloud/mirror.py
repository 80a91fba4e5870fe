"""Make what is below a folder on pCloud what it should be: folders made, changed files replaced, equal ones left alone.

Each file is replaced by itself and atomically. Everything here can be repeated, and a repetition sends only what is
not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vidd.aio.bounded import gather_bounded
from vidd.errors import Refused
from vidd.files.digest import digest_of
from vidd.integrations.pcloud.files import (
    File,
    Listing,
    checked_name,
    checksums,
    delete_file,
    delete_folder,
    listing,
    make_folder,
)
from vidd.integrations.pcloud.upload import ALGORITHM, Sending, Upload, is_part, part_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.pcloud.api import Cloud
    from vidd.transfer.progress_meter import ProgressMeter


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be there: where it lies here, and its size in bytes."""

    source: Path
    size: int


@dataclass
class Done:
    """What it took: files and bytes that went over the line, files that were equal already, files dropped.

    `files` are those that are there now, by path.
    """

    sent: int = 0
    sent_bytes: int = 0
    equal: int = 0
    dropped: int = 0
    files: dict[str, File] = field(default_factory=dict)


def within(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is below one of these directories; "" is the directory that all are in."""
    return any(not root or path == root or path.startswith(f"{root}/") for root in roots)


class Mirror:
    """`wanted` are files by path below `folder`, which is there. Below `roots` nothing else stays, once `drop` is asked.

    `parallel` files are compared or sent at once.
    """

    def __init__(
        self, cloud: Cloud, folder: int, wanted: Mapping[str, Wanted], *, roots: Sequence[str], parallel: int
    ) -> None:
        for path in wanted:
            for name in PurePosixPath(path).parts:
                checked_name(name)
        self._cloud, self._folder, self._wanted = cloud, folder, wanted
        self._roots, self._parallel = roots, parallel
        self._sums: dict[str, str] = {}
        self.there = Listing(folder)

    async def look(self) -> None:
        """See what is there; Refused where the folder is not."""
        found = await listing(self._cloud, self._folder)
        if found is None:
            raise Refused(
                f"There is no folder {self._folder} on pCloud that the account {self._cloud.name!r} can see: correct its id,"
                " or make it."
            )
        self.there = found

    async def equal(self) -> set[str]:
        """The paths whose files are there with these bytes."""
        same: set[str] = set()

        async def compare(path: str) -> None:
            found = await checksums(self._cloud, self.there.files[path])
            if found is not None and found[1].get(ALGORITHM) == await self._sum(path):
                same.add(path)

        await gather_bounded(self._parallel, self.alike(), compare)
        return same

    def alike(self) -> list[str]:
        """The paths whose files are there in their size."""
        there = self.there.files
        return [path for path, one in self._wanted.items() if path in there and there[path].size == one.size]

    async def _sum(self, path: str) -> str:
        if path not in self._sums:
            self._sums[path] = await digest_of(self._wanted[path].source, ALGORITHM)
        return self._sums[path]

    async def bring(self, meter: ProgressMeter, job: str) -> Done:
        """Send what is not there, and give each file its name."""
        same = await self.equal()
        missing = [path for path in self._wanted if path not in same]
        await self._make_folders(missing)
        meter.total = sum(self._wanted[path].size for path in missing)
        done = Done(equal=len(same), files={path: self.there.files[path] for path in same})
        upload = Upload(self._cloud, meter, job)

        async def send(path: str) -> None:
            above, _, name = path.rpartition("/")
            one = self._wanted[path]
            folder = self.there.folders[above] if above else self._folder
            begun = self.there.files.get(f"{above}/{part_name(job, path)}" if above else part_name(job, path))
            sending = Sending(one.source, one.size, await self._sum(path), folder, name)
            done.files[path] = await upload.run(sending, path, begun)
            done.sent += 1

        await gather_bounded(self._parallel, missing, send)
        done.sent_bytes = meter.done
        return done

    async def _make_folders(self, paths: Iterable[str]) -> None:
        """Those that these files need, level by level, since each needs the id of the one it is in."""
        needed = {str(above) for path in paths for above in PurePosixPath(path).parents} - {"."}
        levels: dict[int, list[str]] = {}
        for path in sorted(needed - self.there.folders.keys()):
            levels.setdefault(path.count("/"), []).append(path)

        async def make(path: str) -> None:
            above, _, name = path.rpartition("/")
            folder = self.there.folders[above] if above else self._folder
            self.there.folders[path] = await make_folder(self._cloud, folder, name)

        for _, level in sorted(levels.items()):
            await gather_bounded(self._parallel, level, make)

    def stale(self, gone: Collection[str] | None = None) -> list[str]:
        """The paths of files below the roots that should not be there; what any job is sending just now is none of them.

        With `gone`, only those among these.
        """
        return [
            path
            for path in self.there.files
            if path not in self._wanted
            and within(path, self._roots)
            and not is_part(path.rpartition("/")[2])
            and (gone is None or path in gone)
        ]

    async def drop(self, done: Done, gone: Collection[str] | None = None) -> None:
        """Delete what is stale, and the folders that are empty by that. Nothing outside the roots is touched."""
        stale = self.stale(gone)
        await gather_bounded(self._parallel, stale, lambda path: delete_file(self._cloud, self.there.files[path]))
        done.dropped = len(stale)
        needed = {str(above) for path in self._wanted for above in PurePosixPath(path).parents}
        emptied = {str(above) for path in stale for above in PurePosixPath(path).parents}
        empty = [
            path
            for path in self.there.folders
            if path not in needed
            and any(_below(path, root) for root in self._roots)
            and (gone is None or path in emptied)
        ]
        # The deepest first; one in which somebody put something meanwhile is not empty, and stays.
        for path in sorted(empty, key=lambda path: -path.count("/")):
            await delete_folder(self._cloud, self.there.folders[path])

    async def tidy(self, done: Done, job: str) -> None:
        """Delete what earlier attempts of this job left unfinished and was of no use to this one."""
        used = {file.id for file in done.files.values()}
        left = [file for file in self.there.files.values() if is_part(file.name, job) and file.id not in used]
        await gather_bounded(self._parallel, left, lambda file: delete_file(self._cloud, file))


def _below(path: str, root: str) -> bool:
    return not root or path.startswith(f"{root}/")


async def folder_at(cloud: Cloud, above: int, path: str) -> int:
    """The id of the folder at a path below another, made where it is missing."""
    for name in PurePosixPath(path).parts:
        above = await make_folder(cloud, above, name)
    return above


def common_root(directories: Iterable[str]) -> str:
    """The deepest directory that all of these are in, or are."""
    several = [PurePosixPath(directory).parts for directory in directories]
    shared: list[str] = []
    for names in zip(*several, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)


async def unmirror(cloud: Cloud, folder: int, put: Mapping[str, tuple[int, int]], *, parallel: int) -> list[str]:
    """Delete the files that were put below a folder, where they still are what they were; returns the paths of those kept.

    `put` are (id, hash) by path. Folders that are empty then go as well, but not `folder` itself.
    """
    there = await listing(cloud, folder)
    if there is None:
        return []
    ours = [path for path, file in there.files.items() if put.get(path) == (file.id, file.hash)]
    kept = [path for path in put if path in there.files and path not in ours]
    await gather_bounded(parallel, ours, lambda path: delete_file(cloud, there.files[path]))
    above = {str(parent) for path in put for parent in PurePosixPath(path).parents} - {"."}
    for path in sorted(above & there.folders.keys(), key=lambda path: -path.count("/")):
        await delete_folder(cloud, there.folders[path])
    return kept
