"""Checkpoints of a long encode: complete, checked segments of its video, and its audio.

They lie in a directory beside the output file, with a record of what determines them. After a kill the next run keeps
those that are intact and makes only what is missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.files.atomic import commit
from vidd.files.disk_space import retry_if_full
from vidd.files.removal import remove
from vidd.media.ffmpeg.args.segment import SegmentRange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RECORD = "record.json"
_AUDIO = "sound.mp4"
# A file up to this size is identified by its bytes, a larger one by its size, time and inode.
_SMALL = 16 << 20
_ACTION = "a segment was put on it"


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive frames in one file, whose time 0 is `at`; all times are ticks of the result.

    `first` and `last` are when its first and last frame are shown, `after` when the frame before them is shown, in
    another segment (-1: there is none). `final` says that no segment follows. Field names are keys of the record.
    """

    path: str
    at: int
    after: int
    first: int
    last: int
    pictures: int
    size: int = 0
    digest: str = ""
    final: bool = False


def checkpoint_directory(final: Path) -> Path:
    """The directory for the checkpoints of the output `final`."""
    return final.with_name(f".{final.stem}.segments")


class Checkpoints:
    """The checkpoints in `directory` of the encode with this `fingerprint`; call `open` first.

    `scale` is ticks a second of the result. RetryLater where the disk is full.
    """

    def __init__(self, directory: Path, fingerprint: str, scale: int) -> None:
        self.directory, self.scale, self._fingerprint = directory, scale, fingerprint
        self.segments: list[Segment] = []
        self._audio: tuple[int, str] | None = None

    async def open(self) -> None:
        """Load the checkpoints; those of another encode, damaged or incomplete ones are removed."""
        await asyncio.to_thread(self._open)

    def first_gap(self) -> SegmentRange | None:
        """The first range that is missing; None where the video is complete."""
        before = -1
        for segment in self.segments:
            if segment.after != before:
                return SegmentRange(before + 1, segment.first)
            before = segment.last
        return None if self.segments and self.segments[-1].final else SegmentRange(before + 1)

    @property
    def seconds(self) -> float:
        """About how many seconds of video there are."""
        return sum(segment.last - segment.first for segment in self.segments) / self.scale

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return sum(segment.pictures for segment in self.segments)

    @property
    def audio(self) -> Path | None:
        """The audio file, if there is one."""
        return self.directory / _AUDIO if self._audio else None

    def new_run(self) -> Path:
        """A new directory for a run to write into."""
        directory = self.directory / f"run.{secrets.token_hex(4)}"
        with retry_if_full(_ACTION):
            directory.mkdir()
        return directory

    async def add_segment(self, path: Path, segment: Segment) -> Segment:
        """Keep a checked segment of a run; its name, size and digest are filled in."""
        final = self.directory / f"{segment.first:015d}.mp4"
        size, digest = await asyncio.to_thread(_size_and_digest, path)
        with retry_if_full(_ACTION):
            await commit(path, final)
        recorded = replace(segment, path=final.name, size=size, digest=digest)
        self.segments = sorted([*self.segments, recorded], key=lambda known: known.first)
        await self._save()
        return recorded

    async def add_audio(self, path: Path) -> None:
        """Keep the audio file."""
        known = await asyncio.to_thread(_size_and_digest, path)
        with retry_if_full(_ACTION):
            await commit(path, self.directory / _AUDIO)
        self._audio = known
        await self._save()

    def summary(self, found: int, made: Sequence[Segment], why: str) -> dict[str, Any]:
        """For the record: how many segments there are, how many were `found` from before, and which were `made` now.

        `why` says why a resumed encode was decoded from the beginning.
        """
        encoded = {"encoded": len(made), "pictures_encoded": sum(segment.pictures for segment in made)}
        return {"number": len(self.segments), "found": found, **encoded, **({"why": why} if why else {})}

    async def mark_final(self) -> None:
        """Mark the last segment as final: the last run reached the end of the video."""
        if self.segments:
            self.segments[-1] = replace(self.segments[-1], final=True)
            await self._save()

    async def _save(self) -> None:
        record = {
            "fingerprint": self._fingerprint,
            "sound": self._audio,
            "segments": [asdict(segment) for segment in self.segments],
        }
        part = self.directory / f".{_RECORD}"
        with retry_if_full(_ACTION):
            part.write_text(json.dumps(record))
            await commit(part, self.directory / _RECORD)

    def _open(self) -> None:
        with retry_if_full(_ACTION):
            self.directory.mkdir(exist_ok=True)
        record = self._load_record()
        if record.get("fingerprint") == self._fingerprint:
            self.segments = [
                segment
                for segment in (Segment(**data) for data in record["segments"])
                if self._is_intact(segment.path, segment.size, segment.digest)
            ]
            if record["sound"] and self._is_intact(_AUDIO, *record["sound"]):
                self._audio = tuple(record["sound"])
        known = {_RECORD, *(segment.path for segment in self.segments), *([_AUDIO] if self._audio else [])}
        for path in self.directory.iterdir():
            if path.name not in known:
                remove(path, ignore_errors=True)

    def _load_record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self.directory / _RECORD).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record

    def _is_intact(self, name: str, size: int, digest: str) -> bool:
        try:
            return _size_and_digest(self.directory / name) == (size, digest)
        except FileNotFoundError:
            return False


async def remove_checkpoints(directory: Path) -> None:
    """Remove a directory of checkpoints."""
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def fingerprint(version: str, arguments: Sequence[Sequence[str]], files: Sequence[Path]) -> str:
    """A digest of all that determines an encode: the program's version, its arguments and the files it reads.

    In the arguments a file's identity takes the place of its name.
    """
    known = {str(path): _identity(path) for path in files}
    words = [[_substitute(word, known) for word in argument] for argument in arguments]
    return hashlib.blake2b(json.dumps([version, words, list(known.values())]).encode(), digest_size=16).hexdigest()


def _substitute(word: str, known: dict[str, list[Any]]) -> str:
    for name, identity in known.items():
        word = word.replace(name, json.dumps(identity))
    return word


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    if status.st_size <= _SMALL:
        return list(_size_and_digest(path))
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _size_and_digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        return file.tell(), digest.hexdigest()
