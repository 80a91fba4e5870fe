"""Mirrors files below a folder on pCloud: creates folders, replaces files that changed, leaves equal files alone.

Each file is replaced by itself and atomically. Everything here can be repeated, and a repetition sends only what is not
there yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vidd.aio.bounded import gather_bounded
from vidd.errors import FaultCode, Refused
from vidd.files.digest import digest_of
from vidd.integrations.pcloud.files import (
    File,
    Listing,
    check_name,
    checksum_file,
    create_folder,
    delete_empty_folder,
    delete_file,
    list_folder,
)
from vidd.integrations.pcloud.upload import ALGORITHM, FileUpload, Uploader, is_part, part_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.pcloud.api import Client
    from vidd.transfer.progress_meter import ProgressMeter


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be mirrored: its path here, and its size in bytes."""

    source: Path
    size: int


@dataclass
class MirrorResult:
    """The files and bytes that were sent, the files that were equal already, the files that were deleted (`dropped`).

    `files` are the mirrored files on pCloud, by path.
    """

    sent: int = 0
    sent_bytes: int = 0
    equal: int = 0
    dropped: int = 0
    files: dict[str, File] = field(default_factory=dict)


def is_within(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of these directories or below it; "" is the directory that all are in."""
    return any(not root or path == root or path.startswith(f"{root}/") for root in roots)


class Mirror:
    """`files` are by path below the folder with the id `folder`, which exists; `roots` are the paths of trees there.

    `parallel` files are compared or sent at once. Only below `roots` are files ever deleted.
    """

    def __init__(
        self, client: Client, folder: int, files: Mapping[str, LocalFile], *, roots: Sequence[str], parallel: int
    ) -> None:
        for path in files:
            for name in PurePosixPath(path).parts:
                check_name(name)
        self._client, self._folder, self._files = client, folder, files
        self._roots, self._parallel = roots, parallel
        self._sha1s: dict[str, str] = {}
        self.existing = Listing(folder)

    async def list_existing(self) -> None:
        """List what is in the folder; Refused if there is no such folder."""
        found = await list_folder(self._client, self._folder)
        if found is None:
            raise Refused(
                f"There is no folder {self._folder} on pCloud that the account {self._client.name!r} can see: correct its id,"
                " or make it.",
                code=FaultCode.NOT_FOUND,
            )
        self.existing = found

    async def equal_paths(self) -> set[str]:
        """The paths at which pCloud has a file with the same bytes."""
        equal: set[str] = set()

        async def compare(path: str) -> None:
            found = await checksum_file(self._client, self.existing.files[path])
            if found is not None and found[1].get(ALGORITHM) == await self._sha1(path):
                equal.add(path)

        await gather_bounded(self._parallel, self.same_size_paths(), compare)
        return equal

    def same_size_paths(self) -> list[str]:
        """The paths at which pCloud has a file of the same size."""
        existing = self.existing.files
        return [path for path, file in self._files.items() if path in existing and existing[path].size == file.size]

    async def _sha1(self, path: str) -> str:
        if path not in self._sha1s:
            self._sha1s[path] = await digest_of(self._files[path].source, ALGORITHM)
        return self._sha1s[path]

    async def upload(self, meter: ProgressMeter, job: str) -> MirrorResult:
        """Send the files that are missing or differ, each renamed to its place."""
        equal = await self.equal_paths()
        missing = [path for path in self._files if path not in equal]
        await self._create_folders(missing)
        meter.total = sum(self._files[path].size for path in missing)
        result = MirrorResult(equal=len(equal), files={path: self.existing.files[path] for path in equal})
        uploader = Uploader(self._client, meter, job)

        async def send(path: str) -> None:
            parent, _, name = path.rpartition("/")
            file = self._files[path]
            folder = self.existing.folders[parent] if parent else self._folder
            earlier = self.existing.files.get(f"{parent}/{part_name(job, path)}" if parent else part_name(job, path))
            upload = FileUpload(file.source, file.size, await self._sha1(path), folder, name)
            result.files[path] = await uploader.run(upload, path, earlier)
            result.sent += 1

        await gather_bounded(self._parallel, missing, send)
        result.sent_bytes = meter.done
        return result

    async def _create_folders(self, paths: Iterable[str]) -> None:
        """Create the folders that these files need, level by level: each needs the id of its parent."""
        needed = {str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."}
        levels: dict[int, list[str]] = {}
        for path in sorted(needed - self.existing.folders.keys()):
            levels.setdefault(path.count("/"), []).append(path)

        async def make(path: str) -> None:
            parent, _, name = path.rpartition("/")
            folder = self.existing.folders[parent] if parent else self._folder
            self.existing.folders[path] = await create_folder(self._client, folder, name)

        for _, level in sorted(levels.items()):
            await gather_bounded(self._parallel, level, make)

    def stale_paths(self, gone: Collection[str] | None = None) -> list[str]:
        """The paths of files below the roots that are not among `files`; with `gone`, only of those in `gone`.

        Part files are left out: any job may be sending them just now.
        """
        return [
            path
            for path in self.existing.files
            if path not in self._files
            and is_within(path, self._roots)
            and not is_part(path.rpartition("/")[2])
            and (gone is None or path in gone)
        ]

    async def delete_stale(self, result: MirrorResult, gone: Collection[str] | None = None) -> None:
        """Delete stale files and the folders that become empty. Nothing outside the roots is touched."""
        stale = self.stale_paths(gone)
        await gather_bounded(self._parallel, stale, lambda path: delete_file(self._client, self.existing.files[path]))
        result.dropped = len(stale)
        needed = {str(parent) for path in self._files for parent in PurePosixPath(path).parents}
        emptied = {str(parent) for path in stale for parent in PurePosixPath(path).parents}
        empty = [
            path
            for path in self.existing.folders
            if path not in needed
            and any(_is_below(path, root) for root in self._roots)
            and (gone is None or path in emptied)
        ]
        # The deepest first. A folder into which somebody put something meanwhile is not empty and stays.
        for path in sorted(empty, key=lambda path: -path.count("/")):
            await delete_empty_folder(self._client, self.existing.folders[path])

    async def delete_parts(self, result: MirrorResult, job: str) -> None:
        """Delete part files that earlier attempts of this job left and this one did not use."""
        used = {file.id for file in result.files.values()}
        left = [file for file in self.existing.files.values() if is_part(file.name, job) and file.id not in used]
        await gather_bounded(self._parallel, left, lambda file: delete_file(self._client, file))


def _is_below(path: str, root: str) -> bool:
    return not root or path.startswith(f"{root}/")


async def folder_id(client: Client, parent: int, path: str) -> int:
    """The id of the folder at a path below the folder `parent`; it is created if missing."""
    for name in PurePosixPath(path).parts:
        parent = await create_folder(client, parent, name)
    return parent


def common_root(directories: Iterable[str]) -> str:
    """The deepest directory that all of these are in, or are."""
    split = [PurePosixPath(directory).parts for directory in directories]
    shared: list[str] = []
    for names in zip(*split, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)


async def delete_unchanged(
    client: Client, folder: int, put: Mapping[str, tuple[int, int]], *, parallel: int
) -> list[str]:
    """Delete the files that were put below a folder, if they are unchanged; returns the paths of those that are not.

    `put` has (id, hash) by path. Folders that become empty are deleted as well, but not `folder` itself.
    """
    existing = await list_folder(client, folder)
    if existing is None:
        return []
    unchanged = [path for path, file in existing.files.items() if put.get(path) == (file.id, file.hash)]
    changed = [path for path in put if path in existing.files and path not in unchanged]
    await gather_bounded(parallel, unchanged, lambda path: delete_file(client, existing.files[path]))
    parents = {str(parent) for path in put for parent in PurePosixPath(path).parents} - {"."}
    for path in sorted(parents & existing.folders.keys(), key=lambda path: -path.count("/")):
        await delete_empty_folder(client, existing.folders[path])
    return changed
