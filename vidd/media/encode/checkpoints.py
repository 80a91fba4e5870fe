"""What a long encode has made so far: segments of its picture, and its sound, each whole, checked and on the disk.

They lie in a directory beside the file they become, with a record of what determines them. After a kill the next run
goes on with those that are still whole, and makes only what is missing.
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
from vidd.media.ffmpeg.args.segment import Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RECORD = "record.json"
_SOUND = "sound.mp4"
# A file up to this size is known by its bytes, a larger one by what the disk says of it.
_SMALL = 16 << 20
_KEEPING = "a segment was put on it"


@dataclass(frozen=True, slots=True)
class Segment:
    """Pictures in a row, of one file, whose time 0 is `at`; all times are ticks of the result.

    The `first` and `last` are shown then; the picture before them is shown at `after`, in another segment (-1: there is
    none). `final` says that none comes after it.
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


def checkpoints_of(final: Path) -> Path:
    """The directory for the checkpoints of what becomes `final`."""
    return final.with_name(f".{final.stem}.segments")


class Checkpoints:
    """What there is in `directory` of an encode that `fingerprint` stands for; `open` it first.

    `scale` is ticks a second of the result. RetryLater where the disk is full.
    """

    def __init__(self, directory: Path, fingerprint: str, scale: int) -> None:
        self.directory, self.scale, self._fingerprint = directory, scale, fingerprint
        self.segments: list[Segment] = []
        self._sound: tuple[int, str] | None = None

    async def open(self) -> None:
        """Look at what is there; whatever is of another encode, damaged or half made goes."""
        await asyncio.to_thread(self._open)

    def gap(self) -> Stretch | None:
        """What is missing first; None where all of the picture is there."""
        before = -1
        for one in self.segments:
            if one.after != before:
                return Stretch(before + 1, one.first)
            before = one.last
        return None if self.segments and self.segments[-1].final else Stretch(before + 1)

    @property
    def seconds(self) -> float:
        """How much of the picture is there, nearly."""
        return sum(one.last - one.first for one in self.segments) / self.scale

    @property
    def pictures(self) -> int:
        """How many pictures are there."""
        return sum(one.pictures for one in self.segments)

    @property
    def sound(self) -> Path | None:
        """The sound, if it is there."""
        return self.directory / _SOUND if self._sound else None

    def room(self) -> Path:
        """A new directory in here for a run to write into."""
        room = self.directory / f"run.{secrets.token_hex(4)}"
        with retry_if_full(_KEEPING):
            room.mkdir()
        return room

    async def keep(self, path: Path, segment: Segment) -> Segment:
        """Take a checked segment in from a run; its name, size and digest are filled in."""
        final = self.directory / f"{segment.first:015d}.mp4"
        size, digest = await asyncio.to_thread(_known_by, path)
        with retry_if_full(_KEEPING):
            await commit(path, final)
        kept = replace(segment, path=final.name, size=size, digest=digest)
        self.segments = sorted([*self.segments, kept], key=lambda one: one.first)
        await self._save()
        return kept

    async def keep_sound(self, path: Path) -> None:
        """Take the sound in."""
        known = await asyncio.to_thread(_known_by, path)
        with retry_if_full(_KEEPING):
            await commit(path, self.directory / _SOUND)
        self._sound = known
        await self._save()

    def told(self, found: int, made: Sequence[Segment], why: str) -> dict[str, Any]:
        """For the record: how many segments there are, and how many were `found` from before; what was `made`.

        `why` says why an encode that went on was decoded from the beginning.
        """
        encoded = {"encoded": len(made), "pictures_encoded": sum(one.pictures for one in made)}
        return {"number": len(self.segments), "found": found, **encoded, **({"why": why} if why else {})}

    async def ended(self) -> None:
        """The last run went on to the end of the picture, so what is there last is the last there is."""
        if self.segments:
            self.segments[-1] = replace(self.segments[-1], final=True)
            await self._save()

    async def _save(self) -> None:
        record = {
            "fingerprint": self._fingerprint,
            "sound": self._sound,
            "segments": [asdict(one) for one in self.segments],
        }
        part = self.directory / f".{_RECORD}"
        with retry_if_full(_KEEPING):
            part.write_text(json.dumps(record))
            await commit(part, self.directory / _RECORD)

    def _open(self) -> None:
        with retry_if_full(_KEEPING):
            self.directory.mkdir(exist_ok=True)
        record = self._recorded()
        if record.get("fingerprint") == self._fingerprint:
            self.segments = [
                one for one in map(_segment, record["segments"]) if self._whole(one.path, one.size, one.digest)
            ]
            if record["sound"] and self._whole(_SOUND, *record["sound"]):
                self._sound = tuple(record["sound"])
        known = {_RECORD, *(one.path for one in self.segments), *([_SOUND] if self._sound else [])}
        for path in self.directory.iterdir():
            if path.name not in known:
                _removed(path)

    def _recorded(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self.directory / _RECORD).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record

    def _whole(self, name: str, size: int, digest: str) -> bool:
        try:
            return _known_by(self.directory / name) == (size, digest)
        except FileNotFoundError:
            return False


async def forget(directory: Path) -> None:
    """Remove checkpoints."""
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def fingerprint(version: str, arguments: Sequence[Sequence[str]], files: Sequence[Path]) -> str:
    """What stands for all that determines an encode: the program's version, what it is told, the files it reads.

    Where a file's name is a word of the arguments, what is known of the file takes its place.
    """
    known = {str(path): _identity(path) for path in files}
    words = [[_put(word, known) for word in each] for each in arguments]
    return hashlib.blake2b(json.dumps([version, words, list(known.values())]).encode(), digest_size=16).hexdigest()


def _put(word: str, known: dict[str, list[Any]]) -> str:
    for name, identity in known.items():
        word = word.replace(name, json.dumps(identity))
    return word


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    if status.st_size <= _SMALL:
        return list(_known_by(path))
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _known_by(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        return file.tell(), digest.hexdigest()


def _segment(data: dict[str, Any]) -> Segment:
    return Segment(**data)


def _removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
